"""`build --squash`: the layers of a build as one above its base, and the history that says so; it must not know steps.

Source: moby, daemon/images/image_squash.go: which entries of the history stay, and the words of the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from labcontainers.kernel import id_maps
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.image_config import HistoryEntry, ImageConfig
from labcontainers.store.host_layer import HOST_ROOT, is_host
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer, TreeWorker


class Base(Protocol):
    """The image that a build stands on."""

    @property
    def id(self) -> str: ...

    @property
    def config(self) -> ImageConfig: ...

    @property
    def diff_ids(self) -> tuple[str, ...]: ...


def squashed(
    store: Store, worker: TreeWorker, config: ImageConfig, layers: Sequence[Layer], base: Base | None
) -> tuple[ImageConfig, Sequence[Layer]]:
    """The config and the layers (from the bottom up) of the same image with one layer above those of `base`, None for scratch.

    Blocks while files are copied. Raises NotFound, OSError.
    """
    below = base.diff_ids if base is not None else ()
    scratch = store.snapshots.new_tree(config.diff_ids)
    try:
        diff_ids = config.diff_ids
        trees = [_tree(store, diff_ids[:number]) for number in range(len(diff_ids), 0, -1)]
        count = len(trees) - len(below)
        worker.call(
            "labcontainers.images.squashing:squash",
            above=trees[:count],
            below=trees[count:],
            target=str(scratch / "fs"),
            room=str(scratch),
            userxattr=not id_maps.is_root_of_host(),
        )
        layer = store.snapshots.commit(scratch, below)
    except BaseException:
        store.snapshots.discard(scratch)
        raise
    former = sha256(config.to_bytes())
    comment = f"create new from {former}" if base is None else f"merge {former} to {base.id}"
    kept = len(base.config.history) if base is not None else 0
    history = [*config.history[:kept], *(replace(entry, empty_layer=True) for entry in config.history[kept:])]
    history.append(HistoryEntry(config.created, "", comment))
    return replace(config, diff_ids=(*below, layer.diff_id), history=tuple(history)), [*layers[: len(below)], layer]


def _tree(store: Store, diff_ids: Sequence[str]) -> str:
    """Where the last of these layers is."""
    return HOST_ROOT if is_host(diff_ids[-1]) else str(store.snapshots.tree(chain_id(diff_ids)))
