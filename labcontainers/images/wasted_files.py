"""What a worker finds in an image's layers that nobody sees any more: files which a later layer removes or overwrites.

It must not know the store: it gets paths, and writes a new file (images.line_file.LineWriter), a line for each such path:
[path, [[layer, bytes, what became of it, by which layer], …]], and last {"total_bytes": …, "wasted_bytes": …}. Layers count from the
bottom up, from 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labcontainers.images.line_file import LineWriter
from labcontainers.images.merged_tree import Node, allow_many_descriptors, node_at, open_directory
from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.tree_names import sorted_names

# What became of a file, and the layer that did it.
Hider = tuple[str, int]
Lie = tuple[int, int, str, int]
_OVERWRITTEN, _REMOVED = "overwritten", "removed"


def find_wasted(trees: list[str], output: str) -> None:
    """Every file of `trees` (top first) that is not seen where they lie on each other."""
    allow_many_descriptors()
    with LineWriter(output) as lines:
        _Search(lines).run(trees)


@dataclass(frozen=True, slots=True)
class _Part:
    """A directory of one layer; all in it is hidden when there is a `hider`."""

    fd: int
    layer: int
    hider: Hider | None


@dataclass(slots=True)
class _Level:
    path: str
    parts: list[_Part]
    names: Iterator[str] = field(default_factory=lambda: iter(()))

    def begin(self) -> None:
        self.names = sorted_names([part.fd for part in self.parts])

    def close(self) -> None:
        while self.parts:
            os.close(self.parts.pop().fd)


@dataclass(slots=True)
class _Linked:
    """A file of several names: it is wasted when none of them is seen."""

    path: str
    lie: Lie


class _Search:
    """One walk through all layers at once; without recursion, since whoever filled the trees chose their depth."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines
        self._total_bytes = 0
        self._wasted_bytes = 0
        self._linked: dict[tuple[int, int], _Linked | None] = {}

    def run(self, trees: Sequence[str]) -> None:
        levels = [_Level("", [])]
        try:
            self._open_roots(trees, levels[0])
            levels[0].begin()
            while levels:
                level = levels[-1]
                for name in level.names:
                    parts = self._look(level, name)
                    if parts:
                        levels.append(_Level(f"{level.path}/{name}", parts))
                        levels[-1].begin()
                        break
                else:
                    levels.pop().close()
        finally:
            for level in levels:
                level.close()
        for linked in self._linked.values():
            if linked is not None and linked.lie[1]:
                self._tell(linked.path, [linked.lie])
        self._lines.line({"total_bytes": self._total_bytes, "wasted_bytes": self._wasted_bytes})

    @staticmethod
    def _open_roots(trees: Sequence[str], level: _Level) -> None:
        hider: Hider | None = None
        for depth, tree in enumerate(trees):
            part = _Part(open_directory(tree, None), len(trees) - 1 - depth, hider)
            level.parts.append(part)
            if attributes_of(part.fd, b"/").opaque:
                hider = (_REMOVED, part.layer)

    def _look(self, level: _Level, name: str) -> list[_Part]:
        """Take one name of all layers into account; its directories, which are to be gone through next."""
        # The nearest thing above that hides files of this name, and the nearest that hides what directories of this name hold.
        over_files: Hider | None = None
        over_directories: Hider | None = None
        inner: list[_Part] = []
        lies: list[Lie] = []
        for part in level.parts:
            node = node_at(part.fd, name, part.layer)
            if node is None:
                continue
            if node.is_whiteout():
                over_files = over_directories = (_REMOVED, part.layer)
            elif node.is_directory:
                inner.append(_Part(open_directory(name, part.fd), part.layer, _nearest(part.hider, over_directories)))
                over_files = (_OVERWRITTEN, part.layer)
                if attributes_of(inner[-1].fd, os.fsencode(name)).opaque:
                    over_directories = (_REMOVED, part.layer)
            else:
                if node.is_file:
                    self._count(f"{level.path}/{name}", node, _nearest(part.hider, over_files), lies)
                over_files = over_directories = (_OVERWRITTEN, part.layer)
        if lies:
            self._tell(f"{level.path}/{name}", lies)
        return inner

    def _count(self, path: str, node: Node, hider: Hider | None, lies: list[Lie]) -> None:
        status = node.status
        lie = (node.layer, status.st_size, *hider) if hider is not None else None
        if status.st_nlink == 1:
            self._total_bytes += status.st_size
            if lie is not None and status.st_size:
                lies.append(lie)
            return
        inode = (status.st_dev, status.st_ino)
        if inode not in self._linked:
            self._total_bytes += status.st_size
            self._linked[inode] = _Linked(path, lie) if lie is not None else None
        elif lie is None:
            self._linked[inode] = None

    def _tell(self, path: str, lies: list[Lie]) -> None:
        self._wasted_bytes += sum(size for _, size, _, _ in lies)
        self._lines.line([path, lies])


def _nearest(one: Hider | None, other: Hider | None) -> Hider | None:
    """The lower of two layers that hide the same."""
    if one is None or other is None:
        return one or other
    return one if one[1] < other[1] else other
