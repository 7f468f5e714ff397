"""An attachment to an exec: its pipes, or its terminal, in this process' own hands.

It must not know how the exec is started; the shim keeps a second hand on the terminal, so that a process goes on when this one goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Iterable

from labcontainers.containers.attaching.attach import Attached, Piece
from labcontainers.containers.shim_client import ShimClient
from labcontainers.errors import Conflict, Unsupported
from labcontainers.kernel.interrupts import LOOK_AGAIN_S
from labcontainers.runtime.handshake import CHUNK_BYTES


class ExecAttachment(Attached):
    """One to an exec. `streams` are the descriptors to read from and their stream; `source` is where input goes, or -1. All are closed."""

    def __init__(
        self,
        client: ShimClient,
        name: str,
        *,
        streams: dict[int, int],
        source: int,
        tty: bool,
        stdin: bool,
        detach_keys: bytes | None = None,
    ) -> None:
        super().__init__(name, tty=tty, stdin=stdin, detach_keys=detach_keys)
        self._client = client
        self._streams = streams
        self._source = source
        self._reading = threading.Lock()
        self._exit_code: int | None = None
        self._over = threading.Event()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)

    @property
    def exit_code(self) -> int | None:
        return self._exit_code

    def read(self, timeout_s: float | None = None) -> Piece | None:
        with self._reading:
            while self._streams and not self._over.is_set():
                ready = self._poll(self._streams, select.POLLIN, timeout_s)
                if not ready and timeout_s is not None:
                    raise TimeoutError
                for fd in ready:
                    stream = self._streams[fd]
                    data = self._take(fd)
                    if data:
                        return stream, data
            if not self._over.is_set() and self._exit_code is None:
                code = self._client.exec_exit_code(timeout_s)
                if code is None and timeout_s is not None:
                    raise TimeoutError
                if not self._over.is_set():
                    self._exit_code = 137 if code is None else code
        return None

    def _poll(self, fds: Iterable[int], event: int, timeout_s: float | None) -> list[int]:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for fd in fds:
            poll.register(fd, event)
        while not (found := poll.poll((LOOK_AGAIN_S if timeout_s is None else timeout_s) * 1000)) and timeout_s is None:
            pass
        return [fd for fd, _ in found if fd != self._wake]

    def _take(self, fd: int) -> bytes:
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""  # a terminal tells its end by EIO
        if not data:
            self._streams.pop(fd)
            if fd != self._source:
                os.close(fd)
        return data

    def _send(self, data: memoryview) -> None:
        while data:
            try:
                if self._over.is_set() or not self._poll((self._source,), select.POLLOUT, None):
                    raise BrokenPipeError
                data = data[os.write(self._source, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Conflict(f"the command in {self.name} takes no more input", "it has ended, or was detached from") from None

    def close_stdin(self) -> None:
        """Of a terminal, that is the key ctrl-d, which a program in raw mode may take for something else."""
        with self._writing:
            if not self.stdin:
                return
            self.stdin = False
            if self.tty:
                with contextlib.suppress(Conflict):
                    self._send(memoryview(b"\x04"))
            else:
                os.close(self._source)
                self._source = -1

    def resize(self, rows: int, columns: int) -> None:
        if not self.tty:
            raise Unsupported(f"the command in {self.name} has no terminal", "run it with tty (-t)")
        fcntl.ioctl(self._source, termios.TIOCSWINSZ, struct.pack("=4H", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._client.exec_signal(number)

    def detach(self) -> None:
        if not self._over.is_set() and self._exit_code is None:
            self.detached = True
            self.close()

    def close(self) -> None:
        """Let go: a command with a terminal goes on, one with pipes meets their end."""
        if self._over.is_set():
            return
        self._over.set()
        os.write(self._waker, b"!")
        self._client.disconnect()
        with self._reading, self._writing:
            for fd in {*self._streams, self._source, self._wake, self._waker} - {-1}:
                os.close(fd)
            self._streams, self._source = {}, -1
            self._client.close()
