"""`engine.images`: the catalog's verbs, and building.

It must not know how a build shows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.store.layout import Store


class Images:
    """All images of the store."""

    def __init__(
        self, catalog: Catalog, store: Store, lifecycle: Lifecycle, filter_for: Callable[[frozenset[str]], bytes]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._lifecycle = lifecycle
        self._filter_for = filter_for

    def get(self, name: str) -> Image:
        """By reference, id or the beginning of an id; raises NotFound."""
        return self._catalog.get(name)

    def list(self, all: bool = False) -> list[Image]:
        """Tagged images, or with `all` untagged ones too, newest first."""
        return self._catalog.list(all)

    def tag(self, name: str, reference: str) -> Image:
        """Give an image one more name."""
        return self._catalog.tag(self._catalog.get(name), reference)

    def remove(self, name: str, force: bool = False) -> Any:
        """Untag an image, and delete it with what no other image needs; raises Conflict when a container uses it."""
        return self._catalog.remove(name, force)

    def prune(self) -> Any:
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
        on_event: Callable[[Any], None] | None = None,
    ) -> Any:
        """Build an image from a context folder and a Dockerfile (`dockerfile_text`, or the file's name in the context)."""
        raise NotImplementedError
