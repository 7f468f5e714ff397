"""Ends what runs in the foreground when its time is over, or when somebody wants it no more: a signal first, SIGKILL later.

It must not know what runs: it is given a function that sends signals. Source of the exit code: timeout(1).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.planning import prepare
from labcontainers.errors import InvalidArgument
from labcontainers.kernel.interrupts import begin_thread

GRACE_S = 2.0
"""Seconds between the two signals, for what has no --stop-timeout of its own."""
_LAST_S = 1.0

Send = Callable[[int], object]


class TimeLimit:
    """At most one use. `timed_out` and `cancelled` say what ended it; `over`, that it did not even end by SIGKILL.

    Raises InvalidArgument for a time below 0; 0 and None are no limit.
    """

    def __init__(self, timeout_s: float | None = None, *, cancellable: bool = False) -> None:
        if timeout_s is not None and not timeout_s >= 0:
            raise InvalidArgument(f"timeout below 0: {timeout_s:g}", "give seconds, or 0 for no limit")
        self.timeout_s = timeout_s or None
        self.timed_out = self.cancelled = self.over = False
        self._cancellable = cancellable
        self._changed = threading.Condition()
        self._finished = False

    @property
    def spent_s(self) -> float | None:
        """The limit, where it ended what ran."""
        return self.timeout_s if self.timed_out else None

    def cancel(self) -> None:
        """From any thread: end it now, or as soon as it has begun. Idempotent."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def watching(
        self,
        send: Send,
        first: int = signal.SIGTERM,
        grace_s: float | None = GRACE_S,
        give_up: Callable[[], object] = lambda: None,
    ) -> Iterator[None]:
        """While what runs is followed: in time `send(first)`, after `grace_s` (None: never) `send(SIGKILL)`, and then `give_up()`."""
        if self.timeout_s is None and not self._cancellable:
            yield
            return
        thread = threading.Thread(target=self._watch, args=(send, first, grace_s, give_up), name="lab-time-limit", daemon=True)
        begin_thread(thread)
        try:
            yield
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()
            thread.join()

    def _watch(self, send: Send, first: int, grace_s: float | None, give_up: Callable[[], object]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self.cancelled, self.timeout_s)
            if self._finished:
                return
            self.timed_out = not self.cancelled
        for number, patience_s in ((first, grace_s), (signal.SIGKILL, _LAST_S)):
            with contextlib.suppress(OSError):  # it has ended just now
                send(number)
            with self._changed:
                if self._changed.wait_for(lambda: self._finished, patience_s):
                    return
        self.over = True
        give_up()


def grace_of(options: ContainerOptions) -> float | None:
    """Seconds that a container has to end by itself: its own --stop-timeout, or else less than `stop` gives, since somebody waits."""
    return prepare.stop_timeout(options, GRACE_S if options.stop_timeout_s is None else None)
