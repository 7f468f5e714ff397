"""Every thread that the engine starts: named, counted, and joined when it closes.

It must not know what the threads do.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from labcontainers.errors import LabError
from labcontainers.kernel.interrupts import begin_thread


class Workers:
    """The engine's own threads, named `lab-<role>`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, role: str, work: Callable[[], object]) -> None:
        """Run `work` in a thread of its own; an error of this project in it is met again by whoever needs the result."""

        def body() -> None:
            with contextlib.suppress(LabError, OSError):
                work()

        thread = threading.Thread(target=body, name=f"lab-{role}", daemon=True)
        with self._lock:
            self._threads = [old for old in self._threads if old.is_alive()]
            self._threads.append(thread)
            # within the lock, so that close() meets none that has not begun
            begin_thread(thread)

    def close(self) -> None:
        """Wait for every thread."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
