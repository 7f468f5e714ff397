"""A container's output, read from its log file: lines with time and stream, exact to the byte.

It must not know whether the container runs; following asks a function for that. The file's format is runtime.stdio's.
"""

from __future__ import annotations

import html
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from labcontainers.containers.log_records import ForwardReader, LogRecord, log_files, records_from_end

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
    """Joins the records of a log into lines, a stream at a time; keeps its place between calls, also when the log goes on in another file.

    With `query` the first call begins as near to the end as all lines that it wants allow.
    """

    def __init__(self, path: Path, query: LogQuery | None = None) -> None:
        self._path = path
        self._query = query
        self._fd = -1
        self._ahead: list[int] = []
        self._records: ForwardReader | None = None
        self._partial: dict[int, list[bytes]] = {}
        self._time_ns: dict[int, int] = {}
        self._torn: set[int] = set()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self._fd, *self._ahead):
            if fd >= 0:
                os.close(fd)
        self._fd, self._ahead, self._records = -1, [], None

    def read(self) -> Iterator[LogLine]:
        """The lines that were completed since the last call; a last line without end is kept back (see `rest`)."""
        for record in self._new_records():
            yield from self._lines(record)

    def read_blocks(self) -> Iterator[tuple[int, bytes]]:
        """The same as (stream, bytes), many lines at once and in the same order, for who wants all of them as they are."""
        for record in self._new_records():
            stream, pieces = record.stream, self._partial.setdefault(record.stream, [])
            end = record.payload.rfind(b"\n") + 1
            if end:
                whole = record.payload[:end] if end < len(record.payload) else record.payload
                yield stream, b"".join([*pieces, whole]) if pieces else whole
                pieces.clear()
            if end < len(record.payload):
                pieces.append(record.payload[end:])
                self._time_ns[stream] = record.time_ns

    def _new_records(self) -> Iterator[LogRecord]:
        if self._records is None:
            files = log_files(self._path)
            if not files:
                return
            self._fd, *self._ahead = files
            start = 0 if self._query is None or self._ahead else start_of(self._fd, self._query)
            # In the middle of the file, the first line of each stream may have begun before.
            self._torn = {STDOUT, STDERR} if start else set()
            self._records = ForwardReader(self._fd, start)
        while True:
            # Asked before the last records are read: to a file that has been put aside nothing is added any more.
            goes_on = self._goes_on()
            yield from self._records.read()
            self._torn.clear()
            if not goes_on:
                return
            os.close(self._fd)
            self._fd = self._ahead.pop(0)
            self._records = ForwardReader(self._fd)

    def _goes_on(self) -> bool:
        """Whether the log goes on in another file than the one that is read, which then is the first one ahead."""
        if self._ahead:
            return True
        own = os.fstat(self._fd)
        try:
            if os.path.samestat(os.stat(self._path), own):
                return False
        except FileNotFoundError:
            return False
        files = log_files(self._path)
        place = next((index for index, fd in enumerate(files) if os.path.samestat(os.fstat(fd), own)), -1)
        for fd in files[: place + 1]:
            os.close(fd)
        self._ahead = files[place + 1 :]
        return bool(self._ahead)

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
        if self._running is None and not self._timestamps and self._query == LogQuery():
            return _together(self._blocks())
        return _together(None if line is None else (line.stream, self.render_bytes(line)) for line in self._lines())

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """All that was written, without a look at each line."""
        with LogReader(self._path) as reader:
            yield from reader.read_blocks()
            yield from ((line.stream, line.data) for line in reader.rest())

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
        return b"".join(data for _, data in self.pieces())

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


def _together(parts: Iterable[tuple[int, bytes] | None]) -> Iterator[tuple[int, bytes]]:
    """Parts of one stream that follow each other as one, up to some size; a None says that nothing more comes for a while."""
    stream, gathered, size = STDOUT, list[bytes](), 0
    for part in parts:
        if gathered and (part is None or part[0] != stream or size >= _PIECE_BYTES):
            yield stream, b"".join(gathered)
            gathered, size = [], 0
        if part is not None:
            stream = part[0]
            gathered.append(part[1])
            size += len(part[1])
    if gathered:
        yield stream, b"".join(gathered)
