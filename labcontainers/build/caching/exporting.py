"""A build's part of the cache goes elsewhere: the records of its steps, and their layers as blobs.

It must not know where that is, nor how a step was done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from labcontainers.build.cache import Seen
from labcontainers.build.caching.document import MEDIA_TYPE, CachedLayer, CacheDocument
from labcontainers.build.caching.places import Place
from labcontainers.images.facts import chains_of
from labcontainers.images.layer_bytes import stored_layer
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import sha256
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.host_layer import stands_on_host
from labcontainers.store.layout import Store

_CHUNK = 1 << 20


def of_image(steps: Iterable[Seen], diff_ids: Sequence[str]) -> list[Seen]:
    """Those of the steps that the image with these layers was made by (mode=min)."""
    chains = {"", *chains_of(diff_ids)}
    return [step for step in steps if (step.layer.chain_id if step.layer else step.parent) in chains]


def export(steps: Iterable[Seen], place: Place, store: Store, launcher: LauncherProcess) -> str:
    """Write a cache of these steps; its manifest's digest. What is there already is not written again.

    What stands on a machine's own root stays out of it. Raises what the place raises.
    """
    found: dict[str, CachedLayer | None] = {}
    for step in steps:
        if step.layer is None:
            found[step.key] = None
        elif not stands_on_host([*step.below, step.layer.diff_id]):
            stored = stored_layer([*step.below, step.layer.diff_id], store, launcher)
            found[step.key] = CachedLayer(step.layer.diff_id, step.layer.chain_id, stored)
    manifest, config = CacheDocument(found).to_manifest()
    for layer in {one.stored.digest: one.stored for one in found.values() if one is not None}.values():
        place.put(layer, partial(_pieces, store, layer.digest))
    place.put(Descriptor(MEDIA_TYPE, sha256(config), len(config)), lambda: iter([config]))
    place.publish(manifest)
    return sha256(manifest)


def _pieces(store: Store, digest: str) -> Iterator[bytes]:
    with store.blobs.open(digest) as file:
        while data := file.read(_CHUNK):
            yield data
