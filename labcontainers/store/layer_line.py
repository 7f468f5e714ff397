"""The layers that are a container's own: the one that it writes to, and those that were frozen, its checkpoints; on disk, as one line.

    containers/ID/upper work        the first layer that is written to
    containers/ID/layers/HEX/       each later one: `fs` and overlay's `work`
    containers/ID/line.json         which of them are checkpoints, and which one is written to now
    containers/ID/measured.json     what was found out about the frozen ones

A tree is never moved or copied when it is frozen: the file `line.json` says from then on that another one is written to. It is
replaced by one rename, so that a crash leaves the old line or the new one, and at worst a layer that no line names (`strays`).

It must not know images or processes. Whoever changes a line holds the container's lock, and no overlay of it is mounted then.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from labcontainers.errors import Conflict, Failed, InvalidArgument, NotFound
from labcontainers.store.blobs import fsync_directory

_FIRST = "upper"
_FILE = "line.json"
_MEASURED = "measured.json"
# What a name of a checkpoint may be as long as.
_LABEL_MOST = 128


class Worker(Protocol):
    """Runs "module:function" where files of container ids may be touched."""

    def call(self, function: str, /, **arguments: object) -> Any: ...


@dataclass(frozen=True, slots=True)
class Frozen:
    """A checkpoint: `parent` is the one before it, `base` the one on which its tree lies; 0 is the image for both.

    They differ where a container ran when it was taken: then the tree is a copy, and lies on what the container lay on.
    `created_at` is in seconds since the epoch; an `automatic` one was taken by a rollback.
    """

    number: int
    label: str
    created_at: float
    parent: int
    base: int
    tree: str
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """`upper` is the tree that is written to, `base` the checkpoint on which it lies, `head` the last one that it comes from."""

    upper: str = _FIRST
    base: int = 0
    head: int = 0
    last: int = 0
    frozen: tuple[Frozen, ...] = ()

    @property
    def work(self) -> str:
        """Overlay's work directory for the layer that is written to."""
        return "work" if self.upper == _FIRST else f"{os.path.dirname(self.upper)}/work"

    def get(self, number: int) -> Frozen:
        """The checkpoint of this number; raises NotFound."""
        for one in self.frozen:
            if one.number == number:
                return one
        raise NotFound(f"no such checkpoint: {number}", "`checkpoints NAME` lists all of them")

    def chain(self, number: int) -> tuple[Frozen, ...]:
        """The checkpoint and those on which its tree lies, the lowest first; nothing for 0."""
        found: list[Frozen] = []
        while number:
            found.append(self.get(number))
            number = found[-1].base
        return tuple(reversed(found))

    def trees(self, number: int) -> tuple[str, ...]:
        """The trees of chain(), the top one first, as overlay wants them."""
        return tuple(one.tree for one in reversed(self.chain(number)))

    def find(self, step: int | str) -> int:
        """The number of the checkpoint that a number or label names; 0 for the image. Raises NotFound."""
        text = str(step)
        if text.isdecimal():
            return self.get(int(text)).number if int(text) else 0
        for one in self.frozen:
            if text and one.label == text:
                return one.number
        raise NotFound(f"no such checkpoint: {text}", "`checkpoints NAME` lists all of them; 0 is the image")


def read(directory: Path) -> Line:
    """The line of the container in `directory`; one without checkpoints has no file. Raises Failed when the file is damaged."""
    try:
        data = (directory / _FILE).read_bytes()
    except FileNotFoundError:
        return Line()
    try:
        values = json.loads(data)
        return Line(**{**values, "frozen": tuple(Frozen(**one) for one in values["frozen"])})
    except (ValueError, TypeError, KeyError):
        raise Failed(f"{directory / _FILE} is damaged", "remove the container, or put the file back from a backup") from None


