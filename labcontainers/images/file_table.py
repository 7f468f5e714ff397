"""The rows that images.tree_listing wrote, kept as they are in memory, and what is to be known of all of them at once.

It must not know what the rows are shown as. A row is parsed when it is asked for: a layer may have a hundred thousand.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from labcontainers.errors import Failed

_GZIP = 31
_CHANGES = ("added", "modified", "removed")


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of a layer, or of the difference of two images.

    `path` is absolute; bytes of it that are no UTF-8 are lone surrogates (os.fsencode gives them back). `change` is "added",
    "modified", "removed", or "unchanged" for what the layer has and the layers below it have as well, as directories on the way to a
    change are. `size_bytes` of a removed directory is what was in it; that of a hard link is 0, and `link` the name that has the
    content. `replaced_bytes` is what it hides of the layers below; `differs` says by what a modified one differs.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime: float
    link: str
    change: str
    xattrs: Mapping[str, bytes]
    replaced_bytes: int
    differs: tuple[str, ...]
    device: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def permissions(self) -> str:
        """As `ls -l` has them: drwxr-xr-x."""
        import stat

        kinds = {"directory": stat.S_IFDIR, "symlink": stat.S_IFLNK, "fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}
        kinds |= {"character device": stat.S_IFCHR, "block device": stat.S_IFBLK}
        return stat.filemode(self.mode | kinds.get(self.kind, stat.S_IFREG))

    def to_json(self) -> dict[str, Any]:
        """Plain values; those of extended attributes as hexadecimal digits, and what is empty left out."""
        value = {name: getattr(self, name) for name in self.__slots__}
        value["xattrs"] = {name: content.hex() for name, content in self.xattrs.items()}
        value["differs"] = list(self.differs)
        always = ("path", "kind", "mode", "uid", "gid", "size_bytes", "mtime", "change")
        return {name: item for name, item in value.items() if item or name in always}


class FileTable:
    """Rows in the order of a walk: what a directory holds follows it. Immutable, so safe for any thread."""

    def __init__(self, compressed: bytes) -> None:
        """Raises Failed when these are not rows."""
        try:
            self._data = zlib.decompress(compressed, _GZIP) if compressed else b""
            self._measure()
        except (zlib.error, ValueError, IndexError, TypeError, AttributeError) as error:
            raise Failed(f"the listing of files is damaged: {error}", "remove the folder `listings` of the store") from None

    def _measure(self) -> None:
        """One pass: where each row begins, where what it holds ends, and sums from the first row on."""
        begins, ends = array("Q"), array("Q")
        sizes, gone, changes = array("Q"), array("Q"), [array("Q") for _ in _CHANGES]
        open_ones: list[tuple[int, str]] = []
        roots: list[int] = []
        place = 0
        for index, line in enumerate(self._data.splitlines(keepends=True)):
            row = json.loads(line)
            path, change = row[0], row[8]
            while open_ones and not path.startswith(open_ones[-1][1]):
                ends[open_ones.pop()[0]] = index
            if not open_ones:
                roots.append(index)
            begins.append(place)
            ends.append(index + 1)
            sizes.append(0 if change == "removed" else row[5])
            gone.append(row[5] if change == "removed" else 0)
            for kind, counted in zip(_CHANGES, changes, strict=True):
                counted.append(change == kind)
            if row[1] == "directory":
                open_ones.append((index, path + "/"))
            place += len(line)
        for index, _ in open_ones:
            ends[index] = len(begins)
        self._begins, self._ends, self._roots = begins, ends, roots
        self._sizes, self._gone = (array("Q", accumulate(counted, initial=0)) for counted in (sizes, gone))
        self._changes = [array("Q", accumulate(counted, initial=0)) for counted in changes]

    def __len__(self) -> int:
        return len(self._begins)

    def _row(self, index: int) -> list[Any]:
        begin = self._begins[index]
        row: list[Any] = json.loads(self._data[begin : self._data.index(b"\n", begin)])
        return row

    def path(self, index: int) -> str:
        """The path of one row."""
        path: str = self._row(index)[0]
        return path

    def file(self, index: int) -> LayerFile:
        """One row."""
        path, kind, mode, uid, gid, size, mtime_ns, link, change, attributes, replaced, differs, device = self._row(index)
        xattrs = {name: bytes.fromhex(value) for name, value in attributes.items()}
        return LayerFile(path, kind, mode, uid, gid, size, mtime_ns / 1e9, link, change, xattrs, replaced, tuple(differs), device)

    def find(self, path: str) -> int:
        """The row of a path; -1 when there is none."""
        if path == "/":
            return -1
        place = -1
        parts = path.strip("/").split("/")
        for depth in range(len(parts)):
            wanted = "/" + "/".join(parts[: depth + 1])
            place = next((index for index in self.children(place) if self.path(index) == wanted), -1)
            if place < 0:
                return -1
        return place

    def children(self, index: int) -> Iterator[int]:
        """The rows of what a directory holds; of the top for -1."""
        if index < 0:
            yield from self._roots
            return
        place, end = index + 1, self._ends[index]
        while place < end:
            yield place
            place = self._ends[place]

    def within(self, index: int) -> range:
        """All rows below a directory; all there are for -1."""
        return range(len(self)) if index < 0 else range(index + 1, self._ends[index])

    def size_bytes(self, index: int) -> int:
        """The content of a row and of all that it holds, without what was removed; of all there is for -1."""
        return self._between(self._sizes, index)

    def removed_bytes(self, index: int) -> int:
        """What was removed of a row and of all that it holds; of all there is for -1."""
        return self._between(self._gone, index)

    def _between(self, sums: array[int], index: int) -> int:
        return sums[-1] if index < 0 else sums[self._ends[index]] - sums[index]

    def changes(self, index: int) -> tuple[int, int, int]:
        """How many were added, modified and removed below a row, itself not counted; of all for -1."""
        first, end = (0, len(self)) if index < 0 else (index + 1, self._ends[index])
        added, modified, removed = (counted[end] - counted[first] for counted in self._changes)
        return added, modified, removed
