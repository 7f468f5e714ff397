"""What a cell shows while a command runs: its output, at once and bounded.

It must not know commands.
"""

from __future__ import annotations

import codecs
import sys

from labcontainers.magics.settings import LARGEST_OUTPUT_BYTES

_ELSEWHERE = "the result's .stdout and .stderr have all, and so has `logs` as long as the container is there"


class CellOutput:
    """Passes output on to the cell, and stops at a limit, since a browser would freeze over too much; nothing is lost by that."""

    def __init__(self, limit_bytes: int = LARGEST_OUTPUT_BYTES, elsewhere: str = _ELSEWHERE) -> None:
        self._elsewhere = elsewhere
        self._limit = self._left = limit_bytes
        self._hidden = 0
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {1: decoder("replace"), 2: decoder("replace")}

    @property
    def whole(self) -> bool:
        """Whether something was passed on, and all that came."""
        return self._left < self._limit and not self._hidden

    def __call__(self, stream: int, data: bytes) -> None:
        shown = data[: self._left]
        self._left -= len(shown)
        self._hidden += len(data) - len(shown)
        self._write(stream, self._decoders[stream].decode(shown))

    @staticmethod
    def _write(stream: int, text: str) -> None:
        target = sys.stdout if stream == 1 else sys.stderr
        if text:
            target.write(text)
        if text and target.isatty():
            # A notebook's stream sends what it has a few times a second by itself; to make it do so for each piece would slow all down.
            target.flush()

    def finish(self) -> None:
        """Show what was cut within a character, and say how much was not shown, and where it is."""
        for stream, decoder in self._decoders.items():
            self._write(stream, "" if self._hidden else decoder.decode(b"", final=True))
        if self._hidden:
            print(f"\n… {self._hidden:,} more bytes are not shown here; {self._elsewhere}", file=sys.stderr)
