"""The pages that show a terminal: how far each has taken the output, and what each types, put in its order.

It must not know Jupyter or what a terminal is: whether a cell runs is told by a function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from labcontainers.widgets.watchers import SILENCE_S

# a message is on its way to a page and back for a tenth of a second and more; so much is on the way that the page never waits
WINDOW_BYTES = 1 << 21
_PIECES_WAITING = 64


@dataclass(slots=True)
class _Page:
    heard: float
    taken: int


class Pages:
    """Pages that say so now and then; while a cell runs nobody is forgotten, as they may not be heard then."""

    def __init__(self, busy: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._busy = busy
        self._clock = clock
        self._lock = threading.Lock()
        self._pages: dict[str, _Page] = {}

    def hear(self, page: str, total: int) -> bool:
        """A page says something; whether it was not known. A new one is taken to have what was sent, `total` bytes."""
        with self._lock:
            known = self._pages.get(page)
            if known is not None:
                known.heard = self._clock()
                return False
            self._pages[page] = _Page(self._clock(), total)
            return True

    def take(self, page: str, at: int) -> None:
        """A page has taken all up to byte number `at`."""
        with self._lock:
            if (known := self._pages.get(page)) is not None:
                known.taken = max(known.taken, at)

    def leave(self, page: str) -> None:
        """A page shows it no more."""
        with self._lock:
            self._pages.pop(page, None)

    def limit(self) -> int | None:
        """Up to which byte may be sent, for the slowest page's sake; None when nobody looks."""
        now = self._clock()
        with self._lock:
            if self._busy():
                for page in self._pages.values():
                    page.heard = now
            self._pages = {name: page for name, page in self._pages.items() if now - page.heard < SILENCE_S}
            if not self._pages:
                return None
            return min(page.taken for page in self._pages.values()) + WINDOW_BYTES


class InOrder:
    """Numbered pieces, given back in the order of their numbers: front ends may send messages by two ways."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._waiting: dict[str, dict[int, bytes]] = {}

    def put(self, page: str, number: int, data: bytes) -> list[bytes]:
        """One piece of a page, numbered from 0; what may go on now. When too many wait for one that does not come, they go without it."""
        waiting = self._waiting.setdefault(page, {})
        following = self._next.get(page, 0)
        if number >= following:
            waiting[number] = data
        if len(waiting) > _PIECES_WAITING:
            following = min(waiting)
        ready: list[bytes] = []
        while following in waiting:
            ready.append(waiting.pop(following))
            following += 1
        self._next[page] = following
        return ready
