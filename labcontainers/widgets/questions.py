"""What pages ask, answered one after the other in a thread that ends when nothing is left; it must not know what is asked."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from labcontainers.kernel.interrupts import begin_thread

_WAITING = 100


class Questions:
    """`answer` is called in a thread of this name and must not raise. Thread-safe."""

    def __init__(self, thread_name: str, answer: Callable[[str], None]) -> None:
        self._thread_name = thread_name
        self._answer = answer
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque(maxlen=_WAITING)
        self._current: str | None = None
        self._thread: threading.Thread | None = None
        self.closed = False

    def ask(self, question: str) -> None:
        """Have it answered, once however often it is asked meanwhile; of very many the oldest are left out."""
        with self._lock:
            if self.closed or question == self._current or question in self._waiting:
                return
            self._waiting.append(question)
            if self._thread is None:
                self._thread = threading.Thread(target=self._answer_all, name=self._thread_name, daemon=True)
                begin_thread(self._thread)

    def take(self) -> str | None:
        """The next one, for an answer that takes long and lets others come first; None when nothing is asked."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Answer no more; blocks until the thread has ended."""
        with self._lock:
            self.closed = True
            self._waiting.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _answer_all(self) -> None:
        while True:
            with self._lock:
                self._current = self._waiting.popleft() if self._waiting else None
                if self._current is None:
                    self._thread = None
                    return
                question = self._current
            self._answer(question)
