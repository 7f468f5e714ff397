"""A build cache from elsewhere, asked when the store has not what a step made; its layers come only for steps that are found.

A cache can claim anything. What is taken of it is a layer, by the key of a step, under three conditions: it lies on exactly what the
step builds on, its stored bytes and its tar have the digests that were said, and it is no part of a machine's root. Whoever gives a
cache is trusted as whoever gives a base image is: that the step would have made this layer cannot be seen from it.

It must not know the records of a store's own cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from labcontainers.build.caching.document import CachedLayer, CacheDocument, read_cache
from labcontainers.build.caching.places import Place, read_document
from labcontainers.build.caching.specs import FROM
from labcontainers.errors import Cancelled, LabError, NoSpace
from labcontainers.images.host_root import refuse_foreign
from labcontainers.images.layer_flow import complete, receive, unpack_to
from labcontainers.images.layer_source import LayerSource
from labcontainers.oci.digest import chain_id
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store
from labcontainers.store.records import LayerBlobRow
from labcontainers.store.snapshots import Layer


class CacheSource:
    """One cache of --cache-from. Thread-safe. `warnings` tell what was wrong with it, each once."""

    def __init__(self, name: str, place: Callable[[], Place], store: Store, launcher: LauncherProcess) -> None:
        self._name = name
        self._open_place = place
        self._store = store
        self._launcher = launcher
        self._lock = threading.Lock()
        self._loaded: tuple[Place, CacheDocument] | None = None
        self._failed = False
        self.warnings: list[str] = []

    def _load(self) -> tuple[Place, CacheDocument] | None:
        """What is there, read once, when it is first asked for; None where nothing can be had."""
        with self._lock:
            if self._loaded is None and not self._failed:
                try:
                    place = self._open_place()
                    manifest = place.manifest()
                    self._loaded = place, read_cache(manifest, read_document(place, manifest.config))
                except (LabError, OSError) as error:
                    self._failed = True
                    self._warn("cannot be used", error)
            return self._loaded

    def _warn(self, what: str, error: Exception) -> None:
        text = f"{FROM}: {self._name} {what}: {getattr(error, 'message', error)}"
        if text not in self.warnings:
            self.warnings.append(text)

    def find(self, key: str, below: Sequence[str]) -> tuple[Layer | None] | None:
        """What the step with this key made above the layers `below`, brought into the store; None where it is not known, or not so."""
        loaded = self._load()
        if loaded is None or key not in loaded[1].steps:
            return None
        layer = loaded[1].steps[key]
        if layer is None:
            return (None,)
        if layer.chain_id != chain_id([*below, layer.diff_id]):
            return None
        try:
            return (self._bring(loaded[0], layer, list(below)),)
        except (NoSpace, Cancelled):
            raise
        except (LabError, OSError) as error:
            self._warn(f"has no usable layer {layer.diff_id}", error)
            return None

    def _bring(self, place: Place, layer: CachedLayer, below: list[str]) -> Layer:
        refuse_foreign([layer.diff_id])
        row = self._store.records.find_layer(layer.chain_id)
        if row is not None and self._store.snapshots.has(layer.chain_id):
            return Layer(layer.diff_id, layer.chain_id, row.size_bytes)
        stored = layer.stored
        source = LayerSource(layer.diff_id, partial(place.open, stored), stored.digest, stored.size, stored.media_type)
        scratch = self._store.snapshots.new_tree(below)
        try:
            arrived = receive(source, self._store.blobs, self._store.downloads, unpack_to(scratch, self._store, self._launcher))
            unpacked = arrived.unpacked or {}
            self._store.records.put_layer_blob(LayerBlobRow(layer.diff_id, arrived.digest, stored.media_type, arrived.size_bytes))
            complete(scratch, below, unpacked, self._store, self._launcher)
            return self._store.snapshots.adopt(scratch, below, layer.diff_id, unpacked["size_bytes"])
        except BaseException:
            self._store.snapshots.discard(scratch)
            raise
