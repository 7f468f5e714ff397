"""Checkpoints of a container as committed layers, each with its entry in an image's history.

It must not know configs. Nothing is copied: the files of a checkpoint, which nobody writes to any more, get a second name in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from labcontainers.containers.files.diff import layers_of
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.planning.host_root import refuse
from labcontainers.containers.register import Record
from labcontainers.errors import Conflict
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry
from labcontainers.store import layer_line
from labcontainers.store.layer_line import Frozen, Line
from labcontainers.store.snapshots import Layer


@dataclass(slots=True)
class Chain:
    """Layers from the bottom up, with the history of those that are not the image's."""

    layers: list[Layer]
    history: list[HistoryEntry] = field(default_factory=list)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Of all layers."""
        return tuple(layer.diff_id for layer in self.layers)

    def add(self, layer: Layer | None, entry: HistoryEntry) -> None:
        """One more step; without a layer where it changed nothing."""
        self.layers += [layer] if layer is not None else []
        self.history.append(entry)


def chain_of(lifecycle: Lifecycle, record: Record, line: Line, number: int) -> Chain:
    """The layers of the image, and the checkpoints up to `number`, committed; blocks.

    Raises Conflict when one was removed meanwhile, and Unsupported for a container without an image.
    """
    refuse(record.options, record.row.name, "commit", "build FROM host, or export it and import that")
    chain = Chain(image_layers(lifecycle, record.diff_ids))
    below = list(lifecycle.store.snapshots.lower_paths(record.diff_ids))
    for one in line.chain(number):
        tree = str(record.directory / one.tree)
        layer = _committed(lifecycle, record, one, tree, below, chain.diff_ids)
        chain.add(layer, _entry(record, one, empty=layer is None))
        below.insert(0, tree)
    return chain


def _entry(record: Record, one: Frozen, *, empty: bool) -> HistoryEntry:
    created = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return HistoryEntry(created, f"checkpoint {one.number} of {record.row.name}", one.label, empty)


def image_layers(lifecycle: Lifecycle, diff_ids: Sequence[str]) -> list[Layer]:
    """The layers of the container's image; raises Conflict when one was removed."""
    found = []
    for count, diff_id in enumerate(diff_ids, 1):
        chain = chain_id(diff_ids[:count])
        row = lifecycle.store.records.find_layer(chain)
        if row is None:
            raise Conflict(f"layer {diff_id} of the container's image was removed", "make the image again")
        found.append(Layer(diff_id, chain, row.size_bytes))
    return found


def _committed(
    lifecycle: Lifecycle, record: Record, one: Frozen, tree: str, below: Sequence[str], diff_ids: tuple[str, ...]
) -> Layer | None:
    """The layer of one checkpoint; None when it changes nothing. It is hashed once, as long as the store has it."""
    known = layer_line.read_measured(record.directory).get(one.tree, {}).get("diff_id")
    if known == "":
        return None
    if known is not None:
        chain = chain_id([*diff_ids, known])
        row = lifecycle.store.records.find_layer(chain) if lifecycle.store.snapshots.has(chain) else None
        if row is not None:
            return Layer(known, chain, row.size_bytes)
    layer = commit_tree(lifecycle, record, tree, below, diff_ids, frozen=True)
    layer_line.write_measured(record.directory, one.tree, diff_id=layer.diff_id if layer is not None else "")
    return layer


def commit_tree(
    lifecycle: Lifecycle,
    record: Record,
    tree: str,
    below: Sequence[str],
    diff_ids: Sequence[str],
    *,
    frozen: bool = False,
    still: AbstractContextManager[None] | None = None,
) -> Layer | None:
    """A copy of one of the container's own trees, which lies on the trees `below`, as the layer above `diff_ids`; None without changes.

    One that is `frozen` is not copied; `still` is entered while files are copied, not while they are hashed.
    """
    snapshots = lifecycle.store.snapshots
    scratch = snapshots.new_tree(diff_ids)
    try:
        with still or nullcontext():
            copied = lifecycle.launcher.call(
                "labcontainers.containers.files.layer_copy:copy_layer",
                **layers_of(lifecycle, record, [tree], below),
                target=str(scratch / "fs"),
                frozen=frozen,
            )
        if copied["changed"]:
            return snapshots.commit(scratch, diff_ids)
    except BaseException:
        snapshots.discard(scratch)
        raise
    snapshots.discard(scratch)
    return None
