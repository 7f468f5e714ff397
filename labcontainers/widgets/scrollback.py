"""The last bytes of a terminal, from which a page that comes later paints the screen anew: bounded, and cut where no sequence is torn.

It must not know where they come from or go to, and paints nothing itself.
"""

from __future__ import annotations

import re

from labcontainers.widgets.snapshot import visible

KEPT_BYTES = 1 << 18
# private modes that outlive the text that set them: the other screen, the cursor, bracketed paste, the mouse (xterm, ctlseqs, DECSET)
_MODES = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_SAFE = re.compile(rb"\n|(?=\x1b)")
_LOOK_BYTES = 4096


class Scrollback:
    """Keeps the last `kept` bytes; `total` counts all that ever came, also before it was cleared."""

    def __init__(self, kept: int = KEPT_BYTES) -> None:
        self._kept = kept
        self._data = bytearray()
        self._modes: dict[bytes, bool] = {}
        self.total = 0

    def add(self, data: bytes) -> None:
        self._data += data
        self.total += len(data)
        if len(self._data) > self._kept + self._kept // 4:
            self._cut(len(self._data) - self._kept)

    def clear(self) -> None:
        """Forget what came; `total` counts on."""
        self._data.clear()
        self._modes.clear()

    def everything(self) -> bytes:
        """What paints the screen: the modes that were set before, and what is kept."""
        modes = b"".join(b"\x1b[?%s%s" % (mode, b"h" if on else b"l") for mode, on in self._modes.items())
        return modes + bytes(self._data)

    def last_lines(self, count: int) -> list[str]:
        """The last lines as a reader sees them, as far as can be told without painting."""
        text = bytes(self._data[-64 * 1024 :]).decode("utf-8", "replace")
        return [visible(line) for line in text.splitlines()[-count:]]

    def _cut(self, size: int) -> None:
        found = _SAFE.search(self._data, size, min(size + _LOOK_BYTES, len(self._data)))
        size = found.end() if found else size
        for numbers, last in _MODES.findall(self._data[:size]):
            for number in numbers.split(b";"):
                self._modes[number] = last == b"h"
        del self._data[:size]
