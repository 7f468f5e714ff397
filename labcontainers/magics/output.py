"""What a cell shows while a command runs: its output, at once and bounded.

It must not know commands.
"""

from __future__ import annotations

import codecs
import sys

LARGEST_BYTES = 1_000_000


class CellOutput:
    """Passes output on to the cell, and stops at a limit, since a browser would freeze over too much; nothing is lost by that."""

    def __init__(self, limit_bytes: int = LARGEST_BYTES) -> None:
        self._left = limit_bytes
        self._hidden = 0
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {1: decoder("replace"), 2: decoder("replace")}

    def __call__(self, stream: int, data: bytes) -> None:
        shown = data[: self._left]
        self._left -= len(shown)
        self._hidden += len(data) - len(shown)
        text = self._decoders[stream].decode(shown)
        if text:
            target = sys.stdout if stream == 1 else sys.stderr
            target.write(text)
            target.flush()

    def finish(self) -> None:
        """Say how much was not shown, and where it is."""
        if self._hidden:
            where = "the result's .stdout and .stderr, and `logs`, have all"
            print(f"\n… {self._hidden:,} more bytes are not shown here; {where}", file=sys.stderr)
