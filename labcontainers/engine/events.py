"""`engine.events`: the store's event log, read or followed.

It must not know who appends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labcontainers.store.events import Event, EventLog


class Events:
    """What happened to containers, images and networks, by whichever process."""

    def __init__(self, log: EventLog, closed: Callable[[], bool]) -> None:
        self._log = log
        self._closed = closed

    def read(self, since: float | None = None, until: float | None = None) -> Iterator[Event]:
        """Past events; times are seconds since the epoch."""
        return self._log.read(since, until)

    def follow(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Events from now on, until `stop()` is true or the engine is closed. Blocks between them."""
        return self._log.follow(lambda: stop() or self._closed())
