"""One process' waiting: poll(2) on descriptors and on moments, each with what is to be done then.

It must not import anything but what the launcher holds, and knows nothing of what it waits for.
"""

from __future__ import annotations

import select
import time

from labcontainers.kernel.lean import Callable

POLLIN = select.POLLIN
POLLOUT = select.POLLOUT


class Timer:
    """Something to do at a moment of the monotonic clock, unless it is cancelled before."""

    __slots__ = ("action", "due_s")

    def __init__(self, due_s: float, action: Callable[[], None]) -> None:
        self.due_s = due_s
        self.action = action


class Reactor:
    """The descriptors that are watched, the timers that run, and whom to tell."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []

    def watch(self, fd: int, handler: Callable[[], None], events: int = POLLIN) -> None:
        """Call `handler` whenever one of `events` is there on `fd`."""
        self._handlers[fd] = handler
        self._poll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Watch `fd` for these events from now on; 0 for none but its end."""
        if fd in self._handlers:
            self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch it no longer; nothing happens if it was not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether it is watched."""
        return fd in self._handlers

    def later(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Do it once, in `delay_s` seconds."""
        timer = Timer(time.monotonic() + delay_s, action)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Do it not; nothing happens if it was done or is None."""
        if timer in self._timers:
            self._timers.remove(timer)

    def turn(self, last_fd: int = -1) -> None:
        """Wait until something happens, and call whoever waits for it; `last_fd` comes after all others."""
        ready = self._poll.poll(self._timeout_ms())
        for fd, _ in sorted(ready, key=lambda item: item[0] == last_fd) if len(ready) > 1 else ready:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler()
        if self._timers:
            self._ring()

    def _timeout_ms(self) -> int:
        if not self._timers:
            return -1
        return max(0, int((min(timer.due_s for timer in self._timers) - time.monotonic()) * 1000) + 1)

    def _ring(self) -> None:
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer.due_s <= now]:
            if timer in self._timers:
                self._timers.remove(timer)
                timer.action()
