"""The rows that images.tree_listing wrote, found by number and by path, and what is to be known of many of them at once.

It must not know what the rows are shown as. They stay in their file, and a row is parsed when it is asked for: a layer may have a million.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.errors import Failed
from labcontainers.images.row_file import RowFile

_DECODER = json.JSONDecoder()
# a row is a list
_BEFORE_PATH = 1


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
    """Rows in the order of a walk: what a directory holds follows it. Immutable, so safe for any thread; it has memory for a few rows."""

    def __init__(self, path: Path) -> None:
        """The file may lose its name afterwards. Raises Failed when these are not rows, FileNotFoundError."""
        self._rows = RowFile(path)

    def __len__(self) -> int:
        return len(self._rows)

    def path(self, index: int) -> str:
        """The path of one row."""
        path: str = _DECODER.raw_decode(self._rows.line(index).decode("ascii"), _BEFORE_PATH)[0]
        return path

    def file(self, index: int) -> LayerFile:
        """One row; raises Failed when it is damaged."""
        try:
            row = json.loads(self._rows.line(index))
            path, kind, mode, uid, gid, size, mtime_ns, link, change, attributes, replaced, differs, device = row
            xattrs = {name: bytes.fromhex(value) for name, value in attributes.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise Failed(f"the listing of files is damaged: {error}", "remove the folder `listings` of the store") from None
        return LayerFile(path, kind, mode, uid, gid, size, mtime_ns / 1e9, link, change, xattrs, replaced, tuple(differs), device)

    def change(self, index: int) -> str:
        """What became of one row, without reading it."""
        before, after = self._rows.sums(index), self._rows.sums(index + 1)
        if before.added != after.added:
            return "added"
        if before.modified != after.modified:
            return "modified"
        return "removed" if before.removed != after.removed else "unchanged"

    def find(self, path: str) -> int:
        """The row of a path; -1 when there is none."""
        wanted = _order(path)
        index = bisect_left(range(len(self)), wanted, key=lambda index: _order(self.path(index)))
        return index if wanted and index < len(self) and _order(self.path(index)) == wanted else -1

    def children(self, index: int) -> Iterator[int]:
        """The rows of what a directory holds; of the top for -1."""
        place, end = (0, len(self)) if index < 0 else (index + 1, self._rows.end(index))
        while place < end:
            yield place
            place = self._rows.end(place)

    def within(self, index: int) -> range:
        """All rows below a directory; all there are for -1."""
        return range(len(self)) if index < 0 else range(index + 1, self._rows.end(index))

    def size_bytes(self, index: int) -> int:
        """The content of a row and of all that it holds, without what was removed; of all there is for -1."""
        first, end = self._span(index)
        return self._rows.sums(end).size_bytes - self._rows.sums(first).size_bytes

    def removed_bytes(self, index: int) -> int:
        """What was removed of a row and of all that it holds; of all there is for -1."""
        first, end = self._span(index)
        return self._rows.sums(end).removed_bytes - self._rows.sums(first).removed_bytes

    def _span(self, index: int) -> tuple[int, int]:
        return (0, len(self)) if index < 0 else (index, self._rows.end(index))

    def changes(self, index: int) -> tuple[int, int, int]:
        """How many were added, modified and removed below a row, itself not counted; of all for -1."""
        within = self.within(index)
        before, after = self._rows.sums(within.start), self._rows.sums(within.stop)
        return after.added - before.added, after.modified - before.modified, after.removed - before.removed


def _order(path: str) -> list[bytes]:
    """By what rows are in order: the parts of the path, each by its bytes."""
    return os.fsencode(path).strip(b"/").split(b"/") if path.strip("/") else []
