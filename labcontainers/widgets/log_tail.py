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
    """Keeps the last `kept` lines. `take` gives those that came since it was last called, the newest within the limits of a message."""

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
        """What has not been sent, oldest first, with the number of lines that are left out; None when nothing came."""
        fresh, self._fresh = self._fresh, 0
        if not fresh:
            return None
        rows = self._newest(min(fresh, ROWS_PER_BATCH), BYTES_PER_BATCH)
        return {"skipped": fresh - len(rows), "rows": rows}

    def everything(self) -> LogBatch:
        """All that is kept and has been taken."""
        rows = self._newest(len(self._lines), 8 * BYTES_PER_BATCH)
        return {"skipped": self.total - len(rows), "rows": rows}

    def last_text(self, count: int) -> list[tuple[int, str]]:
        """The last `count` lines as (stream, text)."""
        return [(stream, text) for stream, _, text in self._newest(count, BYTES_PER_BATCH)]

    def _newest(self, count: int, size: int) -> list[LogRow]:
        rows: list[LogRow] = []
        for line in islice(reversed(self._lines), count):
            row = row_of(line)
            size -= len(row[2]) + 40
            if size < 0 and rows:
                break
            rows.append(row)
        rows.reverse()
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
