"""The images that a build starts from, each looked up once; several that are missing are made or pulled at the same time.

It must not know stages or steps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from labcontainers.build.cancelling import Cancel
from labcontainers.build.solver import Solver
from labcontainers.errors import LabError
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import HostImage, is_name
from labcontainers.images.image import Image
from labcontainers.oci.image_config import ImageConfig
from labcontainers.store.host_layer import stands_on_host

_AT_ONCE = 4


class BaseImages:
    """All images of one build. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        host: Callable[[], HostImage],
        cancel: Cancel | None = None,
        pull: Callable[[str], Image | None] | None = None,
    ) -> None:
        """`pull` asks for an image anew, whether it is here or not, and gives None for one that can only be here."""
        self._pull = pull
        self._catalog = catalog
        self._host = host
        self._cancel = cancel or Cancel()
        self._lock = threading.RLock()
        self._found: dict[str, Image | HostImage] = {}
        self._failed: dict[str, LabError] = {}
        self._made_in_s: dict[str, float] = {}

    def get(self, name: str) -> Image | HostImage:
        """The image; one that is missing is made or pulled, and `host` is this machine. Raises NotFound, Unsupported."""
        with self._lock:
            if name in self._failed:
                raise self._failed[name]
            if name not in self._found:
                self._found[name] = self._here(name) or self._obtain(name)
            return self._found[name]

    def _here(self, name: str) -> Image | HostImage | None:
        if self._pull is not None:
            begun = time.monotonic()
            pulled = self._pull(name)
            if pulled is not None:
                self._made_in_s[name] = time.monotonic() - begun
                return pulled
        image: Image | HostImage | None = self._catalog.find(name)
        return self._host() if image is None and is_name(name) else image

    def _obtain(self, name: str) -> Image:
        begun = time.monotonic()
        image = self._catalog.obtain(name, lambda progress: self._cancel.check())
        self._made_in_s[name] = time.monotonic() - begun
        return image

    def obtain(self, names: Sequence[str]) -> None:
        """Make or pull those that are missing, at the same time; blocks. What goes wrong is raised by `get`. Raises Cancelled."""
        missing = []
        for name in dict.fromkeys(names):
            try:
                image = self._found.get(name) or self._here(name)
            except LabError:
                # `get` raises it again, where the reader is told of its place
                continue
            if image is None:
                missing.append(name)
            else:
                self._found[name] = image

        def bring(number: int) -> None:
            name = missing[number]
            try:
                self._found[name] = self._obtain(name)
            except LabError as error:
                self._cancel.check()
                self._failed[name] = error

        if missing:
            solver: Solver[None] = Solver(dict.fromkeys(range(len(missing)), ()), _AT_ONCE, bring, self._cancel)
            solver.run(lambda said: None)

    def are_of_host(self) -> bool:
        """Whether one of them is this machine's root, or stands on it."""
        return any(stands_on_host(image.diff_ids) for image in self._found.values())

    def config(self, name: str) -> ImageConfig:
        """The config of an image; raises NotFound."""
        return self.get(name).config

    def duration_s(self, name: str) -> float | None:
        """How long it took to make or pull the image; None when it was there."""
        return self._made_in_s.get(name)
