"""Caches of builds between the store and elsewhere: what --cache-from and --cache-to ask for, before and after a build.

It must not know how a step is done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from labcontainers.build.caching.exporting import export, of_image
from labcontainers.build.caching.importing import CacheSource
from labcontainers.build.caching.places import place_of
from labcontainers.build.caching.specs import TO, CacheSpec
from labcontainers.build.request import CachingElsewhere
from labcontainers.errors import Failed, LabError
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store

if TYPE_CHECKING:
    from labcontainers.build.result import Build
    from labcontainers.engine.build_flags import CachingWishes
    from labcontainers.oci.reference import Reference
    from labcontainers.registry.client import Registry


class CacheMoving:
    """The caches elsewhere of one build: `request_keywords` are for its request, and after() is called with what it gave."""

    def __init__(self, wishes: CachingWishes, store: Store, launcher: LauncherProcess, connect: Callable[[Reference], Registry]) -> None:
        self._to = wishes.cache_to
        self._store = store
        self._launcher = launcher
        self._connect = connect
        sources = [CacheSource(spec.text, partial(place_of, spec, connect), store, launcher) for spec in wishes.cache_from]
        self._elsewhere = CachingElsewhere(sources, any(spec.type == "inline" for spec in self._to))
        self.request_keywords = {**wishes.request_keywords, "caching": self._elsewhere}

    def after(self, built: Build) -> Build:
        """Write the caches that are asked for; the same build. Raises Failed, or as a registry does, unless errors are to be ignored."""
        for spec in self._to:
            if spec.type == "inline":
                continue
            try:
                self._export(spec, built)
            except LabError:
                if not spec.may_fail:
                    raise
        return built

    def _export(self, spec: CacheSpec, built: Build) -> None:
        steps = self._elsewhere.seen if spec.whole else of_image(self._elsewhere.seen, built.image.diff_ids)
        try:
            export(steps, place_of(spec, self._connect), self._store, self._launcher)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Failed(f"{TO}: cannot write {error.filename or spec.text}: {reason}", "name a folder of your own with space") from error
