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
from functools import lru_cache
from pathlib import Path

from labcontainers.containers.log_records import ForwardReader, LogRecord, records_from_end

STDOUT, STDERR = 1, 2
_POLL_S = 0.05
_PIECE_BYTES = 1 << 16
_REPR_LINES = 200


@lru_cache(maxsize=16)
def _date_and_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


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
        return f"{_date_and_time(seconds)}.{nanoseconds:09d}Z"


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines: streams, at most `tail` last ones (None for all), between two times in seconds since the epoch."""

    stdout: bool = True
    stderr: bool = True
    tail: int | None = None
    since: float | None = None
    until: float | None = None

    def wants_stream(self, stream: int) -> bool:
        """Whether the stream is asked for."""
        return self.stdout if stream == STDOUT else self.stderr

    def wants(self, line: LogLine) -> bool:
        """Whether the line is asked for, the tail left aside."""
        if not self.wants_stream(line.stream):
            return False
        at = line.time_ns / 10**9
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


class LogReader:
    """Joins the records of one log file into lines, a stream at a time; keeps its place between calls.

    With `query` the first call begins as near to the end as all lines that it wants allow.
    """

    def __init__(self, path: Path, query: LogQuery | None = None) -> None:
        self._path = path
        self._query = query
        self._fd = -1
        self._records: ForwardReader | None = None
        self._partial: dict[int, list[bytes]] = {}
        self._time_ns: dict[int, int] = {}
        self._torn: set[int] = set()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._records = -1, None

    def read(self) -> Iterator[LogLine]:
        """The lines that were completed since the last call; a last line without end is kept back (see `rest`)."""
        if self._records is None:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            start = 0 if self._query is None else start_of(self._fd, self._query)
            # In the middle of the file, the first line of each stream may have begun before.
            self._torn = {STDOUT, STDERR} if start else set()
            self._records = ForwardReader(self._fd, start)
        for record in self._records.read():
            yield from self._lines(record)
        self._torn.clear()

    def _lines(self, record: LogRecord) -> Iterator[LogLine]:
        r"""Split after \n only: a carriage return is part of a line (progress bars), and so are \v, \f and the like."""
        stream, pieces = record.stream, self._partial.setdefault(record.stream, [])
        *ended, last = record.payload.split(b"\n")
        for part in ended:
            line = b"".join([*pieces, part, b"\n"])
            pieces.clear()
            if stream in self._torn:
                self._torn.discard(stream)
                continue
            yield LogLine(record.time_ns, stream, line)
        if last:
            pieces.append(last)
            self._time_ns[stream] = record.time_ns

    def rest(self) -> Iterator[LogLine]:
        """What was written after the last line end, once no more comes."""
        for stream in sorted(self._partial, key=lambda stream: (self._time_ns.get(stream, 0), stream)):
            data = b"".join(self._partial[stream])
            if data and stream not in self._torn:
                yield LogLine(self._time_ns[stream], stream, data)
        self._partial.clear()


def start_of(fd: int, query: LogQuery) -> int:
    """A record's offset, such that every line that `query` wants begins after it, or with it where it is 0.

    Read from the end, until enough line ends were seen and each stream's earliest wanted line has begun.
    """
    if query.tail is None and query.since is None:
        return 0
    count, open_streams, seen = 0, set[int](), set[int]()
    offset = size = os.fstat(fd).st_size
    try:
        for record in records_from_end(fd, size):
            offset = record.offset
            stream, ends = record.stream, record.payload.count(b"\n")
            wanted = query.wants(LogLine(record.time_ns, stream, b""))
            past = query.since is not None and record.time_ns / 10**9 < query.since
            enough = past or (query.tail is not None and count >= query.tail)
            if ends:
                open_streams.discard(stream)
            elif stream not in seen and query.wants_stream(stream):
                # A last line without end may still be wanted, and did not begin after a line's end in this record.
                open_streams.add(stream)
            seen.add(stream)
            if ends and wanted and not enough:
                count += ends
                open_streams.add(stream)
            if enough and not open_streams:
                return offset
    except ValueError:
        # Damaged: what can be read from the beginning is all that there is.
        return 0
    return 0


class Logs:
    """The lines of a query: iterable (following, if asked for, until the container ends), and printable."""

    def __init__(self, path: Path, query: LogQuery, *, timestamps: bool = False, running: Callable[[], bool] | None = None) -> None:
        self._path = path
        self._query = query
        self._timestamps = timestamps
        self._running = running

    def __iter__(self) -> Iterator[LogLine]:
        return (line for line in self._lines() if line is not None)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(stream, bytes) as they are printed: many lines at once where there are many, and none kept back while nothing more comes."""
        stream, rendered, size = STDOUT, list[bytes](), 0
        for line in self._lines():
            if rendered and (line is None or line.stream != stream or size >= _PIECE_BYTES):
                yield stream, b"".join(rendered)
                rendered, size = [], 0
            if line is not None:
                stream = line.stream
                rendered.append(self.render_bytes(line))
                size += len(rendered[-1])
        if rendered:
            yield stream, b"".join(rendered)

    def _lines(self) -> Iterator[LogLine | None]:
        """The lines, and None before each time that it waits for more."""
        with LogReader(self._path, self._query) as reader:
            lines = filter(self._query.wants, reader.read())
            if self._query.tail is None:
                yield from lines
            else:
                yield from self._last(lines, reader, self._query.tail)
            yield from self._following(reader)
            yield from filter(self._query.wants, reader.rest())

    def _last(self, lines: Iterator[LogLine], reader: LogReader, tail: int) -> Iterator[LogLine]:
        last = list(deque(lines, maxlen=tail))
        if self._running is None:
            # A line without end counts from when its last piece was written.
            last = sorted([*last, *filter(self._query.wants, reader.rest())], key=lambda line: line.time_ns)
        yield from last[max(len(last) - tail, 0) :]

    def _following(self, reader: LogReader) -> Iterator[LogLine | None]:
        while self._running is not None:
            alive = self._running()
            seen = False
            for line in reader.read():
                seen = True
                if self._query.wants(line):
                    yield line
            if not alive:
                return
            if not seen:
                yield None
                time.sleep(_POLL_S)

    def render(self, line: LogLine) -> str:
        """One line as it is printed, without its end: with its time when the query asked for that."""
        return f"{line.timestamp()} {line.text}" if self._timestamps else line.text

    def render_bytes(self, line: LogLine) -> bytes:
        """One line as it is printed, exact to the byte."""
        return f"{line.timestamp()} ".encode() + line.data if self._timestamps else line.data

    @property
    def data(self) -> bytes:
        """All bytes of the wanted lines, as they were written, with times where the query asked for them."""
        return b"".join(map(self.render_bytes, self))

    @property
    def text(self) -> str:
        """All wanted lines as text."""
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
