"""The stored form of a layer that was made here: its canonical tar, compressed always to the same bytes, kept as a blob from then on.

It must not know registries. Source: OCI image spec, layer.md; what makes the bytes the same everywhere is store.tar_writer and
store.compression.GzipWriter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labcontainers.errors import DigestMismatch
from labcontainers.images.tree_stream import tree_stream
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id
from labcontainers.oci.manifest import MEDIA_TYPE_LAYER_GZIP
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.blobs import BlobWriter
from labcontainers.store.layout import Store
from labcontainers.store.records import LayerBlobRow

_CHUNK = 1 << 20


def stored_layer(
    diff_ids: Sequence[str],
    store: Store,
    launcher: LauncherProcess,
    on_bytes: Callable[[int], None] = lambda count: None,
    on_stored: Callable[[BlobWriter], None] = lambda writer: None,
) -> Descriptor:
    """The stored bytes of the last of these layers, from the bottom up; made now if there are none. Blocks.

    `on_bytes` is told how much of the tar is done, `on_stored` where more of what is made of it is. What they raise ends it. Raises
    NotFound, and DigestMismatch for a tree that was damaged.
    """
    diff_id = diff_ids[-1]
    row = store.records.find_layer_blob(diff_id)
    if row is None or not store.blobs.has(row.digest):
        row = _compress(diff_ids, store, launcher, on_bytes, on_stored)
        store.records.put_layer_blob(row)
    return Descriptor(row.media_type, row.digest, row.size_bytes)


def _compress(
    diff_ids: Sequence[str],
    store: Store,
    launcher: LauncherProcess,
    on_bytes: Callable[[int], None],
    on_stored: Callable[[BlobWriter], None],
) -> LayerBlobRow:
    from labcontainers.store.compression import GzipWriter

    store.snapshots.lower_paths(diff_ids)  # raises NotFound
    tree = store.snapshots.tree(chain_id(diff_ids))
    with tree_stream(launcher, tree) as (pipe, errand), store.blobs.writer() as blob, GzipWriter() as writer:
        buffer = memoryview(bytearray(_CHUNK))
        done = 0
        while count := pipe.readinto(buffer):
            blob.write(writer.feed(buffer[:count]))
            done += count
            on_bytes(done)
            on_stored(blob)
        blob.write(writer.finish())
        _check(errand.result()["diff_id"], diff_ids[-1])
        digest, size_bytes = blob.commit()
    return LayerBlobRow(diff_ids[-1], digest, MEDIA_TYPE_LAYER_GZIP, size_bytes)


def _check(found: str, diff_id: str) -> None:
    if found != diff_id:
        raise DigestMismatch(f"the tree of layer {diff_id} is damaged: it is {found}", "make the image again")
