"""What a worker tells of layer trees: a layer against those below it, and two images against each other, a line of JSON for each file.

It must not know the store: it gets paths, and writes a new file. It has memory for one directory at a time, and for hard links.

A line is [path, kind, mode, uid, gid, bytes, mtime in nanoseconds, link, change, attributes, bytes replaced, what differs, device].
A directory comes before what it holds, names in the order of their bytes. The file is images.row_file's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from labcontainers.images.merged_tree import Merged, Node, allow_many_descriptors, node_at, open_directory, same_content, walk
from labcontainers.images.row_file import RowWriter
from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.tree_names import sorted_names

ADDED, MODIFIED, REMOVED, UNCHANGED = "added", "modified", "removed", "unchanged"
# When the bytes of files of one size are compared; as needed is where their times differ, or nothing else does: who only changed modes
# or owners of large files need not wait for them.
NEVER, AS_NEEDED, INSTEAD_OF_TIMES = "never", "as needed", "instead of times"

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}
_PREFIX = "SCHILY.xattr."


class FileRows:
    """Writes a row for each file; a directory that nothing happened to only when something in it is told."""

    def __init__(self, rows: RowWriter) -> None:
        self._rows = rows
        self._links: dict[tuple[int, int], str] = {}
        self._waiting: list[tuple[str, Node]] = []

    def tell(
        self, path: str, node: Node, change: str, replaced_bytes: int = 0, differs: Sequence[str] = (), size: int | None = None
    ) -> None:
        """One row, after those of the directories on the way to it; `size` is told in place of the node's own."""
        for directory, waiting in self._waiting:
            self._row(directory, waiting, UNCHANGED, 0, (), None)
        self._waiting.clear()
        self._row(path, node, change, replaced_bytes, differs, size)

    def wait_with(self, path: str, node: Node) -> None:
        """A directory that is told when anything in it is."""
        self._waiting.append((path, node))

    def leave(self, path: str) -> None:
        """Nothing more comes from this directory."""
        if self._waiting and self._waiting[-1][0] == path:
            self._waiting.pop()

    def _row(self, path: str, node: Node, change: str, replaced_bytes: int, differs: Sequence[str], size: int | None) -> None:
        status = node.status
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "file")
        link, device = node.link(), ""
        content = status.st_size if node.is_file else 0
        if node.is_file and status.st_nlink > 1 and change != REMOVED:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                kind, link, content = "hardlink", first, 0
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            device = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        attributes = {key.decode().removeprefix(_PREFIX): value.hex() for key, value in node.attributes().records.items()}
        told = content if size is None else size
        row = [
            path, kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, told,
            status.st_mtime_ns, link, change, attributes, replaced_bytes, list(differs), device,
        ]  # fmt: skip
        self._rows.row(row, path=path, is_directory=kind == "directory", change=change, size_bytes=told)


def differences(new: Node, old: Node, content: str) -> list[str]:
    """What tells one node from another; of directories size and time tell nothing."""
    one, other = new.status, old.status
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return []
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return ["type"]
    pairs = {"mode": (one.st_mode, other.st_mode), "owner": ((one.st_uid, one.st_gid), (other.st_uid, other.st_gid))}
    if stat.S_ISCHR(one.st_mode) or stat.S_ISBLK(one.st_mode):
        pairs["device"] = (one.st_rdev, other.st_rdev)
    if not new.is_directory and content != INSTEAD_OF_TIMES:
        pairs["time"] = (one.st_mtime_ns, other.st_mtime_ns)
    found = [name for name, (first, second) in pairs.items() if first != second]
    if new.link() != old.link():
        found.insert(0, "link")
    if new.attributes().records != old.attributes().records:
        found.append("attributes")
    if new.is_file:
        read = content == INSTEAD_OF_TIMES or (content == AS_NEEDED and (not found or "time" in found))
        if one.st_size != other.st_size or (read and not same_content(new, old)):
            found.insert(0, "content")
    return found


def bytes_of(directory: Merged, node: Node) -> int:
    """The content of a file, or of all files of a directory of `directory`, hard links counted once."""
    if not node.is_directory:
        return node.status.st_size if node.is_file else 0
    linked: set[tuple[int, int]] = set()
    total = 0
    with contextlib.closing(directory.enter(node.name)) as inner:
        for _, found in walk(inner):
            if not found.is_file:
                continue
            if found.status.st_nlink > 1:
                inode = (found.status.st_dev, found.status.st_ino)
                if inode in linked:
                    continue
                linked.add(inode)
            total += found.status.st_size
    return total


class _Directory(Protocol):
    """A directory on the way, of one or of several trees."""

    names: Iterator[str]

    def begin(self) -> None: ...
    def close(self) -> None: ...


_Way = TypeVar("_Way", bound=_Directory)


def _go_through(levels: list[_Way], look: Callable[[_Way, str], _Way | None], leave: Callable[[_Way], object] = lambda level: None) -> None:
    """Every name below the one directory in `levels`, without recursion, since whoever filled the trees chose their depth.

    `look` tells of one name and gives the directory that is to be gone through next; `levels` always has those that are open.
    """
    levels[0].begin()
    while levels:
        level = levels[-1]
        for name in level.names:
            inner = look(level, name)
            if inner is not None:
                levels.append(inner)
                inner.begin()
                break
        else:
            leave(level)
            levels.pop().close()


