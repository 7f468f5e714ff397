"""Searching the logs of many containers at once: their lines merged by time, chosen by text or expression, container and time.

The reading and matching is done by a worker (`find_lines`), so that neither a long log nor an expression that never ends holds up a
notebook. It must not know which containers there are.
"""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from labcontainers.containers.logs import STDERR, STDOUT, LogLine, LogQuery, Logs
from labcontainers.engine.dashboard.table import Table
from labcontainers.errors import InvalidArgument

LINES = 1000
MOST_LINES = 20_000
# how long a search may take, and how many lines of each log it looks at first
TIME_S = 8.0
_FIRST_LINES = 5_000
_MORE = 8
_LONGEST = 4096
_SPANS = 50
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.|[\x00-\x08\x0b-\x1f\x7f]")

# number of the log, stream, time_ns, text with its colours, where in the plain text it was found (begins and ends in UTF-16 units), and
# whether the line has an end: who asks for what is new gets one without end again as soon as more of it is written
Found = tuple[int, int, int, str, list[tuple[int, int]], bool]


@dataclass(frozen=True, slots=True)
class LogWish:
    """Which lines: those in which `pattern` is found (a regular expression of Python, or with `regex` false a text), in any case.

    Times are seconds since the epoch; `after_ns` leaves out all lines up to that time. The last `limit` lines are given.
    """

    pattern: str = ""
    regex: bool = True
    match_case: bool = False
    stdout: bool = True
    stderr: bool = True
    since: float | None = None
    until: float | None = None
    after_ns: int = 0
    limit: int = LINES

    def check(self) -> None:
        """Raises InvalidArgument for what no search can be made of."""
        self.expression()
        if not 0 < self.limit <= MOST_LINES:
            raise InvalidArgument(f"limit: {self.limit} lines cannot be shown", f"write a number from 1 to {MOST_LINES}")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidArgument("the search begins after its end", "swap the two times")

    def expression(self) -> re.Pattern[str]:
        """What is looked for. Raises InvalidArgument for an expression that is none."""
        try:
            return re.compile(self.pattern if self.regex else re.escape(self.pattern), 0 if self.match_case else re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            where = getattr(error, "pos", None)
            place = f" at character {where + 1}" if where is not None else ""
            said = getattr(error, "msg", str(error))
            raise InvalidArgument(
                f"not a regular expression: {self.pattern!r}: {said}{place}", "put \\ before a character that is meant as it is"
            ) from None


class FoundLines(Table):
    """Lines of several logs in the order of time; `searched_since` is how far back all was read, None for all there is."""

    def __init__(self, names: Sequence[str], lines: Sequence[Found], searched_since: float | None) -> None:
        self.searched_since = searched_since
        streams = {STDOUT: "stdout", STDERR: "stderr"}
        rows = [
            (LogLine(time_ns, stream, b"").timestamp(), names[log], streams[stream], plain(text))
            for log, stream, time_ns, text, *_ in lines
        ]
        super().__init__(("time", "container", "stream", "text"), rows, "no line is as wanted")


def plain(text: str) -> str:
    """A line as a reader sees it: control sequences left out, and of what was overwritten the last."""
    return _CONTROL.sub("", text.rstrip("\r").rsplit("\r", 1)[-1])


def search(call: Callable[..., Any], logs: Sequence[Path], wish: LogWish) -> tuple[list[Found], float | None]:
    """The lines of these logs, and since when all was looked at (None: from their beginnings); `call` has a worker do it.

    Raises InvalidArgument for an expression that is none, or that takes too long.
    """
    wish.check()
    answer = call(
        "labcontainers.engine.dashboard.log_search:find_lines", logs=[str(path) for path in logs], wish=asdict(wish), time_s=TIME_S
    )
    if answer["too_long"]:
        raise InvalidArgument(
            f"the regular expression takes too long: {wish.pattern!r}", "leave out repetitions of what is repeated, such as (a+)+"
        )
    return answer["lines"], answer["since"]


# --- in the worker


class _TooLong(Exception):
    """A single match takes too long; raised in the middle of it."""


class _TimeIsOver(Exception):
    """Enough was searched for now."""


def find_lines(logs: Sequence[str], wish: Mapping[str, Any], time_s: float) -> dict[str, Any]:
    """Look at the ends of the logs, further and further back until there are enough lines, all was read, or half of the time is over."""
    wanted = LogWish(**wish)
    window = max(_FIRST_LINES, wanted.limit) if wanted.pattern else wanted.limit
    found: dict[int, list[Found]] = {}
    # how far back each log was read that has more
    since = dict.fromkeys(range(len(logs)), time.time())
    end = time.monotonic() + time_s / 2
    try:
        with _alarm(time_s):
            while since and not _enough(found, since, wanted.limit):
                for number in list(since):
                    found[number], began = _look(number, Path(logs[number]), wanted, window, end)
                    if began is None:
                        del since[number]
                    else:
                        since[number] = began
                window *= _MORE
    except _TimeIsOver:
        # what was found so far is told, and how far back that is all
        pass
    except _TooLong:
        return {"lines": [], "since": None, "too_long": True}
    lines = sorted((line for part in found.values() for line in part), key=lambda line: line[2])[-wanted.limit :]
    return {"lines": lines, "since": max(since.values(), default=None), "too_long": False}


def _enough(found: Mapping[int, list[Found]], since: Mapping[int, float], limit: int) -> bool:
    """Whether there are `limit` lines of a time that was looked at in all logs."""
    latest = max(since.values()) * 1e9
    return sum(line[2] >= latest for lines in found.values() for line in lines) >= limit


def _look(number: int, path: Path, wish: LogWish, window: int, end: float) -> tuple[list[Found], float | None]:
    """What is wanted of the last `window` lines of a log, and the time of the first of these, None where nothing is before it."""
    since = wish.since if not wish.after_ns else max(wish.since or 0.0, wish.after_ns / 1e9 - 1)
    query = LogQuery(wish.stdout, wish.stderr, window, since, wish.until)
    expression = wish.expression() if wish.pattern else None
    kept: deque[Found] = deque(maxlen=wish.limit)
    first, count = None, 0
    for line in _lines(Logs(path, query)):
        first = line.time_ns if first is None else first
        count += 1
        if count % 256 == 0 and time.monotonic() > end:
            raise _TimeIsOver
        if line.time_ns <= wish.after_ns:
            continue
        data = line.data if len(line.data) <= _LONGEST else line.data[:_LONGEST] + " …".encode()
        text = data.decode("utf-8", "replace").rstrip("\r\n")
        ended = line.data.endswith(b"\n")
        if expression is None:
            kept.append((number, line.stream, line.time_ns, text, [], ended))
        elif expression.search(seen := plain(text)):
            kept.append((number, line.stream, line.time_ns, text, _spans(expression, seen), ended))
    return list(kept), None if count < window or first is None else first / 1e9


def _spans(expression: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Where the expression is in a text, as a page counts: letters beyond the first plane are two."""
    spans = [match.span() for match in islice(expression.finditer(text), _SPANS) if match.end() > match.start()]
    if text.isascii() or max(text, default="") <= "\uffff":
        return spans
    return [(_units(text[:begin]), _units(text[:end])) for begin, end in spans]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _lines(logs: Logs) -> Iterator[LogLine]:
    """The lines; a log that goes away meanwhile has none."""
    try:
        yield from logs
    except FileNotFoundError:
        return


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _TooLong after so many seconds, also in the middle of a match: that looks for signals now and then (CPython, _sre)."""

    def over(number: int, frame: object) -> None:
        raise _TooLong

    former = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
