"""The images of the shared stores that the setting names, and how they come into the user's own store: linked, not copied.

On use an image's row goes into the user's catalog, without its names, which stay those of the shared store: who replaces an image there
replaces it for everybody. Its trees are linked where their ids are those of the user's containers; else its layers are unpacked into the
user's store from the shared bytes, without a download. It must not know who writes shared stores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from labcontainers.errors import InvalidReference, LabError, NotFound
from labcontainers.images.archive.contents import OwnPiece
from labcontainers.images.catalog import Catalog
from labcontainers.images.install import Installer
from labcontainers.images.layer_source import LayerSource
from labcontainers.images.shared.contract import Listed
from labcontainers.images.shared.reading import Ids, LayerFacts, SharedImage, SharedStore, matches
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import Manifest
from labcontainers.oci.reference import parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store, while_making
from labcontainers.store.records import LayerBlobRow, ManifestRow

Value = TypeVar("Value")


class SharedImages:
    """The images of some shared stores, those of the first store first. Thread-safe; nothing is read before it is asked for."""

    def __init__(self, paths: Sequence[Path], store: Store, catalog: Catalog, launcher: LauncherProcess) -> None:
        self.stores = tuple(map(SharedStore, paths))
        self._store = store
        self._launcher = launcher
        self._installer = Installer(store, catalog, launcher)
        self._lock = threading.Lock()
        self._problems: dict[Path, LabError] = {}

    @property
    def active(self) -> bool:
        """Whether there are any shared stores."""
        return bool(self.stores)

    @cached_property
    def ids(self) -> Ids:
        """With which ids the trees of this user are written; blocks when it is first asked for."""
        return Ids.of(self._launcher)

    def problem(self) -> LabError | None:
        """Why a store cannot be used, or an image of it cannot be listed, as of the last look at it; None when all is well."""
        with self._lock:
            return next(iter(self._problems.values()), None)

    def problems(self) -> list[LabError]:
        """Look at every store; what is wrong with each of which something is."""
        self.listed()
        with self._lock:
            return list(self._problems.values())

    def _images(self, store: SharedStore) -> tuple[SharedImage, ...]:
        """Those of a store; none where that cannot be used, which is noted."""
        return self._noting(store, store.images) or ()

    def _noting(self, store: SharedStore, look: Callable[[], Value]) -> Value | None:
        try:
            return look()
        except LabError as error:
            with self._lock:
                self._problems[store.path] = error
            return None

    def _begin(self) -> None:
        with self._lock:
            self._problems.clear()

    def listed(self) -> Mapping[str, Listed]:
        """Every image by the digest of its manifest, with those of its names that no earlier store has."""
        self._begin()
        found: dict[str, Listed] = {}
        taken: set[str] = set()
        for store in self.stores:
            for image in self._images(store):
                names = tuple(name for name in image.names if name not in taken)
                taken.update(names)
                listed = self._noting(store, partial(_listed, image, names))
                if listed is not None:
                    before = found.get(image.digest)
                    found[image.digest] = listed if before is None else Listed(before.row, (*before.names, *names), before.place)
        return found

    def names(self, digest: str) -> tuple[str, ...] | None:
        """The canonical names of a manifest, None where no store has it; quick, since no document is read."""
        owners: dict[str, str] = {}
        images = [image for store in self.stores for image in self._images(store)]
        for image in images:
            for name in image.names:
                owners.setdefault(name, image.digest)
        if not any(image.digest == digest for image in images):
            return None
        return tuple(name for name, owner in owners.items() if owner == digest)

    def find(self, name_or_id: str) -> SharedImage | None:
        """By name, digest, id or the beginning of an id; a name before an id, whichever store has it. Not to be had: None."""
        self._begin()
        try:
            reference = None if name_or_id.startswith("sha256:") else parse_reference(name_or_id)
        except InvalidReference:
            reference = None
        canonical = reference.canonical if reference is not None else ""
        images = [image for store in self.stores for image in self._images(store)]
        for image in images:
            if canonical in image.names or name_or_id == image.digest:
                return image
        for image in images:
            if self._noting(image.store, partial(matches, image, name_or_id, reference)):
                return image
        return None

    def place(self, name_or_id: str) -> Path | None:
        """The store that has an image."""
        found = self.find(name_or_id)
        return None if found is None else found.store.path

    # --- into the user's own store

    def borrow(self, name_or_id: str) -> str | None:
        """Bring an image into the user's catalog, without names; the digest of its manifest, None where no store has it.

        Raises NotFound, DigestMismatch and the like, naming image and store, for one that is not whole.
        """
        found = self.find(name_or_id)
        if found is None:
            return None
        try:
            self._bring(found)
        except NotFound as error:
            raise NotFound(f"image {found.name} cannot be used: {error.message}", error.hint) from None
        return found.digest

    @while_making(lambda self: self._store)
    def _bring(self, image: SharedImage) -> None:
        documents = image.documents()
        manifest, diff_ids = Manifest.from_bytes(documents.manifest), ImageConfig.from_bytes(documents.config).diff_ids
        trees = image.store.trees(self.ids)
        sources = []
        for position, (layer, (chain, facts)) in enumerate(zip(manifest.layers, image.chains(diff_ids), strict=True)):
            tree = image.store.tree(chain, trees) if trees is not None else None
            # above a layer whose tree is lost all are unpacked, since a layer can only be put on one that is there
            trees = trees if tree is not None else None
            if tree is not None and not self._store.snapshots.has(chain):
                self._store.snapshots.link(tree, diff_ids[:position], diff_ids[position], facts.size_bytes, unpacked=facts.unpacked)
            sources.append(self._source(image.store, layer, diff_ids[position], facts, linked=tree is not None))
        self._installer.install(documents.manifest, documents.config, sources, ())

    def _source(self, store: SharedStore, layer: Descriptor, diff_id: str, facts: LayerFacts, *, linked: bool) -> LayerSource:
        """Where a layer's stored bytes are. They are linked, too, but for a tree that gives its tar, as for one that was made here."""
        if not (linked and layer.digest == diff_id and not facts.unpacked):
            path = store.blob(layer)
            self._store.blobs.link(layer.digest, path)
            known = self._store.records.find_layer_blob(diff_id)
            if known is None or not self._store.blobs.has(known.digest):
                self._store.records.put_layer_blob(LayerBlobRow(diff_id, layer.digest, layer.media_type, layer.size))
        return LayerSource(diff_id, lambda offset: _open(store.blob(layer), layer.size, offset), layer.digest, layer.size, layer.media_type)


def _open(path: Path, size: int, offset: int) -> OwnPiece:
    return OwnPiece(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), offset, size)


def _listed(image: SharedImage, names: tuple[str, ...]) -> Listed:
    size = sum(layer.size_bytes for layer in image.layers)
    return Listed(ManifestRow(image.digest, image.id, size, image.store.changed_at, image.facts), names, image.store.path)
