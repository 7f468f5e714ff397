"""A container's output, read from its log file: lines with time and stream, exact to the byte.

It must not know whether the container runs; following asks a function for that. The file's format is runtime.stdio's.
"""

from __future__ import annotations

import html
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labcontainers.runtime.stdio import LOG_HEADER

STDOUT, STDERR = 1, 2
_POLL_S = 0.05
_BLOCK_BYTES = 1 << 20
_REPR_LINES = 200


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, its end included if it had one; `time_ns` since the epoch, when its end was written; `stream` 1 or 2."""

    time_ns: int
    stream: int
    data: bytes

    @property
    def text(self) -> str:
        """The line as text, without its end."""
        return self.data.decode("utf-8", "replace").rstrip("\r\n")

    def timestamp(self) -> str:
        """The time as Docker prints it (RFC 3339 with nanoseconds, UTC)."""
        seconds, nanoseconds = divmod(self.time_ns, 10**9)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines: streams, at most `tail` last ones (None for all), between two times in seconds since the epoch."""

    stdout: bool = True
    stderr: bool = True
    tail: int | None = None
    since: float | None = None
    until: float | None = None

    def wants(self, line: LogLine) -> bool:
        """Whether the line is asked for, the tail left aside."""
        if not (self.stdout if line.stream == STDOUT else self.stderr):
            return False
        at = line.time_ns / 1e9
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


class LogReader:
    """Reads records from one log file and joins them into lines, a stream at a time; keeps its place between calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._rest = b""
        self._partial: dict[int, bytes] = {}

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self) -> Iterator[LogLine]:
        """The lines that were completed since the last call; a last line without end is kept back (see `rest`)."""
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
        while block := os.read(self._fd, _BLOCK_BYTES):
            data, at = self._rest + block, 0
            while len(data) - at >= LOG_HEADER.size:
                stream, length, time_ns = LOG_HEADER.unpack_from(data, at)
                end = at + LOG_HEADER.size + length
                if end > len(data):
                    break
                yield from self._lines(stream, time_ns, data[at + LOG_HEADER.size : end])
                at = end
            self._rest = data[at:]

    def _lines(self, stream: int, time_ns: int, payload: bytes) -> Iterator[LogLine]:
        lines = _split(self._partial.pop(stream, b"") + payload)
        if lines and not lines[-1].endswith(b"\n"):
            self._partial[stream] = lines.pop()
        for line in lines:
            yield LogLine(time_ns, stream, line)

    def rest(self) -> Iterator[LogLine]:
        """What was written after the last line end, once no more comes."""
        for stream, data in sorted(self._partial.items()):
            yield LogLine(time.time_ns(), stream, data)
        self._partial.clear()


def _split(data: bytes) -> list[bytes]:
    r"""Split after \n only: a carriage return is part of a line (progress bars), and so are \v, \f and the like."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class Logs:
    """The lines of a query: iterable (following, if asked for, until the container ends), and printable."""

    def __init__(self, path: Path, query: LogQuery, *, timestamps: bool = False, running: Callable[[], bool] | None = None) -> None:
        self._path = path
        self._query = query
        self._timestamps = timestamps
        self._running = running

    def __iter__(self) -> Iterator[LogLine]:
        with LogReader(self._path) as reader:
            yield from self._tail(reader)
            while self._running is not None:
                alive = self._running()
                seen = False
                for line in reader.read():
                    seen = True
                    if self._query.wants(line):
                        yield line
                if not alive:
                    break
                if not seen:
                    time.sleep(_POLL_S)
            yield from filter(self._query.wants, reader.rest())

    def _tail(self, reader: LogReader) -> Iterator[LogLine]:
        lines = filter(self._query.wants, reader.read())
        if self._query.tail is None:
            yield from lines
            return
        last = list(deque(lines, maxlen=self._query.tail))
        if self._running is None and self._query.tail:
            last = list(deque([*last, *filter(self._query.wants, reader.rest())], maxlen=self._query.tail))
        yield from last

    def render(self, line: LogLine) -> str:
        """One line as it is printed: with its time when the query asked for that."""
        return f"{line.timestamp()} {line.text}" if self._timestamps else line.text

    @property
    def data(self) -> bytes:
        """All bytes of the wanted lines, as they were written."""
        return b"".join(line.data for line in self)

    @property
    def text(self) -> str:
        """All wanted lines as text."""
        if self._timestamps:
            return "".join(self.render(line) + "\n" for line in self)
        return self.data.decode("utf-8", "replace")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        lines = deque((self.render(line) for line in self._finite()), maxlen=_REPR_LINES)
        return "\n".join(lines)

    def _finite(self) -> Logs:
        return Logs(self._path, self._query, timestamps=self._timestamps)

    def _repr_html_(self) -> str:
        rows = deque(self._finite(), maxlen=_REPR_LINES)
        body = "".join(
            f'<span style="{"color:#c62828" if line.stream == STDERR else ""}">{html.escape(self.render(line))}</span>\n' for line in rows
        )
        return f'<pre style="max-height:24em;overflow:auto;margin:0">{body}</pre>'
