"""What the engine, the launcher, the shims and init say to each other: one datagram per message, descriptors passed along.

It must not import anything but the few standard modules that the launcher holds, and knows no meaning of the messages.

A datagram begins with one byte for its kind: `J` a JSON object, `1` or `2` bytes of standard output or error.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

CHUNK_BYTES = 65536
_LIMIT = CHUNK_BYTES + 1024
_DESCRIPTORS = 32

Message = dict[str, Any]


class Channel:
    """One end of a SOCK_SEQPACKET connection (unix(7)). Closing it, or its process' end, is seen as end of file."""

    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Two connected ends, both close-on-exec."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(first), Channel(second)

    @staticmethod
    def from_fd(fd: int) -> Channel:
        """Take over the descriptor `fd`."""
        return Channel(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd))

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send one JSON message with descriptors; one over 60 kB travels in a memfd. Raises OSError when the peer is gone."""
        body = json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogateescape")
        if len(body) <= 60000:
            self._send(b"J" + body, fds)
            return
        memory = os.memfd_create("message", os.MFD_CLOEXEC)
        try:
            _write_all(memory, body)
            self._send(b"M", (*fds, memory))
        finally:
            os.close(memory)

    def send_stream(self, stream: int, data: bytes) -> None:
        """Send at most CHUNK_BYTES bytes of standard output (1) or error (2); BlockingIOError when the peer is slow."""
        self.sock.send(b"%d" % stream + data, socket.MSG_NOSIGNAL)

    def _send(self, data: bytes, fds: tuple[int, ...]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
        self.sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[Message | tuple[int, bytes] | None, list[int]]:
        """The next message: a dict, (stream, bytes), or None at end of file; with the descriptors that came along.

        Blocks unless the socket is non-blocking (then BlockingIOError).
        """
        try:
            data, ancillary, _, _ = self.sock.recvmsg(_LIMIT, socket.CMSG_SPACE(4 * _DESCRIPTORS), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None, []
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += struct.unpack(f"={len(payload) // 4}i", payload[: len(payload) // 4 * 4])
        if not data:
            return None, fds
        if data[:1] in (b"1", b"2"):
            return (data[0] - 48, data[1:]), fds
        body = data[1:]
        if data[:1] == b"M":
            memory = fds.pop()
            body = _read_all(memory)
            os.close(memory)
        message: Message = json.loads(body)
        return message, fds


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_all(fd: int) -> bytes:
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
