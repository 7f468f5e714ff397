"""`engine.images`: the catalog's verbs, and building.

It must not know how a build shows itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labcontainers.build.builder import Builder, BuildRequest
from labcontainers.build.progress import OnEvent
from labcontainers.build.result import Build
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.engine.step_runner import RuntimeStepRunner
from labcontainers.images.catalog import Catalog, RemovedImage
from labcontainers.images.image import Image
from labcontainers.store.layout import Store


class Images:
    """All images of the store."""

    def __init__(self, catalog: Catalog, store: Store, lifecycle: Lifecycle) -> None:
        self._catalog = catalog
        self._store = store
        self._lifecycle = lifecycle

    def get(self, name: str) -> Image:
        """By reference, id or the beginning of an id; raises NotFound."""
        return self._catalog.get(name)

    def find(self, name: str) -> Image | None:
        """By reference, id or the beginning of an id, or None."""
        return self._catalog.find(name)

    def list(self, all: bool = False) -> list[Image]:
        """Tagged images, or with `all` untagged ones too, newest first."""
        return self._catalog.list(all)

    def tag(self, name: str, reference: str) -> Image:
        """Give an image one more name."""
        return self._catalog.tag(self._catalog.get(name), reference)

    def remove(self, name: str, force: bool = False) -> RemovedImage:
        """Untag an image, and delete it with what no other image needs; raises Conflict when a container uses it."""
        return self._catalog.remove(name, force)

    def prune(self) -> RemovedImage:
        """Delete untagged images that no container uses."""
        return self._catalog.prune()

    def build(
        self,
        path: str | Path = ".",
        *,
        dockerfile_text: str | None = None,
        dockerfile: str | None = None,
        tags: Sequence[str] = (),
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        no_cache: bool = False,
        network: str = "bridge",
        labels: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
    ) -> Build:
        """Build an image from a context folder and a Dockerfile (`dockerfile_text`, or the file's name in the context).

        `on_event` is told of each step, in this thread. Raises as build.builder.Builder.build() does; blocks.
        """
        request = BuildRequest(
            context=Path(path),
            dockerfile_text=dockerfile_text,
            dockerfile=dockerfile,
            tags=tuple(tags),
            build_args=dict(build_args or {}),
            target=target,
            no_cache=no_cache,
            network=network,
            labels=dict(labels or {}),
        )
        runner = RuntimeStepRunner(self._lifecycle)
        return Builder(self._store, self._catalog, runner, self._lifecycle.launcher).build(request, on_event)
