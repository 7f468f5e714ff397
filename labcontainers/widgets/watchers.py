"""Who looks at a widget: pages that say so now and then, and are forgotten when they fall silent.

It must not know Jupyter: whether a cell runs is told by a function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

# a page says every 10 seconds that it shows a widget; see js/src/widgets/channel.ts
SILENCE_S = 30.0


class Watchers:
    """Pages that show a widget. While a cell runs nobody is forgotten, as pages may not be heard then."""

    def __init__(self, busy: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._busy = busy
        self._clock = clock
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}

    def expect(self) -> None:
        """The widget is being displayed: a page should say so soon."""
        with self._lock:
            self._heard[""] = self._clock()

    def tell(self, page: str, views: int) -> None:
        """A page says how many views it shows."""
        with self._lock:
            self._heard.pop("", None)
            if views > 0:
                self._heard[page] = self._clock()
            else:
                self._heard.pop(page, None)

    def anyone(self) -> bool:
        """Whether somebody looks, as far as can be known."""
        now = self._clock()
        with self._lock:
            if self._busy():
                self._heard = dict.fromkeys(self._heard, now)
            self._heard = {page: heard for page, heard in self._heard.items() if now - heard < SILENCE_S}
            return bool(self._heard)
