"""A terminal as two streams in threads of their own: output in batches and no faster than it is taken, input in order.

It must not know who shows it: what is read goes to a function. Whoever shows it says up to which byte may be read.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from labcontainers.containers.attaching.attach import Attached
from labcontainers.errors import Conflict, LabError
from labcontainers.kernel.interrupts import LOOK_AGAIN_S, begin_thread

BATCH_S = 0.025
# a page takes few large messages much faster than many small ones
BATCH_BYTES = 1 << 18
# more than one key, and little enough that a closing attachment is met soon
INPUT_BYTES = 4096
INPUT_KEPT_BYTES = 1 << 20


class Watching(Protocol):
    """Who shows it; every method is called from the stream's threads."""

    def may_read(self) -> int | None:
        """How many bytes may have been read altogether; None when nobody looks: it goes on then, one batch in BATCH_S."""

    def began(self) -> None:
        """The program has started."""

    def output(self, data: bytes) -> None:
        """The next bytes that were read."""

    def taken(self, size: int) -> None:
        """So many more bytes of input were taken."""

    def ended(self, exit_code: int | None, error: Exception | None) -> None:
        """Nothing follows: with the exit code, or what went wrong; neither where the stream was closed or detached from."""


class PtyStream:
    """`open_it(rows, columns)` gives the attachment, in the stream's own thread; closing the stream closes it."""

    def __init__(self, open_it: Callable[[int, int], Attached], size: tuple[int, int], watching: Watching) -> None:
        self._open_it = open_it
        self._watching = watching
        self._size = size
        self._changed = threading.Condition()
        self._attached: Attached | None = None
        self._input: deque[bytes] = deque()
        self._input_bytes = 0
        self._read_bytes = 0
        self._sent_at = 0.0
        self._closed = False
        self._over = False
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for work, name in self._work()]

    def _work(self) -> tuple[tuple[Callable[[], None], str], ...]:
        return (self._run, "lab-terminal"), (self._feed, "lab-terminal-input")

    def start(self) -> None:
        """Begin; returns at once."""
        for thread in self._threads:
            begin_thread(thread)

    def wake(self) -> None:
        """`may_read` answers otherwise than before."""
        with self._changed:
            self._changed.notify_all()

    def write(self, data: bytes) -> bool:
        """Send input, soon; whether it is taken, which it is not once it has ended, or when a megabyte waits."""
        with self._changed:
            if self._closed or self._over or self._input_bytes + len(data) > INPUT_KEPT_BYTES:
                return False
            self._input.extend(data[at : at + INPUT_BYTES] for at in range(0, len(data), INPUT_BYTES))
            self._input_bytes += len(data)
            self._changed.notify_all()
            return True

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size in characters, if it is another one; the programs in it get SIGWINCH."""
        with self._changed:
            if (rows, columns) != self._size:
                self._size = rows, columns
                self._apply_size()

    def close(self) -> None:
        """Let go of the attachment; blocks until both threads have ended, except in these themselves. Idempotent."""
        with self._changed:
            self._closed = True
            attached = self._attached
            self._changed.notify_all()
        if attached is not None:
            attached.close()
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join()

    # --- output

    def _run(self) -> None:
        code: int | None = None
        error: Exception | None = None
        try:
            attached = self._open()
            if attached is not None:
                try:
                    self._pass_on(attached)
                    code = attached.exit_code
                finally:
                    with self._changed:
                        self._attached = None
                    attached.close()
        except Exception as raised:
            # whatever it was is told to who looks: this thread has nobody else
            error = None if self._closed else raised
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._watching.ended(code, error)

    def _open(self) -> Attached | None:
        with self._changed:
            if self._closed:
                return None
            size = self._size
        attached = self._open_it(*size)
        with self._changed:
            if self._closed:
                attached.close()
                return None
            self._attached = attached
            if self._size != size:
                self._apply_size()
            self._changed.notify_all()
        self._watching.began()
        return attached

    def _apply_size(self) -> None:
        if self._attached is not None:
            # it may be ending just now
            with contextlib.suppress(OSError, ValueError, LabError):
                self._attached.resize(*self._size)

    def _pass_on(self, attached: Attached) -> None:
        going_on = True
        while going_on and self._wait_for_room():
            batch = bytearray()
            going_on = self._gather(attached, batch)
            if batch:
                self._read_bytes += len(batch)
                self._watching.output(bytes(batch))
                self._sent_at = time.monotonic()

    def _wait_for_room(self) -> bool:
        """Wait until somebody takes more; whether to go on."""
        while not self._closed:
            limit = self._watching.may_read()
            with self._changed:
                if self._closed:
                    break
                if limit is None:
                    self._changed.wait(BATCH_S)
                    return not self._closed
                if self._read_bytes < limit:
                    return True
                self._changed.wait(LOOK_AGAIN_S)
        return False

    def _gather(self, attached: Attached, batch: bytearray) -> bool:
        """Read what comes until BATCH_S after the last batch was sent; the first byte after a pause goes on at once. False at the end."""
        piece = attached.read()
        until = max(time.monotonic(), self._sent_at + BATCH_S)
        while piece is not None:
            batch += piece[1]
            if len(batch) >= BATCH_BYTES:
                return True
            try:
                piece = attached.read(max(0.0, until - time.monotonic()))
            except TimeoutError:
                return True
        return False

    # --- input

    def _feed(self) -> None:
        while (work := self._next_input()) is not None:
            attached, data = work
            try:
                attached.write(data)
            except (Conflict, OSError, ValueError):
                # it takes no more: its end is told by who reads
                return
            self._watching.taken(len(data))

    def _next_input(self) -> tuple[Attached, bytes] | None:
        with self._changed:
            while not (self._closed or self._over):
                if self._attached is not None and self._input:
                    data = self._input.popleft()
                    self._input_bytes -= len(data)
                    return self._attached, data
                self._changed.wait(LOOK_AGAIN_S)
        return None
