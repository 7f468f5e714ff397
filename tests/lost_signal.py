"""A signal that does not wake the main thread, as one that comes just before a call that sleeps: another thread takes it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

LATE_S = 30.0


@contextlib.contextmanager
def lost_signal(say: Callable[[str], object]) -> Iterator[None]:
    """While the block waits the signal comes, and its handler says "handled"; "late" is said if that did not happen for long."""
    begun = threading.Event()

    def take() -> None:
        begun.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    taker = threading.Thread(target=take)
    late = threading.Timer(LATE_S, say, ["late"])
    former = signal.signal(signal.SIGUSR1, lambda *_: say("handled"))
    try:
        taker.start()
        late.start()
        threading.Timer(0.1, begun.set).start()
        yield
    finally:
        begun.set()
        late.cancel()
        taker.join()
        signal.signal(signal.SIGUSR1, former)
