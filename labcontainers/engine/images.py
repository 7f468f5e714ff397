"""`engine.images`: the catalog's verbs, and building.

It must not know how a build shows itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from labcontainers.build.builder import Builder, BuildRequest
from labcontainers.build.progress import OnEvent
from labcontainers.build.result import Build
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.engine.step_runner import RuntimeStepRunner
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.catalog import Catalog, RemovedImage
from labcontainers.images.image import Image
from labcontainers.store.layout import Store

_BUILD_KEYWORDS = (
    "path", "dockerfile_text", "dockerfile", "tag", "tags", "build_args", "target", "no_cache", "network", "labels", "on_event",
)  # fmt: skip
# docker-py's keywords that have another name here, and those that have no meaning yet.
_RENAMED = {"buildargs": "build_args", "nocache": "no_cache", "network_mode": "network", "fileobj": "dockerfile_text"}
_LATER = frozenset(
    "cache_from container_limits custom_context encoding extra_hosts forcerm gzip isolation platform pull quiet rm shmsize squash timeout "
    "use_config_proxy".split()
)


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _unknown(key: str) -> InvalidArgument | Unsupported:
    if key in _LATER:
        return Unsupported(f"build: the option {key!r} is not supported yet", "leave it out")
    near = [_RENAMED[key]] if key in _RENAMED else difflib.get_close_matches(key, _BUILD_KEYWORDS, n=1)
    return InvalidArgument(
        f"build: unknown option {key!r}", f"did you mean {near[0]}?" if near else f"options are {', '.join(_BUILD_KEYWORDS)}"
    )


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
        tag: str | Sequence[str] = (),
        tags: str | Sequence[str] = (),
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        no_cache: bool = False,
        network: str = "bridge",
        labels: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
        **unknown: object,
    ) -> Build:
        """Build an image from a context folder and a Dockerfile (`dockerfile_text`, or the file's name in the context).

        `tag` and `tags` mean the same: one name or several. `on_event` is told of each step, in this thread. Raises as
        build.builder.Builder.build() does, and InvalidArgument or Unsupported for an unknown keyword; blocks.
        """
        if unknown:
            raise _unknown(next(iter(unknown)))
        request = BuildRequest(
            context=Path(path),
            dockerfile_text=dockerfile_text,
            dockerfile=dockerfile,
            tags=(*_names(tag), *_names(tags)),
            build_args=dict(build_args or {}),
            target=target,
            no_cache=no_cache,
            network=network,
            labels=dict(labels or {}),
        )
        runner = RuntimeStepRunner(self._lifecycle)
        return Builder(self._store, self._catalog, runner, self._lifecycle.launcher).build(request, on_event)
