"""The records of a log file, from its beginning or from its end.

It must not know lines. The format is runtime.stdio's; a record that is damaged ends the reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from labcontainers.runtime.stdio import LOG_HEADER, LOG_TRAILER

_BLOCK_BYTES = 1 << 20
_FRAME_BYTES = LOG_HEADER.size + LOG_TRAILER.size


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What was read at once from one stream (1 or 2) at `time_ns` since the epoch; `offset` is its place in the file."""

    offset: int
    stream: int
    time_ns: int
    payload: bytes


class ForwardReader:
    """Reads a file's records in order from `offset` on, and goes on with later ones when asked again."""

    def __init__(self, fd: int, offset: int = 0) -> None:
        self._fd = fd
        self._offset = offset
        self._rest = b""

    def read(self) -> Iterator[LogRecord]:
        """The records that are complete by now and were not returned before."""
        while block := os.pread(self._fd, _BLOCK_BYTES, self._offset + len(self._rest)):
            data, at = self._rest + block, 0
            while len(data) - at >= _FRAME_BYTES:
                stream, length, time_ns = LOG_HEADER.unpack_from(data, at)
                end = at + _FRAME_BYTES + length
                if end > len(data):
                    break
                yield LogRecord(self._offset + at, stream, time_ns, data[at + LOG_HEADER.size : end - LOG_TRAILER.size])
                at = end
            self._rest = data[at:]
            self._offset += at


def records_from_end(fd: int, size: int, block_bytes: int = _BLOCK_BYTES) -> Iterator[LogRecord]:
    """The records of the first `size` bytes, the last one first. Raises ValueError at one that is damaged."""
    end = base = size
    window = b""
    while end > 0:
        if end - base < _FRAME_BYTES and base > 0:
            window, base = _window(fd, end, max(block_bytes, _FRAME_BYTES))
        (length,) = LOG_TRAILER.unpack_from(window, _place(end - base - LOG_TRAILER.size))
        begin = end - _FRAME_BYTES - length
        if begin < 0:
            raise ValueError(f"no record ends at {end}")
        if begin < base:
            window, base = _window(fd, end, _FRAME_BYTES + length + block_bytes)
        stream, again, time_ns = LOG_HEADER.unpack_from(window, begin - base)
        if again != length or stream not in (1, 2):
            raise ValueError(f"no record begins at {begin}")
        yield LogRecord(begin, stream, time_ns, window[begin - base + LOG_HEADER.size : end - base - LOG_TRAILER.size])
        end = begin


def _window(fd: int, end: int, size: int) -> tuple[bytes, int]:
    base = max(0, end - size)
    window = os.pread(fd, end - base, base)
    if len(window) < end - base:
        raise ValueError("the log became shorter")
    return window, base


def _place(offset: int) -> int:
    if offset < 0:
        raise ValueError("the log begins in the middle of a record")
    return offset


def log_files(path: Path) -> list[int]:
    """Descriptors of all files of a log, the oldest first (runtime.stdio.LogFile tells their names); the caller closes them.

    They are opened from the newest on, since they move to higher numbers meanwhile: so one may be met twice, but none is missed.
    """
    found: dict[tuple[int, int], int] = {}
    for name in chain([str(path)], (f"{path}.{number}" for number in count(1))):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            break
        status = os.fstat(fd)
        if found.setdefault((status.st_dev, status.st_ino), fd) != fd:
            os.close(fd)
    return list(reversed(found.values()))