def _write(directory: Path, line: Line) -> None:
    """Replace the line at once and for good (rename(2), fsync(2))."""
    half = directory / f"{_FILE}.new"
    with open(half, "w", encoding="utf-8") as file:
        json.dump(asdict(line), file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(half, directory / _FILE)
    fsync_directory(directory)


def check_label(line: Line, label: str) -> str:
    """The label, if a checkpoint may have it; raises InvalidArgument, or Conflict when one has it already."""
    if label.isdecimal() or label.startswith("-") or not label.isprintable() or len(label) > _LABEL_MOST or label != label.strip():
        raise InvalidArgument(
            f"not a label of a checkpoint: {label!r}",
            f"use up to {_LABEL_MOST} printable characters that are no number, such as before-upgrade",
        )
    for one in line.frozen:
        if label and one.label == label:
            raise Conflict(f"checkpoint with name {label} already exists: it is number {one.number}", "choose another label")
    return label


# --- changes


def _new_layer(directory: Path, worker: Worker, like: str | None) -> str:
    """A layer with nothing in it, whose top has mode, owner, times and attributes of the tree `like`; its tree."""
    place = directory / "layers" / secrets.token_hex(4)
    place.mkdir(mode=0o700, parents=True)
    for name in ("fs", "work"):
        (place / name).mkdir()
        (place / name).chmod(0o755)
    if like is not None:
        worker.call("labcontainers.store.trees:dress", source=str(directory / like), target=str(place / "fs"))
    return str((place / "fs").relative_to(directory))


def freeze(directory: Path, worker: Worker, label: str = "", *, automatic: bool = False) -> Frozen:
    """Make the layer that is written to a checkpoint, and go on with an empty one. Copies nothing."""
    line = read(directory)
    made = Frozen(line.last + 1, check_label(line, label), time.time(), line.head, line.base, line.upper, automatic)
    upper = _new_layer(directory, worker, line.upper)
    _write(directory, Line(upper, made.number, made.number, made.number, (*line.frozen, made)))
    return made


def keep_copy(directory: Path, worker: Worker, copy: Callable[[Path], object], label: str = "") -> Frozen:
    """Make a checkpoint of what `copy` puts into an empty tree; the container goes on with the layer that it has."""
    line = read(directory)
    check_label(line, label)
    tree = _new_layer(directory, worker, line.upper)
    try:
        copy(directory / tree)
        made = Frozen(line.last + 1, label, time.time(), line.head, line.base, tree)
        _write(directory, replace(line, head=made.number, last=made.number, frozen=(*line.frozen, made)))
    except BaseException:
        if tree not in _named(read(directory)):
            worker.call("labcontainers.store.trees:remove", path=str((directory / tree).parent))
        raise
    return made


def roll_back(directory: Path, worker: Worker, number: int, *, keep: bool) -> Frozen | None:
    """Go on with an empty layer above the checkpoint `number` (0: the image); the layer that was written to becomes a checkpoint or goes.

    Returns the checkpoint that was made of it with `keep`; none is made of one with nothing in it.
    """
    line = read(directory)
    below = line.trees(number)
    upper = _new_layer(directory, worker, below[0] if below else None)
    kept = None
    if keep and not _is_empty(directory / line.upper):
        kept = Frozen(line.last + 1, "", time.time(), line.head, line.base, line.upper, True)
    frozen = line.frozen if kept is None else (*line.frozen, kept)
    _write(directory, Line(upper, number, number, line.last if kept is None else kept.number, frozen))
    if kept is None:
        remove_strays(directory, worker)
    return kept


def _is_empty(tree: Path) -> bool:
    try:
        return not any(tree.iterdir())
    except PermissionError:  # a container's user made it his own: he had something to hide
        return False


def remove(directory: Path, worker: Worker, number: int) -> None:
    """Take a checkpoint away; raises NotFound, and Conflict when another one or the container itself lies on it."""
    line = read(directory)
    gone = line.get(number)
    if line.base == number:
        raise Conflict(f"checkpoint {number} carries the container as it is now", "roll back to an earlier one first")
    above = [one.number for one in line.frozen if one.base == number]
    if above:
        raise Conflict(f"checkpoint {number} carries checkpoint {above[0]}", f"remove checkpoint {above[0]} first")
    left = tuple(replace(one, parent=gone.parent) if one.parent == number else one for one in line.frozen if one != gone)
    _write(directory, replace(line, head=gone.parent if line.head == number else line.head, frozen=left))
    remove_strays(directory, worker)


def _named(line: Line) -> set[str]:
    return {line.upper, *(one.tree for one in line.frozen)}


def strays(directory: Path) -> list[Path]:
    """Layers that the line does not name: a change of it was cut off, or has just replaced them. Of a damaged line nothing is known."""
    try:
        trees = _named(read(directory))
        found = sorted((directory / "layers").iterdir())
    except (Failed, FileNotFoundError, NotADirectoryError):
        return []
    named = {str(Path(tree).parent) for tree in trees}
    first = [directory / _FIRST] if _FIRST not in trees and (directory / _FIRST).is_dir() else []
    return [*first, *(path for path in found if f"layers/{path.name}" not in named)]


def remove_strays(directory: Path, worker: Worker) -> None:
    """Delete them, while the container's lock is held."""
    for path in strays(directory):
        worker.call("labcontainers.store.trees:remove", path=str(path))


def verify(directory: Path) -> list[str]:
    """What is wrong with a container's own layers; empty when all is well."""
    try:
        line = read(directory)
    except Failed as error:
        return [error.message]
    if line == Line():
        return []
    name = directory.name[:12]
    missing = [f"checkpoint {one.number} of container {name} has no tree" for one in line.frozen if not (directory / one.tree).is_dir()]
    numbers = {0, *(one.number for one in line.frozen)}
    loose = [f"checkpoint {one.number} of container {name} lacks its base {one.base}" for one in line.frozen if one.base not in numbers]
    upper = [] if (directory / line.upper).is_dir() else [f"container {name} has no layer to write to"]
    return [*missing, *loose, *upper]


# --- what was found out about a tree, which never changes: its loss costs only time


def read_measured(directory: Path) -> dict[str, dict[str, Any]]:
    """What is known of trees, by tree."""
    try:
        found: dict[str, dict[str, Any]] = json.loads((directory / _MEASURED).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def write_measured(directory: Path, tree: str, **facts: Any) -> None:
    """Keep facts about one more tree; of two that do so at once, one may be lost."""
    known = read_measured(directory)
    known = {name: values for name, values in known.items() if (directory / name).is_dir()}
    half = directory / f"{_MEASURED}.{secrets.token_hex(4)}"
    half.write_text(json.dumps({**known, tree: {**known.get(tree, {}), **facts}}))
    os.rename(half, directory / _MEASURED)
