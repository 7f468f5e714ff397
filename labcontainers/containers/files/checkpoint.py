"""`checkpoint` and `rollback`: a container's files are kept as they are now, and come back; of its memory nothing is kept.

It must not know how layers lie on disk: that is store.layer_line's.

One that stands still is frozen by a word in a file, whatever its size: the layer that it wrote to becomes a checkpoint, and it goes on
with an empty one. Overlay cannot be given another layer to write to while a container runs; then the layer is copied while the
container is paused, by reference where the file system can (copy_file_range(2)), and the copy is the checkpoint.
"""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from labcontainers.containers.files.commit import image_config, run_config, standing_still
from labcontainers.containers.files.diff import Changes, compare, layers_of
from labcontainers.containers.files.frozen_layers import chain_of
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.state import settle
from labcontainers.containers.trees import Trees, trees_of
from labcontainers.errors import Conflict
from labcontainers.images.image import Image
from labcontainers.kernel.mounts import overlay_fits
from labcontainers.oci.reference import parse_reference
from labcontainers.store import layer_line
from labcontainers.store.layer_line import Frozen, Line
from labcontainers.store.layout import while_making
from labcontainers.store.space import tells_full_disk
from labcontainers.units import format_age, format_bytes


class Checkpoint:
    """The files of a container as they were once. Two of the same container and number are equal."""

    def __init__(self, lifecycle: Lifecycle, record: Record, frozen: Frozen, line: Line) -> None:
        self._lifecycle = lifecycle
        self._record = record
        self._frozen = frozen
        self.current = line.head == frozen.number

    @property
    def number(self) -> int:
        """From 1 on; a number is never used again."""
        return self._frozen.number

    @property
    def label(self) -> str:
        """As it was given, or ""."""
        return self._frozen.label

    @property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return self._frozen.created_at

    @property
    def parent(self) -> int:
        """The number of the checkpoint before it; 0 for the image."""
        return self._frozen.parent

    @property
    def base(self) -> int:
        """The checkpoint on whose files its own lie. It is an earlier one than `parent` where the container ran."""
        return self._frozen.base

    @property
    def automatic(self) -> bool:
        """Whether a rollback took it, of what was about to be lost."""
        return self._frozen.automatic

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of what changed since its `base`."""
        return int(self._measured()["size_bytes"])

    @property
    def changed_files(self) -> int:
        """How many paths were added, changed or deleted since its `base`."""
        return int(self._measured()["changes"])

    def _measured(self) -> dict[str, Any]:
        directory, tree = self._record.directory, self._frozen.tree
        known = layer_line.read_measured(directory).get(tree, {})
        if "size_bytes" not in known:
            compared = layers_of(self._lifecycle, self._record, [str(directory / tree)], self._below())
            known = self._lifecycle.launcher.call("labcontainers.containers.files.changes:weigh", **compared)
            layer_line.write_measured(directory, tree, **known)
        return known

    def _below(self) -> Sequence[str]:
        line = layer_line.read(self._record.directory)
        frozen = [str(self._record.directory / tree) for tree in line.trees(self.base)]
        return [*frozen, *trees_of(self._lifecycle.store.snapshots, self._record, line).image]

    def diff(self) -> Changes:
        """What changed since its `base`: a list of {"Path", "Kind"}. Raises NotFound."""
        self._lifecycle.state(self._record)
        return compare(self._lifecycle, self._record, [str(self._record.directory / self._frozen.tree)], self._below())

    def image(self, name: str | None = None) -> Image:
        """An image of the container as it was then, to be run, tagged or built on; the same checkpoint gives the same image."""
        return image_of(self._lifecycle, self._record, self.number, name)

    def remove(self) -> None:
        """Take it away; raises Conflict while others, or the container as it is now, lie on it."""
        remove_checkpoint(self._lifecycle, self._record, self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and (other._record.row.id, other.number) == (self._record.row.id, self.number)

    def __hash__(self) -> int:
        return hash((self._record.row.id, self.number))

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Checkpoint {self.number}{label} of {self._record.row.name}, {format_age(time.time() - self.created_at)} ago>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self)[1:-1])


class Checkpoints(Sequence[Checkpoint]):
    """The checkpoints of a container, oldest first, and where it is among them; printed as the line that they are."""

    def __init__(self, name: str, items: Sequence[Checkpoint], line: Line) -> None:
        self._name = name
        self._items = list(items)
        self._line = line

    @property
    def head(self) -> int:
        """The checkpoint from which the container's present files come; 0 for the image."""
        return self._line.head

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Checkpoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Checkpoint]: ...
    def __getitem__(self, index: int | slice) -> Checkpoint | Sequence[Checkpoint]:
        return self._items[index]

    def get(self, step: int | str) -> Checkpoint:
        """By number or label; raises NotFound."""
        number = self._line.find(step)
        self._line.get(number)
        return next(one for one in self._items if one.number == number)

    def __repr__(self) -> str:
        now = time.time()
        here = "   <- now"
        lines = [f"{self._name}: 0 is the image{'' if self.head else here}"]
        for one in self._items:
            changed = f"{one.changed_files} changed, {format_bytes(one.size_bytes)}"
            words = f"{one.number:>4}  {name_of(one):<24}  after {one.parent:<4} {changed:<24} {format_age(now - one.created_at)} ago"
            lines.append(words + here * one.current)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from labcontainers.containers.files.checkpoint_line import line_html

        return line_html(self._name, self._items, self.head, time.time())


