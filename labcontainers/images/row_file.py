"""Rows of JSON in one file, which is written from the first to the last and read anywhere, whatever their number.

It must not know what rows mean, but for what is counted of them. Neither who writes nor who reads holds more than a few blocks of rows.

The file: blocks of BLOCK lines, each compressed by itself; a record for each row and one more (Sums); where each block begins; and how
many rows and blocks there are, and where the records begin.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from array import array
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from labcontainers.errors import Failed
from labcontainers.kernel.file_maps import map_file

BLOCK = 512
_RECORD = struct.Struct("<IIIIQQ")
_FOOTER = struct.Struct("<8sQQQ")
_MAGIC = b"labrows1"
_END = struct.Struct("<I")
_BUFFER = 64 * 1024
_KEPT = 16
_CHANGES = ("added", "modified", "removed")
_DAMAGED = "remove the folder `listings` of the store"


class Sums(NamedTuple):
    """What all rows before one have together; `end` is the number of the first row that is not in this one, if it is a directory."""

    end: int
    added: int
    modified: int
    removed: int
    size_bytes: int
    removed_bytes: int


class RowWriter:
    """Writes a new file, which is whole when the context ends without an error."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "xb")  # noqa: SIM115  # it is closed with this
        self._records = open(f"{path}.records", "x+b", buffering=0)  # noqa: SIM115  # so is this
        os.unlink(f"{path}.records")
        self._buffer = bytearray()
        self._flushed = 0
        self._lines: list[bytes] = []
        self._begins = array("Q")
        self._count = 0
        # directories that are not over: their numbers, and how what they hold begins
        self._open: list[tuple[int, str]] = []
        self._sums = [0, 0, 0, 0, 0]

    def __enter__(self) -> RowWriter:
        return self

    def row(self, row: list[Any], *, path: str, is_directory: bool, change: str, size_bytes: int) -> None:
        """One more row; `size_bytes` counts as removed where that is the change. What a directory holds follows it."""
        while self._open and not path.startswith(self._open[-1][1]):
            self._end(self._open.pop()[0])
        self._record(self._count + 1)
        if is_directory:
            self._open.append((self._count, path + "/"))
        self._count += 1
        if change in _CHANGES:
            self._sums[_CHANGES.index(change)] += 1
        self._sums[4 if change == "removed" else 3] += size_bytes
        # ASCII alone: bytes of names that are no UTF-8 stay as lone surrogates
        self._lines.append(json.dumps(row, separators=(",", ":")).encode("ascii"))
        if len(self._lines) == BLOCK:
            self._block()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._file, self._records:
            if error is None:
                self._finish()

    def _finish(self) -> None:
        if self._lines:
            self._block()
        for number, _ in self._open:
            self._end(number)
        self._record(self._count + 1)
        self._flush()
        begin = self._file.tell()
        self._records.seek(0)
        while piece := self._records.read(_BUFFER):
            self._file.write(piece)
        self._file.write(struct.pack(f"<{len(self._begins)}Q", *self._begins))
        self._file.write(_FOOTER.pack(_MAGIC, self._count, len(self._begins), begin))

    def _block(self) -> None:
        self._begins.append(self._file.tell())
        self._file.write(zlib.compress(b"\n".join(self._lines), 1))
        self._lines.clear()

    def _record(self, end: int) -> None:
        self._buffer += _RECORD.pack(end, *self._sums)
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        # to the end, wherever _end() wrote last
        os.pwrite(self._records.fileno(), self._buffer, self._flushed)
        self._flushed += len(self._buffer)
        self._buffer.clear()

    def _end(self, number: int) -> None:
        """The directory of this number holds nothing from here on."""
        place = number * _RECORD.size
        if place >= self._flushed:
            _END.pack_into(self._buffer, place - self._flushed, self._count)
        else:
            os.pwrite(self._records.fileno(), _END.pack(self._count), place)


class RowFile:
    """Reads what a RowWriter wrote, also when the file has lost its name. Immutable, so safe for any thread."""

    def __init__(self, path: Path) -> None:
        """Raises Failed when this is no such file, FileNotFoundError."""
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            if length < _FOOTER.size:
                raise _damaged("it is too short")
            self._data = map_file(file.fileno(), length)
        self._count: int
        magic, self._count, blocks, self._records = _FOOTER.unpack_from(self._data, length - _FOOTER.size)
        self._begins = self._records + (self._count + 1) * _RECORD.size
        if magic != _MAGIC or self._begins + 8 * blocks + _FOOTER.size != length or blocks != -(-self._count // BLOCK):
            raise _damaged("it is not whole")
        self._blocks = blocks
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def sums(self, index: int) -> Sums:
        """What the rows before this one have together; `index` may be len()."""
        return Sums(*_RECORD.unpack_from(self._data, self._records + index * _RECORD.size))

    def end(self, index: int) -> int:
        """The number of the first row after this one that is not in it."""
        end: int = _END.unpack_from(self._data, self._records + index * _RECORD.size)[0]
        return end

    def line(self, index: int) -> bytes:
        """A row as it was written; raises Failed where it cannot be read, IndexError."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        number, place = divmod(index, BLOCK)
        with self._lock:
            lines = self._kept.get(number)
            if lines is not None:
                self._kept.move_to_end(number)
        if lines is None:
            lines = self._read(number)
            with self._lock:
                self._kept[number] = lines
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return lines[place]

    def _begin(self, block: int) -> int:
        begin: int = struct.unpack_from("<Q", self._data, self._begins + 8 * block)[0]
        return begin

    def _read(self, number: int) -> list[bytes]:
        # where the last block ends, the records begin
        begin = self._begin(number)
        end = self._begin(number + 1) if number + 1 < self._blocks else self._records
        try:
            lines = zlib.decompress(self._data[begin:end]).split(b"\n")
        except zlib.error as error:
            raise _damaged(str(error)) from None
        if len(lines) != min(BLOCK, self._count - number * BLOCK):
            raise _damaged("a block lacks rows")
        return lines


def _damaged(why: str) -> Failed:
    return Failed(f"the listing of files is damaged: {why}", _DAMAGED)
