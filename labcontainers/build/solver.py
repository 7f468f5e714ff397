"""Does the tasks of a graph in a few threads, each as soon as what it needs is done; what they say is heard in the caller's thread.

It must not know builds. Signals come only to the main thread, so that the one who waits there hears of them, and stops the tasks.
"""

from __future__ import annotations

import heapq
import queue
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from labcontainers.build.cancelling import Cancel
from labcontainers.errors import Cancelled
from labcontainers.kernel.interrupts import LOOK_AGAIN_S, Interrupts, begin_thread

Said = TypeVar("Said")

OTHER_FAILED = "another step failed"
INTERRUPTED = "interrupted"
# What has been said and not been heard yet, in pieces: who says more waits, and so does the step that writes it.
_UNHEARD = 64


class Solver(Generic[Said]):
    """Tasks are numbers, lower ones first where several could be done. One use only."""

    def __init__(self, needs: Mapping[int, Collection[int]], width: int, do: Callable[[int], object], cancel: Cancel) -> None:
        """`needs` has every task, with those that must be done before; at most `width` are done at once. `do` raises to stop them all."""
        self._do = do
        self._cancel = cancel
        self._width = width
        self._lacks = {task: len(set(before)) for task, before in needs.items()}
        self._leads_to: dict[int, list[int]] = {task: [] for task in needs}
        for task, before in needs.items():
            for one in set(before):
                self._leads_to[one].append(task)
        self._ready = [task for task, lacking in self._lacks.items() if not lacking]
        heapq.heapify(self._ready)
        self._changed = threading.Condition()
        self._left = len(needs)
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        # what is said; the number of a signal; or None from a thread that ends
        self._inbox: queue.SimpleQueue[tuple[Said] | int | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_UNHEARD)

    def tell(self, said: Said) -> None:
        """Say something from within a task; waits while too much has not been heard."""
        self._room.acquire()
        self._inbox.put((said,))

    def run(self, hear: Callable[[Said], object]) -> None:
        """Do all tasks; blocks. `hear` gets what they tell, one thing at a time, in this thread.

        Raises what the first task to fail raised, KeyboardInterrupt for an interrupt, Cancelled after `cancel`; no task goes on then.
        """
        signals: list[int] = []
        wrong: BaseException | None = None
        with Interrupts(self._inbox.put, patience=None), self._cancel.stopping(self._wake):
            try:
                self._man()
                self._listen(hear, signals)
            except BaseException as error:
                # of who listens, or an interrupt that nobody keeps back
                wrong = error
                self._cancel.cancel(INTERRUPTED if isinstance(error, KeyboardInterrupt) else "its listener failed")
                self._wait(signals)
        self._tell_outcome(wrong, signals)

    def _tell_outcome(self, wrong: BaseException | None, signals: list[int]) -> None:
        if self._failure is not None and not isinstance(self._failure, Cancelled):
            raise self._failure
        if wrong is not None:
            raise wrong
        if signals:
            raise KeyboardInterrupt(*(number for number in signals[:1] if number != signal.SIGINT))
        self._cancel.check()
        if self._failure is not None:
            raise self._failure

    def _listen(self, hear: Callable[[Said], object], signals: list[int]) -> None:
        ended = 0
        while ended < len(self._threads):
            try:
                said = self._inbox.get(timeout=LOOK_AGAIN_S)
            except queue.Empty:
                continue
            if said is None:
                ended += 1
            elif isinstance(said, int):
                signals.append(said)
                self._cancel.cancel(INTERRUPTED)
            else:
                self._room.release()
                hear(said[0])
        for thread in self._threads:
            thread.join()

    def _wait(self, signals: list[int]) -> None:
        """Hear no more, and wait for the threads."""
        for thread in self._threads:
            while thread.is_alive():
                try:
                    said = self._inbox.get(timeout=LOOK_AGAIN_S / 10)
                except (queue.Empty, KeyboardInterrupt):
                    continue
                if isinstance(said, int):
                    signals.append(said)
                elif said is not None:
                    self._room.release()

    # --- the threads

    def _man(self) -> None:
        """Start as many threads as there is work for, and no more than may be."""
        with self._changed:
            while len(self._threads) < self._width and len(self._ready) > self._idle:
                thread = threading.Thread(target=self._work, name=f"lab-build-{len(self._threads) + 1}", daemon=True)
                self._idle += 1
                self._threads.append(thread)
                begin_thread(thread)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                try:
                    self._do(task)
                except BaseException as error:
                    self._fail(error)
                else:
                    self._finish(task)
        finally:
            self._inbox.put(None)

    def _next(self) -> int | None:
        """The next task, waited for; None when there will be none."""
        with self._changed:
            while not self._ready and self._left and not self._cancel.cancelled:
                self._changed.wait()
            self._idle -= 1
            return None if not self._left or self._cancel.cancelled else heapq.heappop(self._ready)

    def _finish(self, task: int) -> None:
        with self._changed:
            self._left -= 1
            self._idle += 1
            for following in self._leads_to[task]:
                self._lacks[following] -= 1
                if not self._lacks[following]:
                    heapq.heappush(self._ready, following)
            self._changed.notify_all()
        self._man()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._idle += 1
            if self._failure is None or isinstance(self._failure, Cancelled):
                self._failure = error
        self._cancel.cancel(INTERRUPTED if isinstance(error, KeyboardInterrupt) else OTHER_FAILED)
