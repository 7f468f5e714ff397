"""How long a registry may keep us waiting, and the rule against one that sends a byte now and then; it must not know HTTP."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from labcontainers.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for a connection and for a silence; in `window_s` seconds of waiting at least `window_bytes` have to come."""

    connect_s: float = 15.0
    silence_s: float = 60.0
    window_s: float = 120.0
    window_bytes: int = 1 << 15


class Stalled(Unavailable):
    """A server sends so slowly that it might as well not."""


class _Source(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...
    def close(self) -> None: ...


class Watched(io.RawIOBase):
    """A socket's stream of bytes that raises Stalled when too little comes; only time spent waiting counts, so readers may be slow.

    The first bytes may take as long as the socket allows: until then the server works.
    """

    def __init__(self, source: _Source, patience: Patience, who: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._source = source
        self._patience = patience
        self._who = who
        self._clock = clock
        self._begun = False
        self._waited_s = 0.0
        self._came = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]  # BufferedReader passes nothing else
        """One read of the socket."""
        began = self._clock()
        count = self._source.readinto(buffer)
        if not self._begun:
            self._begun = True
            return count
        self._waited_s += self._clock() - began
        self._came += count or 0
        if self._waited_s >= self._patience.window_s:
            if self._came < self._patience.window_bytes and count:
                problem = f"{self._who} stalls: {self._came} bytes in {self._waited_s:.0f} s"
                raise Stalled(problem, "try again later, or use a mirror")
            self._waited_s, self._came = 0.0, 0
        return count

    def close(self) -> None:
        """Close the socket's stream, too."""
        if not self.closed:
            self._source.close()
        super().close()
