"""Attachments: the standard streams of a running container, or of an exec in it, held by one who reads and writes them.

It must not know terminals of users nor HTTP: bytes come and go. Each may be used by two threads at once, one that reads and one that
writes; every method that waits can be interrupted.
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from labcontainers.containers.attaching.detach_keys import DetachFilter
from labcontainers.errors import Conflict, Unsupported
from labcontainers.kernel.interrupts import LOOK_AGAIN_S
from labcontainers.runtime.feed import WINDOW_BYTES
from labcontainers.runtime.handshake import CHUNK_BYTES, Message
from labcontainers.runtime.process import Execution

Piece = tuple[int, bytes]
# A writer that waits for room receives what comes meanwhile; when nobody reads that, it stops at so much.
_KEPT_BYTES = 1 << 24


class Attached(ABC):
    """What an attachment to a container and one to an exec share. Iterating gives (stream, bytes); stream 1 is output, 2 error.

    `tty` tells whether there is a terminal: all output is then stream 1. Leaving the `with` block lets go.
    """

    def __init__(self, name: str, *, tty: bool, stdin: bool, detach_keys: bytes | None) -> None:
        self.name = name
        self.tty = tty
        self.stdin = stdin
        self.detached = False
        self._filter = DetachFilter(detach_keys) if detach_keys and tty else None
        self._writing = threading.Lock()

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Piece]:
        while (piece := self.read()) is not None:
            yield piece

    def write(self, data: bytes) -> None:
        """Send input; blocks while the container does not take it. The keys to detach, typed at a terminal, detach.

        Raises Conflict when there is no open standard input, or no longer.
        """
        with self._writing:
            if not self.stdin:
                raise Conflict(f"container {self.name} has no open standard input", "create it with stdin_open (-i)")
            allowed = data if self._filter is None else self._filter.feed(data)
            self._send(memoryview(allowed))
        if self._filter is not None and self._filter.detached:
            self.detach()

    def wait(self) -> int | None:
        """Throw away what is left of the output; the exit code, or None when it was detached meanwhile."""
        for _ in self:
            pass
        return self.exit_code

    @property
    @abstractmethod
    def exit_code(self) -> int | None:
        """The exit code once it has ended and all was read, else None."""

    @abstractmethod
    def read(self, timeout_s: float | None = None) -> Piece | None:
        """The next piece of output; None at the end. Raises TimeoutError."""

    @abstractmethod
    def _send(self, data: memoryview) -> None:
        """Send all of it; raises Conflict when nobody takes it any more."""

    @abstractmethod
    def close_stdin(self) -> None:
        """Tell the end of input. Idempotent."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size in characters; raises Unsupported where there is none."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to the process."""

    def end_by(self, number: int) -> None:
        """Send a signal by which it is to end for good, whatever its restart policy."""
        self.signal(number)

    @abstractmethod
    def detach(self) -> None:
        """Go, and leave the process running, whoever started it. Idempotent."""

    @abstractmethod
    def close(self) -> None:
        """Let go: of a container that was run in the foreground, that is its end. Idempotent."""


class Attachment(Attached):
    """One to a container, over its shim's socket. `before` is output from before; `on_close` is called once, when it is let go."""

    def __init__(
        self,
        execution: Execution,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes | None = None,
        before: Iterable[Piece] = (),
        on_close: Callable[[Attachment], None] = lambda attachment: None,
    ) -> None:
        super().__init__(execution.name, tty=tty, stdin=stdin, detach_keys=detach_keys)
        self._execution = execution
        self._on_close = on_close
        self._before = iter(before)
        self._changed = threading.Condition(threading.Lock())
        self._receiving = False
        self._pieces: deque[Piece] = deque()
        self._kept_bytes = 0
        self._room_bytes = WINDOW_BYTES
        self._over = False
        self._closed = False
        self._end: Message | None = None

    @property
    def end(self) -> Message | None:
        """What the shim told of the container's end: exit_code, oom_killed, finished_at."""
        return self._end

    @property
    def exit_code(self) -> int | None:
        return None if self._end is None or self._pieces else int(self._end["exit_code"])

    def read(self, timeout_s: float | None = None) -> Piece | None:
        for piece in self._before:
            return piece
        self._until(lambda: bool(self._pieces), timeout_s)
        with self._changed:
            if not self._pieces:
                return None
            piece = self._pieces.popleft()
            self._kept_bytes -= len(piece[1])
            self._changed.notify_all()
            return piece

    def _send(self, data: memoryview) -> None:
        while data:
            self._until(lambda: self._room_bytes > 0)
            piece = data[: min(self._room_bytes, CHUNK_BYTES)]
            try:
                if self._over:
                    raise BrokenPipeError
                self._execution.channel.send_stream(0, piece)
            except OSError:
                raise Conflict(f"container {self.name} takes no more input", "it has ended, or was detached from") from None
            with self._changed:
                self._room_bytes -= len(piece)
            data = data[len(piece) :]

    def close_stdin(self) -> None:
        """Docker's rule: the container's input ends if it was run for one attachment, and without a terminal; else the attachment ends."""
        with self._writing:
            if self.stdin:
                self.stdin = False
                self._say({"input_end": True})

    def resize(self, rows: int, columns: int) -> None:
        if not self.tty:
            raise Unsupported(f"container {self.name} has no terminal", "create it with tty (-t)")
        self._say({"resize": [rows, columns]})

    def signal(self, number: int) -> None:
        self._execution.signal(number)

    def end_by(self, number: int) -> None:
        self._execution.signal(number, stop=True)

    def detach(self) -> None:
        if not self._over:
            self.detached = True
            self._say({"detach": True})
            self.close()

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = self._over = True
            # Who receives just now is woken by this, and closes the channel himself.
            self._execution.channel.disconnect()
            if not self._receiving:
                self._execution.close()
            self._changed.notify_all()
        self._on_close(self)

    def _say(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            self._execution.channel.send(message)

    def _until(self, done: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Receive, or wait while another thread does, until `done()` or the end. Raises TimeoutError, and StartFailed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not done() and not self._over:
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                if self._receiving or self._kept_bytes > _KEPT_BYTES:
                    if not self._changed.wait(LOOK_AGAIN_S if left is None else left) and left is not None:
                        raise TimeoutError
                    continue
                self._receiving = True
                self._changed.release()
                try:
                    message = self._execution.next(left)
                finally:
                    self._changed.acquire()
                    self._receiving = False
                    if self._closed:
                        self._execution.close()
                    self._changed.notify_all()
                self._take(message)

    def _take(self, message: Message | Piece | None) -> None:
        if isinstance(message, tuple):
            self._pieces.append(message)
            self._kept_bytes += len(message[1])
        elif message is None or "detached" in message:
            self._over = True
            self.detached = message is not None or self.detached
        elif "ended" in message:
            self._end, self._over = message["ended"], True
        elif "taken" in message:
            self._room_bytes += message["taken"]
