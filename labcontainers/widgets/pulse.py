"""A thread that works at a steady beat while there is something to do, and can be started again and stopped.

It must not know what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from labcontainers.kernel.interrupts import begin_thread


class Pulse:
    """Calls `work` every `interval_s` seconds in a thread named `name` until it returns False or `stop` is called."""

    def __init__(self, name: str, work: Callable[[], bool], interval_s: float = 0.1) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._closed = False
        self._wake = threading.Event()

    @property
    def beating(self) -> bool:
        with self._lock:
            return self._thread is not None

    def start(self) -> None:
        """Start, or make sure that it goes on; nothing after `stop`."""
        with self._lock:
            self._wanted = True
            if self._thread is None and not self._closed:
                # a daemon, so that a kernel that ends without closing its widgets is not held up
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                begin_thread(self._thread)

    def stop(self) -> None:
        """End for good, and wait for the work in hand unless called from within it."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while self._goes_on():
            self._wake.wait(self._interval_s)

    def _goes_on(self) -> bool:
        with self._lock:
            self._wanted = False
            if self._closed:
                self._thread = None
                return False
        more = self._work()
        with self._lock:
            # somebody may have started it again while it made up its mind to end
            if more or (self._wanted and not self._closed):
                return True
            self._thread = None
            return False
