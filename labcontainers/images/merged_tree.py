"""What several layer trees are together, looked at one directory at a time; it runs in a worker and must not know the store.

No overlay is mounted: the trees' own whiteouts and opaque directories are followed, so this works for whoever can read the trees.
Everything is opened below the descriptor of the directory that holds it, and no symbolic link is followed.

Source: Documentation/filesystems/overlayfs.rst, "Upper and Lower", "whiteouts and opaque directories".
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labcontainers.errors import Failed
from labcontainers.store.tar_writer import Attributes, attributes_of
from labcontainers.store.tree_names import sorted_names

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NONE = Attributes()
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """One name of one tree: `parent` is the open directory that holds it, `layer` counts the trees from the bottom up."""

    name: str
    status: os.stat_result
    parent: int
    layer: int

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    def attributes(self) -> Attributes:
        """Its extended attributes."""
        if stat.S_ISLNK(self.status.st_mode):
            return _NONE
        # For the attributes of a name in an open directory there is no way but through /proc.
        return attributes_of(b"/proc/self/fd/%d/%s" % (self.parent, os.fsencode(self.name)), os.fsencode(self.name))

    def link(self) -> str:
        """Where a symbolic link points to, "" for anything else."""
        return os.readlink(self.name, dir_fd=self.parent) if stat.S_ISLNK(self.status.st_mode) else ""

    def is_whiteout(self) -> bool:
        """Whether it only hides what lies below."""
        if stat.S_ISCHR(self.status.st_mode):
            return self.status.st_rdev == 0
        return self.is_file and self.status.st_size == 0 and self.attributes().whiteout


def node_at(parent: int, name: str, layer: int) -> Node | None:
    """What an open directory has under this name; None when nothing."""
    try:
        return Node(name, os.lstat(name, dir_fd=parent), parent, layer)
    except FileNotFoundError:
        return None


def open_directory(name: str, parent: int | None) -> int:
    """A directory for reading; raises Failed where too many are open."""
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        raise Failed(f"the image has directories within directories beyond what this process may open: {name}") from None


class Merged:
    """One directory of the trees together: the open directories that it is made of, top first. It owns their descriptors."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[tuple[int, int]]) -> None:
        """`parts` are (descriptor, layer)."""
        self.parts = parts

    @classmethod
    def root(cls, trees: Sequence[str]) -> Merged:
        """The top directory of `trees`, which are given top first; whatever lies below an opaque one is left out."""
        parts: list[tuple[int, int]] = []
        made = cls(parts)
        try:
            for depth, tree in enumerate(trees):
                parts.append((open_directory(tree, None), len(trees) - 1 - depth))
                if attributes_of(parts[-1][0], b"/").opaque:
                    break
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        while self.parts:
            os.close(self.parts.pop()[0])

    @property
    def identity(self) -> list[tuple[int, int]]:
        """Device and inode of each part: two of the same identity hold the same."""
        return [(status.st_dev, status.st_ino) for status in (os.fstat(fd) for fd, _ in self.parts)]

    def find(self, name: str) -> Node | None:
        """What is seen under this name."""
        for fd, layer in self.parts:
            node = node_at(fd, name, layer)
            if node is not None:
                return None if node.is_whiteout() else node
        return None

    def nodes(self) -> Iterator[Node]:
        """All that is seen, in the order of the bytes of the names."""
        for name in sorted_names([fd for fd, _ in self.parts]):
            node = self.find(name)
            if node is not None:
                yield node

    def enter(self, name: str) -> Merged:
        """The directory that is seen under this name; one without parts when what is seen is none."""
        parts: list[tuple[int, int]] = []
        made = Merged(parts)
        try:
            for fd, layer in self.parts:
                node = node_at(fd, name, layer)
                if node is None:
                    continue
                if not node.is_directory:
                    break
                parts.append((open_directory(name, fd), layer))
                if attributes_of(parts[-1][0], os.fsencode(name)).opaque:
                    break
        except BaseException:
            made.close()
            raise
        return made


def walk(directory: Merged, ordered: Callable[[Merged], Iterator[Node]] = Merged.nodes) -> Iterator[tuple[str, Node]]:
    """All that is seen below a directory, which stays open, with its path; a directory comes before what is in it.

    `ordered` gives what is in one. Without recursion, since whoever filled the trees chose their depth.
    """
    levels: list[tuple[Merged, str, Iterator[Node]]] = [(directory, "", ordered(directory))]
    try:
        while levels:
            level, prefix, nodes = levels[-1]
            for node in nodes:
                yield prefix + node.name, node
                if node.is_directory:
                    inner = level.enter(node.name)
                    levels.append((inner, f"{prefix}{node.name}/", iter(())))
                    levels[-1] = (inner, levels[-1][1], ordered(inner))
                    break
            else:
                if levels.pop()[0] is not directory:
                    level.close()
    finally:
        for level, _, _ in levels[1:]:
            level.close()


def same_content(one: Node, other: Node) -> bool:
    """Whether two regular files hold the same bytes."""
    if one.status.st_size != other.status.st_size:
        return False
    if (one.status.st_dev, one.status.st_ino) == (other.status.st_dev, other.status.st_ino):
        return True
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(open(os.open(node.name, FILE, dir_fd=node.parent), "rb", buffering=0)) for node in (one, other)]
        buffers = [memoryview(bytearray(min(_CHUNK, one.status.st_size or 1))) for _ in files]
        while True:
            first, second = (_fill(file.fileno(), buffer) for file, buffer in zip(files, buffers, strict=True))
            if buffers[0][:first] != buffers[1][:second]:
                return False
            if first < len(buffers[0]):
                return True


def _fill(fd: int, buffer: memoryview) -> int:
    """Read as much as there is room for; the number of bytes, less only at the end of the file."""
    filled = 0
    while filled < len(buffer):
        count = os.readv(fd, [buffer[filled:]])
        if not count:
            break
        filled += count
    return filled


def allow_many_descriptors() -> None:
    """As many as this process may have at all: a directory on the way is open in every layer that has it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
