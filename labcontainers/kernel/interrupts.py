"""Interrupts while something runs in the foreground: handed to what runs, instead of being raised in the middle of anything.

An interrupt that Python raises may come between any two steps of a program, so that what was just received, or a lock, is lost. It
must not know what runs. Source: signal(7), and the section on handlers and exceptions of Python's module signal.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from labcontainers.errors import INTERRUPTING, PASSED_ON, raise_interrupt

Send = Callable[[int], object]

LOOK_AGAIN_S = 0.5
"""The longest that who passes signals on sleeps in one call. Python runs handlers between its own steps, so one whose signal comes just
before a call that sleeps, or to another thread, waits for the end of that call."""


class Interrupts:
    """While the `with` block lasts, the main thread's interrupts are kept until `pass_on`, and go to its `send` from then on.

    The first goes as it came, the second as SIGKILL, and with `patience` in vain the next one is raised as ever: who was asked to end, or
    who shows its output, does not answer. With None all go as they came. Signals that are not INTERRUPTING do not count. In another
    thread this does nothing, since no interrupt comes there. `count` tells how many there were.
    """

    def __init__(self, send: Send | None = None, patience: int | None = 2) -> None:
        self.count = 0
        self._patience = patience
        self._send = send
        self._kept: list[int] = []
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *PASSED_ON):
                handler = signal.getsignal(number)
                if handler is raise_interrupt or (number == signal.SIGINT and callable(handler)):
                    self._former[number] = handler
            try:
                for replaced in self._former:
                    signal.signal(replaced, self._handle)
            except KeyboardInterrupt:  # by one that was not replaced yet
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def pass_on(self, send: Send) -> None:
        """Give `send` those that came, and all that come."""
        self._send = send
        while self._kept:
            self._tell(send, self._kept.pop(0))

    def give_back(self) -> None:
        """After the `with` block: those that were kept go to who had them before; the first that is raised ends it."""
        while self._kept:
            number = self._kept.pop(0)
            self._former[number](number, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        counts = number in INTERRUPTING
        self.count += counts
        if counts and self._patience is not None:
            if self.count > self._patience:
                self._former[number](number, frame)
                return
            number = number if self.count == 1 else signal.SIGKILL
        if self._send is None:
            self._kept.append(number)
        else:
            self._tell(self._send, number)

    @staticmethod
    def _tell(send: Send, number: int) -> None:
        # What has ended meanwhile needs no signal.
        with contextlib.suppress(OSError):
            send(number)


def begin_thread(thread: threading.Thread) -> None:
    """Start `thread`; an interrupt meanwhile is raised when it runs, since one in the middle of `start` leaves unknown whether it does."""
    interrupts = Interrupts(patience=None)
    try:
        with interrupts:
            thread.start()
    except KeyboardInterrupt:  # by one that came before it could be kept
        if thread.ident is None:
            thread.start()
        raise
    interrupts.give_back()
