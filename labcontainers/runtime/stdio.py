"""Where a container's output goes: the log file on disk, and clients that may be slow.

It must not import anything but what the launcher holds.

The log is a sequence of records, each a header of 16 bytes (stream, three zero bytes, length as big-endian uint32, time in
nanoseconds since the epoch as big-endian uint64), the bytes as they were read, and the length once more: exact, cheap to write, and
to be read from either end.
"""

from __future__ import annotations

import os
import struct
import time

from labcontainers.kernel.lean import Callable, deque, socket
from labcontainers.runtime.handshake import Channel, Message

LOG_HEADER = struct.Struct(">BxxxIQ")
LOG_TRAILER = struct.Struct(">I")
SLOW_CLIENT_BYTES = 1 << 20


def let_go_of_standard_streams() -> None:
    """A container outlives whoever started it, and must not keep open the pipes or the terminal that he reads from."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


class LogFile:
    """The container's log, appended to. Beyond `max_bytes` (0: never) it goes on in a new file, and the newest `max_files` are kept.

    The older ones are `<path>.1`, `<path>.2` …, the oldest last.
    """

    def __init__(self, path: str, *, append: bool, max_bytes: int = 0, max_files: int = 1) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC), 0o600)
        self.lost_bytes = 0
        self.on_loss: Callable[[], None] = lambda: None
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._room = max_bytes - self.size() if max_bytes else 0

    def size(self) -> int:
        """How many bytes it has now."""
        return os.fstat(self.fd).st_size

    def write(self, stream: int, data: bytes) -> None:
        """Append one record. A full disk loses the record, counts it (`on_loss` hears of the first), and never stops the container."""
        header = LOG_HEADER.pack(stream, len(data), time.time_ns())
        trailer = LOG_TRAILER.pack(len(data))
        whole = len(header) + len(data) + len(trailer)
        if self._max_bytes:
            if self._room < whole and self._room < self._max_bytes:
                self._rotate()
            self._room -= whole
        try:
            written = os.writev(self.fd, [header, data, trailer])
        except OSError:
            written = 0
        if written != whole:
            if written:
                os.ftruncate(self.fd, os.fstat(self.fd).st_size - written)
            self.lost_bytes += len(data)
            if self.lost_bytes == len(data):
                self.on_loss()

    def _rotate(self) -> None:
        """Go on in a new file, so that who follows the old one reads it to its end; on a full disk, in the old one."""
        try:
            fd = os.open(self._path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            for number in range(self._max_files - 1, 0, -1):
                try:
                    os.rename(f"{self._path}.{number - 1}" if number > 1 else self._path, f"{self._path}.{number}")
                except FileNotFoundError:
                    pass
            os.rename(self._path + ".new", self._path)
        except OSError:
            os.close(fd)
            return
        os.close(self.fd)
        self.fd, self._room = fd, self._max_bytes


class Client:
    """One connected engine, which gets the container's output of `streams`. What it cannot take yet is kept, in order."""

    def __init__(self, channel: Channel, *, streams: tuple[int, ...] = ()) -> None:
        self.channel = channel
        self.channel.sock.setblocking(False)
        self.streams = streams
        self.pending: deque[tuple[int, bytes] | Message] = deque()
        self.pending_bytes = 0
        self.closed = False

    def receive(self) -> tuple[Message | tuple[int, bytes] | None, list[int]]:
        """The next message; BlockingIOError when there is none, None at the end."""
        return self.channel.receive()

    def send_stream(self, stream: int, data: bytes) -> None:
        """Send output, or keep it while the client is slow."""
        self._send((stream, data), len(data))

    def send(self, message: Message) -> None:
        """Send a message, or keep it while the client is slow."""
        self._send(message, 256)

    def _send(self, item: tuple[int, bytes] | Message, size: int) -> None:
        if self.closed:
            return
        self.pending.append(item)
        self.pending_bytes += size
        self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as the client takes it."""
        while self.pending and not self.closed:
            item = self.pending[0]
            try:
                if isinstance(item, tuple):
                    self.channel.send_stream(*item)
                else:
                    self.channel.send(item)
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                self._hang_up()
                self.pending.clear()
                self.pending_bytes = 0
                return
            self.pending.popleft()
            self.pending_bytes -= len(item[1]) if isinstance(item, tuple) else 256

    def finish(self, message: Message) -> None:
        """Send all that is kept and a last message, waiting for a slow client as long as its socket's timeout; then close."""
        self._send(message, 256)
        self._hang_up()
        self.channel.close()

    def _hang_up(self) -> None:
        """Send no more; what the client has sent may still be received."""
        try:
            self.channel.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
