"""The end of a build before its time: said once by anyone, heard by all who are at work for it.

It must not know what is stopped.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from labcontainers.errors import Cancelled
from labcontainers.store.snapshots import TreeWorker


class Cancel:
    """Give one to a build; `cancel()` from any thread stops it at once, with what it has finished kept. It is not for signal handlers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stops: list[Callable[[], object]] = []
        self._reason = ""

    @property
    def cancelled(self) -> bool:
        """Whether it was said."""
        return bool(self._reason)

    @property
    def reason(self) -> str:
        """The reason that was given first, "" while there is none."""
        return self._reason

    def cancel(self, reason: str = "cancelled") -> bool:
        """Stop; whether nobody has said it before."""
        with self._lock:
            if self._reason:
                return False
            self._reason = reason
            for stop in self._stops:
                # whatever has ended meanwhile needs no stop
                with contextlib.suppress(OSError):
                    stop()
            return True

    def check(self) -> None:
        """Raises Cancelled when it was said."""
        if self._reason:
            raise Cancelled(f"the build was stopped: {self._reason}", "build again: what was finished is kept")

    @contextlib.contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """While it lasts, `stop` is called by whoever cancels, or now where that has happened; it must not block."""
        with self._lock:
            self._stops.append(stop)
            if self._reason:
                with contextlib.suppress(OSError):
                    stop()
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)


class StoppableErrand(Protocol):
    """Work that goes on in a worker."""

    def result(self) -> Any: ...

    def stop(self) -> None: ...


@runtime_checkable
class BindingWorker(Protocol):
    """A worker whose work can be stopped."""

    def begin_bound(self, function: str, /, **arguments: object) -> StoppableErrand: ...


class BoundWorker:
    """A TreeWorker that stops its work when the build is cancelled, where `worker` can do so."""

    def __init__(self, worker: TreeWorker, cancel: Cancel) -> None:
        self._worker = worker
        self._cancel = cancel

    def call(self, function: str, /, **arguments: object) -> Any:
        """The function's result; raises what it raises, and Cancelled."""
        self._cancel.check()
        if not isinstance(self._worker, BindingWorker):
            return self._worker.call(function, **arguments)
        errand = self._worker.begin_bound(function, **arguments)
        with self._cancel.stopping(errand.stop):
            return errand.result()
