"""An image from elsewhere becomes one of the store: its layers come in beside each other, are put in order, and get their names.

It must not know where the layers come from: registries and archives give it sources (images.layer_flow).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labcontainers.errors import Conflict, InvalidArgument, LabError
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import refuse_foreign
from labcontainers.images.image import Image
from labcontainers.images.layer_flow import Arrived, complete, receive, unpack_to
from labcontainers.images.layer_source import LayerSource, Stop, Stopped
from labcontainers.images.transfer import LayerProgress, OnProgress, nobody
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import (
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_LAYER,
    MEDIA_TYPE_LAYER_GZIP,
    MEDIA_TYPE_LAYER_ZSTD,
    Manifest,
)
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store, while_making
from labcontainers.store.records import LayerBlobRow

# As many layers as Docker downloads at once.
_AT_ONCE = 3
# More than an overlay can have (OVL_MAX_STACK).
_MOST_LAYERS = 500
_ATTEMPTS = 3
_MEDIA_TYPES = {"": MEDIA_TYPE_LAYER, "gzip": MEDIA_TYPE_LAYER_GZIP, "zstd": MEDIA_TYPE_LAYER_ZSTD}


@dataclass(slots=True)
class _Staged:
    """A layer that has come in: where its tree is, unless the store had that already."""

    arrived: Arrived
    scratch: Path | None


class Installer:
    """Puts images into a store. Thread-safe, and safe beside other processes."""

    def __init__(self, store: Store, catalog: Catalog, launcher: LauncherProcess) -> None:
        self._store = store
        self._catalog = catalog
        self._launcher = launcher

    @while_making(lambda self: self._store)
    def install(
        self,
        manifest: bytes | None,
        config: bytes,
        layers: Sequence[LayerSource],
        references: Sequence[str],
        *,
        digests: Sequence[str] = (),
        on_progress: OnProgress = nobody,
    ) -> Image:
        """The image of these documents, whose layers (from the bottom up) are read unless they are there; blocks.

        Without a manifest one is made. `digests` are its names with a digest. Raises InvalidArgument and DigestMismatch for an image
        that is not what it says, and what the sources raise; then nothing of it stays but what was downloaded so far.
        """
        described = ImageConfig.from_bytes(config)
        refuse_foreign(described.diff_ids)
        if len(layers) > _MOST_LAYERS:
            raise InvalidArgument(f"the image has {len(layers)} layers", f"at most {_MOST_LAYERS} are possible")
        if tuple(layer.diff_id for layer in layers) != described.diff_ids:
            raise InvalidArgument(f"the image has {len(layers)} layers, but its config tells of {len(described.diff_ids)} or of others")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                arrived = self._bring(layers, on_progress)
                document = manifest or self._manifest(config, arrived)
                return self._catalog.put_whole(document, config, references, digests)
            except Conflict:
                # another process removed a layer that both share, before it was protected by this image
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _manifest(self, config: bytes, layers: Sequence[Descriptor]) -> bytes:
        return Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), tuple(layers)).to_bytes()

    def _bring(self, layers: Sequence[LayerSource], on_progress: OnProgress) -> list[Descriptor]:
        stop = Stop()
        found: list[Descriptor] = []
        diff_ids = [layer.diff_id for layer in layers]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lab-layer") as pool:
            coming: list[Future[_Staged | None]] = []
            try:
                for count, layer in enumerate(layers, 1):
                    # all at once and in order, so that it is known from the beginning how much there is to come
                    if not self._is_there(layer, chain_id(diff_ids[:count])):
                        on_progress(LayerProgress(_name(layer), "Pulling fs layer", 0, layer.size))
                for count, layer in enumerate(layers, 1):
                    coming.append(pool.submit(self._one, layer, chain_id(diff_ids[:count]), stop, on_progress))
                for count, layer in enumerate(layers):
                    found.append(self._settle(coming[count].result(), layer, diff_ids[:count], on_progress))
            except BaseException as error:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                for future in coming:
                    self._drop(future)
                raise _reason(error, coming) from None
        return found

    def _drop(self, future: Future[_Staged | None]) -> None:
        """A tree that will not be needed, unless it is in its place or gone already."""
        if future.cancelled() or future.exception() is not None:
            return
        staged = future.result()
        if staged is not None and staged.scratch is not None and staged.scratch.exists():
            with contextlib.suppress(LabError):
                self._store.snapshots.discard(staged.scratch)

    def _one(self, layer: LayerSource, chain: str, stop: Stop, on_progress: OnProgress) -> _Staged | None:
        """Bring in what the store lacks of a layer; None when it lacks nothing."""
        has_tree = self._store.snapshots.has(chain)
        if self._is_there(layer, chain):
            return None

        def tell(status: str, current: int = 0) -> None:
            on_progress(LayerProgress(_name(layer), status, current, layer.size))

        stop.check()
        scratch = None if has_tree else self._store.snapshots.new_tree()
        try:
            unpacking = None if scratch is None else unpack_to(scratch, self._store, self._launcher)
            told = partial(tell, "Downloading")
            arrived = receive(layer, self._store.blobs, self._store.downloads, unpacking, told, stop)
        except BaseException:
            stop.set()
            if scratch is not None:
                self._store.snapshots.discard(scratch)
            raise
        tell("Download complete", arrived.size_bytes)
        return _Staged(arrived, scratch)

    def _is_there(self, layer: LayerSource, chain: str) -> bool:
        """Whether the store lacks nothing of a layer."""
        return self._store.snapshots.has(chain) and self._has_content(layer)

    def _has_content(self, layer: LayerSource) -> bool:
        """Whether the stored bytes are there, or can be written anew from the tree."""
        if layer.digest and self._store.blobs.has(layer.digest):
            return True
        if layer.digest in ("", layer.diff_id):
            row = self._store.records.find_layer_blob(layer.diff_id)
            return row is None or self._store.blobs.has(row.digest)
        return False

    def _settle(self, staged: _Staged | None, layer: LayerSource, below: list[str], on_progress: OnProgress) -> Descriptor:
        """Put a layer that has come in above those below it; its descriptor."""
        if staged is None:
            on_progress(LayerProgress(_name(layer), "Already exists"))
            return self._descriptor(layer)
        arrived = staged.arrived
        media_type = layer.media_type or _MEDIA_TYPES.get(arrived.compression, MEDIA_TYPE_LAYER)
        self._store.records.put_layer_blob(LayerBlobRow(layer.diff_id, arrived.digest, media_type, arrived.size_bytes))
        if staged.scratch is not None:
            unpacked = arrived.unpacked or {}
            on_progress(LayerProgress(_name(layer), "Extracting", unpacked["size_bytes"], unpacked["size_bytes"]))
            if below:
                self._store.snapshots.stand_on(staged.scratch, below)
            complete(staged.scratch, below, unpacked, self._store, self._launcher)
            self._store.snapshots.adopt(staged.scratch, below, layer.diff_id, unpacked["size_bytes"])
        on_progress(LayerProgress(_name(layer), "Pull complete", arrived.size_bytes, arrived.size_bytes))
        return Descriptor(media_type, arrived.digest, arrived.size_bytes)

    def _descriptor(self, layer: LayerSource) -> Descriptor:
        row = self._store.records.find_layer_blob(layer.diff_id)
        if layer.digest and layer.size >= 0:
            media_type = layer.media_type or (row.media_type if row is not None else MEDIA_TYPE_LAYER)
            return Descriptor(media_type, layer.digest, layer.size)
        if row is not None:
            return Descriptor(row.media_type, row.digest, row.size_bytes)
        found = [known for known in self._store.records.list_layers() if known.diff_id == layer.diff_id]
        return Descriptor(MEDIA_TYPE_LAYER, layer.diff_id, found[0].size_bytes)


def _reason(error: BaseException, coming: Sequence[Future[_Staged | None]]) -> BaseException:
    """Why it failed: not the layers that were stopped because of another one."""
    if not isinstance(error, Stopped):
        return error
    failures = [future.exception() for future in coming if future.done() and not future.cancelled()]
    return next((failure for failure in failures if failure is not None and not isinstance(failure, Stopped)), error)


def _name(layer: LayerSource) -> str:
    return (layer.digest or layer.diff_id).partition(":")[2][:12]
