"""The last lines of a log, and what of them a page has not been sent: bounded, however fast they come.

It must not know where lines come from or go to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from labcontainers.widgets.messages import LogBatch, LogRow

LINES_KEPT = 2000
ROWS_PER_BATCH = 250
BYTES_PER_BATCH = 64 * 1024
LINE_BYTES = 4096


class Line(Protocol):
    """One line as containers.logs has it."""

    @property
    def time_ns(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def data(self) -> bytes: ...


class LogTail:
    """Keeps the last `kept` lines, and hands them out in messages of limited size.

    A burst of up to `kept` lines goes out whole, in several messages; of a flood that does not end, what falls behind is left out.
    """

    def __init__(self, kept: int = LINES_KEPT) -> None:
        self._lines: deque[Line] = deque(maxlen=kept)
        self._fresh = 0
        self.total = 0

    def add(self, lines: Iterable[Line]) -> None:
        before = self.total
        for line in lines:
            self._lines.append(line)
            self.total += 1
        self._fresh += self.total - before

    def take(self) -> LogBatch | None:
        """The next lines that have not been sent, with the number of those before them that are left out; None when there are none."""
        if not self._fresh:
            return None
        skipped = 0
        if self._fresh > len(self._lines):
            # too far behind: go on with what is new
            skipped = self._fresh - min(ROWS_PER_BATCH, len(self._lines))
        first = len(self._lines) - self._fresh + skipped
        rows = rows_of(islice(self._lines, first, first + ROWS_PER_BATCH), BYTES_PER_BATCH)
        self._fresh -= skipped + len(rows)
        return {"skipped": skipped, "rows": rows}

    def everything(self) -> LogBatch:
        """All that is kept and has been taken."""
        taken = islice(reversed(self._lines), min(self._fresh, len(self._lines)), None)
        rows = rows_of(taken, 8 * BYTES_PER_BATCH)[::-1]
        return {"skipped": self.total - self._fresh - len(rows), "rows": rows}

    def last_text(self, count: int) -> list[tuple[int, str]]:
        """The last `count` lines as (stream, text)."""
        rows = rows_of(islice(reversed(self._lines), count), BYTES_PER_BATCH)
        return [(stream, text) for stream, _, text in reversed(rows)]


def rows_of(lines: Iterable[Line], size: int) -> list[LogRow]:
    """The first of `lines` as rows, as many as `size` bytes hold; at least one."""
    rows: list[LogRow] = []
    for line in lines:
        row = row_of(line)
        size -= len(row[2]) + 40
        if size < 0 and rows:
            break
        rows.append(row)
    return rows


def row_of(line: Line) -> LogRow:
    """A line for a page: without its end, and not longer than a page can show."""
    data = line.data
    if len(data) > LINE_BYTES:
        rest = len(data) - LINE_BYTES
        text = data[:LINE_BYTES].decode("utf-8", "replace") + f" … {rest:,} more bytes"
    else:
        text = data.decode("utf-8", "replace")
    return line.stream, line.time_ns / 1e9, text.rstrip("\r\n")
