"""Lines at the end of a terminal that are painted over, as wide as it is; it must not know what they tell.

Sources: ECMA-48 (CUU, EL, ED), xterm's control sequences (DECTCEM).
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

_UP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[{}A", "\x1b[2K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Sequences that a program writes to a terminal: CSI, OSC, and those of two letters.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_DEFAULT = (80, 24)


def terminal_size(*fds: int) -> tuple[int, int]:
    """Columns and lines of the first of these descriptors that is a terminal; 80 by 24 where none is, or does not know."""
    for fd in fds:
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(fd)
            if columns > 0 and lines > 0:
                return columns, lines
    return _DEFAULT


def plain(text: str) -> str:
    """Text without what would move the cursor or change colours; tabs become blanks."""
    return "".join(letter for letter in _SEQUENCES.sub("", text) if letter.isprintable() or letter == "\t").expandtabs()


def width_of(text: str) -> int:
    """The columns that a text takes: East Asian wide letters two, marks that are put on others none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def clipped(text: str, columns: int) -> str:
    """As much of the text as fits, with an ellipsis where something is left out."""
    if width_of(text) <= columns:
        return text
    return "".join(_fitting(text, columns - 1)) + "…" if columns > 0 else ""


def _fitting(text: str, columns: int) -> Iterator[str]:
    for letter in text:
        columns -= _width(letter)
        if columns < 0:
            return
        yield letter


class Screen:
    """Paints lines over the ones before. Not thread-safe."""

    def __init__(self, write: Callable[[str], object], size: Callable[[], tuple[int, int]] = lambda: terminal_size(1, 2)) -> None:
        """`write` gets what goes to the terminal; `size` tells its columns and lines."""
        self._write = write
        self._size = size
        self._painted: list[int] = []
        self._hidden = False

    @property
    def size(self) -> tuple[int, int]:
        """The columns that a line may take, and how many lines can be painted over."""
        columns, lines = self._size()
        return max(columns - 1, 1), max(lines - 2, 1)

    def paint(self, lines: Sequence[str], *, last: bool = False) -> None:
        """These lines in place of those that were painted before, clipped; with `last` they stay, and the cursor is seen again.

        Lines that do not fit are left out at the top unless they are the last ones: what is scrolled away cannot be painted over.
        """
        columns, rows = self.size
        shown = [clipped(line, columns) for line in lines]
        if not last:
            shown = shown[-rows:]
        up = self._rows_above(columns + 1)
        hide = "" if self._hidden or last else _HIDE_CURSOR
        show = _SHOW_CURSOR if last and self._hidden else ""
        start = (_UP.format(up) if up else "") + "\r"
        body = "".join(f"{_CLEAR_LINE}{line}\n" for line in shown)
        self._write(f"{hide}{start}{body}{_CLEAR_BELOW}{show}")
        self._hidden = not last
        self._painted = [] if last else [width_of(line) for line in shown]

    def restore(self) -> None:
        """Let the cursor be seen, whatever was painted."""
        if self._hidden:
            self._hidden = False
            self._write(_SHOW_CURSOR)

    def _rows_above(self, columns: int) -> int:
        """How far up the first painted line is: a terminal that became narrower has broken those that are too long now."""
        return sum(max(1, -(-width // columns)) for width in self._painted)
