"""What the engine, the launcher, the shims and init say to each other: one datagram per message, descriptors passed along.

It must not import anything but the few standard modules that the launcher holds, and knows no meaning of the messages.

A datagram begins with one byte for its kind: `J` a JSON object, `0` bytes of standard input, `1` or `2` of standard output or error.
"""

from __future__ import annotations

import os
import struct

from labcontainers.kernel.lean import Any, dumps, loads, socket

CHUNK_BYTES = 65536
_INLINE_BYTES = 4000
_DESCRIPTORS = 32

Message = dict[str, Any]


class Channel:
    """One end of a SOCK_SEQPACKET connection (unix(7)). Closing it, or its process' end, is seen as end of file."""

    __slots__ = ("_buffer_bytes", "sock")

    def __init__(self, sock: socket.socket, *, streams: bool = False) -> None:
        """With `streams`, this end expects output: it reserves room for whole chunks, which a shim must not spend."""
        self.sock = sock
        self._buffer_bytes = CHUNK_BYTES + 16 if streams else _INLINE_BYTES + 16

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Two connected ends, both close-on-exec; the first may receive streams."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(first, streams=True), Channel(second)

    @staticmethod
    def from_fd(fd: int) -> Channel:
        """Take over the descriptor `fd`."""
        return Channel(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd))

    def expect_streams(self) -> None:
        """From now on, reserve room for whole chunks."""
        self._buffer_bytes = CHUNK_BYTES + 16

    def wake_up_every(self, seconds: float) -> None:
        """`receive` raises BlockingIOError when nothing came for so long (SO_RCVTIMEO, socket(7))."""
        whole = int(seconds)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", whole, int((seconds - whole) * 1e6)))

    def fileno(self) -> int:
        return self.sock.fileno()

    def disconnect(self) -> None:
        """Send and receive no more, without letting the descriptor go: whoever waits at either end comes to the end of file."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.sock.close()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send one JSON message with descriptors; a long one travels in a memfd. Raises OSError when the peer is gone."""
        body = dumps(message).encode("utf-8", "surrogateescape")
        if len(body) < _INLINE_BYTES:
            self._send(b"J" + body, fds)
            return
        memory = memory_file(body)
        try:
            self._send(b"M", (*fds, memory))
        finally:
            os.close(memory)

    def send_stream(self, stream: int, data: bytes | memoryview) -> None:
        """Send at most CHUNK_BYTES bytes of standard input (0), output (1) or error (2); BlockingIOError when the peer is slow."""
        self.sock.send(b"%d" % stream + data, socket.MSG_NOSIGNAL)

    def _send(self, data: bytes, fds: tuple[int, ...]) -> None:
        send_with(self.sock, data, fds)

    def receive(self) -> tuple[Message | tuple[int, bytes] | None, list[int]]:
        """The next message: a dict, (stream, bytes), or None at end of file; with the descriptors that came along.

        Blocks unless the socket is non-blocking or wakes up (then BlockingIOError). ValueError and IndexError mean that it is none.
        """
        try:
            data, fds = receive_with(self.sock, self._buffer_bytes)
        except ConnectionResetError:
            # The peer left without reading all; what it had sent before is still here (unix(7)), and then the end.
            data, fds = receive_with(self.sock, self._buffer_bytes)
        if not data:
            return None, fds
        if data[:1] in (b"0", b"1", b"2"):
            return (data[0] - 48, data[1:]), fds
        body = data[1:]
        if data[:1] == b"M":
            memory = fds.pop()
            body = read_all(memory)
            os.close(memory)
        elif data[:1] != b"J":
            raise ValueError(f"a message of an unknown kind: {data[:1]!r}")
        message: Message = loads(body)
        return message, fds


def send_with(sock: socket.socket, data: bytes, fds: tuple[int, ...]) -> None:
    """Send one datagram with descriptors (SCM_RIGHTS, unix(7)); raises OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
    sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def receive_with(sock: socket.socket, most_bytes: int) -> tuple[bytes, list[int]]:
    """One datagram and the descriptors that came along, close-on-exec; raises OSError."""
    data, ancillary, _, _ = sock.recvmsg(most_bytes, socket.CMSG_SPACE(4 * _DESCRIPTORS), socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack(f"={len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    return data, fds


def accept(server: socket.socket) -> socket.socket:
    """accept(2): the connection, close-on-exec; raises OSError."""
    return socket.socket(fileno=server._accept()[0])  # type: ignore[attr-defined]  # of the C form alone


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def memory_file(data: bytes) -> int:
    """A new memfd_create(2) file that holds `data`, read from its beginning; the caller closes it."""
    fd = os.memfd_create("labcontainers", os.MFD_CLOEXEC)
    _write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_all(fd: int) -> bytes:
    """All bytes of a file, from its beginning."""
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def write_file(path: str, text: str, *, sync: bool = False) -> None:
    """Replace the file `path` by `text` at once: temporary name, then rename(2); with `sync`, fsync(2) before."""
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, text.encode("utf-8", "surrogateescape"))
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat: the start of the process in clock ticks since boot; 0 when there is none.

    Together with the boot id it names a process for good, since pids are used again. Source: proc_pid_stat(5).
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(os.read(fd, 4096).rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(fd)


def boot_id() -> str:
    """The random id of this boot (/proc/sys/kernel/random/boot_id, random(4))."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).decode().strip()
    finally:
        os.close(fd)