def name_of(one: Checkpoint) -> str:
    """Its label; for one without, who took it."""
    return one.label or ("before a rollback" if one.automatic else "")


def list_checkpoints(lifecycle: Lifecycle, record: Record) -> Checkpoints:
    """All of them. Raises NotFound when the container is gone."""
    lifecycle.state(record)
    line = layer_line.read(record.directory)
    return Checkpoints(record.row.name, [Checkpoint(lifecycle, record, one, line) for one in line.frozen], line)


@tells_full_disk(lambda lifecycle: lifecycle.store.paths.root)
def checkpoint(lifecycle: Lifecycle, record: Record, label: str = "", *, pause: bool = True) -> Checkpoint:
    """Keep the container's files as they are now, without its volumes and its memory.

    Of one that stands still nothing is copied; with `pause` a running one stands still while what it changed is copied, where this host
    can freeze it. Raises InvalidArgument and Conflict for the label, NotFound.
    """
    with _alone(lifecycle, record) as is_running:
        trees = trees_of(lifecycle.store.snapshots, record)
        if is_running:
            compared = layers_of(lifecycle, record, [trees.upper], trees.lower)

            def copy(target: Path) -> None:
                with standing_still(lifecycle, record, pause):
                    lifecycle.launcher.call(
                        "labcontainers.containers.files.layer_copy:copy_layer", **compared, target=str(target), frozen=False
                    )

            made = layer_line.keep_copy(record.directory, lifecycle.launcher, copy, label)
        else:
            _check_depth(record, trees)
            made = layer_line.freeze(record.directory, lifecycle.launcher, label)
    lifecycle.tell(record, "checkpoint", {"checkpoint": str(made.number), "label": label})
    return Checkpoint(lifecycle, record, made, layer_line.read(record.directory))


def _check_depth(record: Record, trees: Trees) -> None:
    """Raises Conflict when overlay could not mount one layer more."""
    # The most that is ever mounted: for `cp`, all layers of one that stands still lie below another one (files.root_view).
    above = f"{record.directory}/layers/{'0' * 8}/fs"
    if not overlay_fits([above, *trees.own, *trees.image], f"{record.directory}/root/upper", f"{record.directory}/root/work"):
        raise Conflict(
            f"container {record.row.name} lies on as many checkpoints as this kernel takes: {len(trees.frozen)}",
            "commit it and go on with the image, or roll back to an earlier one",
        )


@contextlib.contextmanager
def _alone(lifecycle: Lifecycle, record: Record) -> Iterator[bool]:
    """While nobody else starts or removes the container; whether it runs. Raises NotFound."""
    with lifecycle.store.locks.hold(lifecycle.store.container_lock(record.row.id)):
        lifecycle.state(record)
        yield settle(record.directory, record.row.name).running


@tells_full_disk(lambda lifecycle: lifecycle.store.paths.root)
def rollback(
    lifecycle: Lifecycle,
    record: Record,
    step: int | str | None = None,
    *,
    force: bool = False,
    discard: bool = False,
    timeout_s: float | None = None,
) -> Checkpoint | None:
    """Let the container's files be again what they were at `step`: a checkpoint's number or label, or 0 for the image; else the last one.

    What has changed since becomes a checkpoint of its own, which is returned, unless there is nothing or it is to be `discard`ed.
    Later checkpoints stay. A running container is refused, or with `force` stopped first and started again afterwards.
    Raises Conflict, NotFound.
    """
    line = layer_line.read(record.directory)
    number = line.head if step is None else line.find(step)
    with contextlib.ExitStack() as pausing:
        again = force and lifecycle.state(record).running
        if again:
            pausing.enter_context(lifecycle.restarting(record))
            lifecycle.stop(record, timeout_s, keep=True)
        with _alone(lifecycle, record) as is_running:
            if is_running:
                raise Conflict(
                    f"container {record.row.name} is running",
                    "stop it first, or use --force, which also starts it again",
                )
            kept = layer_line.roll_back(record.directory, lifecycle.launcher, number, keep=not discard)
        told = {"checkpoint": str(number), **({"kept": str(kept.number)} if kept is not None else {})}
        lifecycle.tell(record, "rollback", told)
        if again:
            lifecycle.start(record)[0].close()
    return Checkpoint(lifecycle, record, kept, layer_line.read(record.directory)) if kept is not None else None


def remove_checkpoint(lifecycle: Lifecycle, record: Record, step: int | str) -> None:
    """Take a checkpoint away. Raises NotFound, and Conflict while others, or the container as it is now, lie on it."""
    with _alone(lifecycle, record):
        line = layer_line.read(record.directory)
        number = line.find(step)
        if not number:
            raise Conflict("0 is the image, and no checkpoint", "name a checkpoint: `checkpoints NAME` lists all of them")
        layer_line.remove(record.directory, lifecycle.launcher, number)


@tells_full_disk(lambda lifecycle: lifecycle.store.paths.root)
@while_making(lambda lifecycle: lifecycle.store)
def image_of(lifecycle: Lifecycle, record: Record, number: int, name: str | None = None) -> Image:
    """An image of the container as it was at a checkpoint, which runs what the container runs. Raises as commit() does; blocks."""
    if name is not None:
        parse_reference(name)
    lifecycle.state(record)
    line = layer_line.read(record.directory)
    chain = chain_of(lifecycle, record, line, line.get(number).number)
    made = image_config(lifecycle, record, run_config(record), chain)
    return lifecycle.catalog.put(made, chain.layers, [name] if name is not None else [])
