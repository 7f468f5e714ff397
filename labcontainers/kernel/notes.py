"""What was done, kept as values: each operation with its arguments, its time, and its error when it failed.

It must not do anything itself, and knows no operation: who does something puts it into the block of `timed`.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

Entry = list[Any]


class Notes:
    """Entries `[name, arguments, microseconds]`, or with the error as a fourth value, in the order in which they ended.

    The microseconds are None where they are not known. For one thread at a time.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def timed(self, operation: str, /, **arguments: Any) -> Timed:
        """Note an operation with the time that the block takes, and with what it raises; the block may complete the arguments."""
        return Timed(self.entries, operation, arguments)

    def add(self, operation: str, /, **arguments: Any) -> None:
        """Note an operation whose time is not known."""
        self.entries.append([operation, arguments, None])

    def blame(self, error: BaseException, operation: str, /, **arguments: Any) -> None:
        """Note this operation as what failed by `error`, unless the last entry tells of that already."""
        told = self.entries[-1][3:] if self.entries else []
        causes = [reason_of(each) for each in (error, error.__cause__) if each is not None]
        if not told or told[0] not in causes:
            self.entries.append([operation, arguments, None, causes[0]])


class Timed:
    """One operation while it is being done. A start has many, so it costs half a microsecond (contextlib's would cost two)."""

    __slots__ = ("_began", "_entries", "_entry")

    def __init__(self, entries: list[Entry], operation: str, arguments: dict[str, Any]) -> None:
        self._entries = entries
        self._entry: Entry = [operation, arguments, None]
        self._began = 0

    def __enter__(self) -> dict[str, Any]:
        self._began = time.monotonic_ns()
        arguments: dict[str, Any] = self._entry[1]
        return arguments

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entry[2] = (time.monotonic_ns() - self._began) // 1000
        if error is not None:
            self._entry.append(reason_of(error))
        self._entries.append(self._entry)


def reason_of(error: BaseException) -> str:
    """Why it failed, in one line: the message of this engine's errors, the kernel's words for a number, or the error's own text."""
    number = getattr(error, "errno", None) or getattr(error, "code", None)
    text = getattr(error, "message", "") or (os.strerror(number).lower() if isinstance(number, int) else str(error))
    return " ".join(text.split()) or type(error).__name__