# --- a layer


@dataclass(slots=True)
class _Level:
    """A directory of a layer on the way: `below` is what lies there under it; all of that is `hidden` by an opaque directory."""

    path: str
    fd: int
    below: Merged
    hidden: bool
    names: Iterator[str] = field(default_factory=lambda: iter(()))

    def begin(self) -> None:
        self.names = sorted_names([self.fd, *(fd for fd, _ in self.below.parts if self.hidden)])

    def close(self) -> None:
        os.close(self.fd)
        self.below.close()


def list_layer(tree: str, lower: list[str], output: str) -> None:
    """Every file of a layer's tree against what the trees below it (top first) are together; what it removes is told as removed."""
    allow_many_descriptors()
    with RowWriter(output) as rows:
        _LayerWalk(FileRows(rows), len(lower)).run(tree, lower)


class _LayerWalk:
    def __init__(self, rows: FileRows, layer: int) -> None:
        self._rows = rows
        self._layer = layer
        self._levels: list[_Level] = []

    def run(self, tree: str, lower: Sequence[str]) -> None:
        try:
            below = Merged.root(lower)
            self._levels.append(_Level("", open_directory(tree, None), below, False))
            self._levels[0].hidden = attributes_of(self._levels[0].fd, b"/").opaque
            _go_through(self._levels, self._look)
        finally:
            for level in self._levels:
                level.close()

    def _look(self, level: _Level, name: str) -> _Level | None:
        """Tell of one name; the directory that is to be gone through next."""
        path = f"{level.path}/{name}"
        node, old = node_at(level.fd, name, self._layer), level.below.find(name)
        if node is None or node.is_whiteout():
            if old is not None:
                size = bytes_of(level.below, old)
                self._rows.tell(path, old, REMOVED, size, (), size)
            return None
        differs = differences(node, old, AS_NEEDED) if old is not None else []
        change = ADDED if old is None else MODIFIED if differs else UNCHANGED
        both_directories = old is not None and old.is_directory and node.is_directory
        replaced = bytes_of(level.below, old) if old is not None and not both_directories else 0
        self._rows.tell(path, node, change, replaced, differs)
        if not node.is_directory:
            return None
        below = level.below.enter(name) if both_directories else Merged([])
        try:
            return _Level(path, open_directory(name, level.fd), below, level.hidden or node.attributes().opaque)
        except BaseException:
            below.close()
            raise


# --- two images


@dataclass(slots=True)
class _Pair:
    """A directory of both images on the way; one of them may lack it."""

    path: str
    old: Merged
    new: Merged
    names: Iterator[str] = field(default_factory=lambda: iter(()))

    def begin(self) -> None:
        self.names = sorted_names([fd for side in (self.old, self.new) for fd, _ in side.parts])

    def close(self) -> None:
        self.old.close()
        self.new.close()


def compare(old: list[str], new: list[str], content: bool, output: str) -> None:
    """Every file that differs between what the trees `old` are together and what `new` are (each top first).

    Files of one size count as equal when their times are, or with `content` when they hold the same.
    """
    allow_many_descriptors()
    with RowWriter(output) as rows:
        _Comparison(FileRows(rows), INSTEAD_OF_TIMES if content else NEVER).run(old, new)


class _Comparison:
    def __init__(self, rows: FileRows, content: str) -> None:
        self._rows = rows
        self._content = content
        self._levels: list[_Pair] = []

    def run(self, old: Sequence[str], new: Sequence[str]) -> None:
        try:
            first = Merged.root(old)
            self._levels.append(_Pair("", first, Merged([])))
            self._levels[0].new = Merged.root(new)
            _go_through(self._levels, self._look, lambda level: self._rows.leave(level.path))
        finally:
            for level in self._levels:
                level.close()

    def _look(self, level: _Pair, name: str) -> _Pair | None:
        path = f"{level.path}/{name}"
        old, new = level.old.find(name), level.new.find(name)
        if new is None:
            if old is None:
                return None
            self._rows.tell(path, old, REMOVED, bytes_of(level.old, old) if not old.is_directory else 0)
            return self._enter(level, name, path) if old.is_directory else None
        if old is None:
            self._rows.tell(path, new, ADDED)
            return self._enter(level, name, path) if new.is_directory else None
        differs = differences(new, old, self._content)
        both_directories = old.is_directory and new.is_directory
        if differs:
            self._rows.tell(path, new, MODIFIED, 0 if both_directories else bytes_of(level.old, old), differs)
        elif both_directories:
            self._rows.wait_with(path, new)
        if not new.is_directory:
            return None
        inner = self._enter(level, name, path)
        if not both_directories:
            inner.old.close()
        elif inner.old.identity == inner.new.identity:
            # made of the very same layers
            inner.close()
            self._rows.leave(path)
            return None
        return inner

    @staticmethod
    def _enter(level: _Pair, name: str, path: str) -> _Pair:
        old = level.old.enter(name)
        try:
            return _Pair(path, old, level.new.enter(name))
        except BaseException:
            old.close()
            raise
