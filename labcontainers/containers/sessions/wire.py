"""Reads what a session's process says and writes, always, so that a program in the background never waits for the next cell.

It must not know languages. One thread per session, `lab-session-…`, ends with the process or with close(). While nobody listens, the
last of the output is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from labcontainers.containers.sessions.peer import Peer
from labcontainers.kernel.interrupts import LOOK_AGAIN_S, begin_thread

Item = tuple[str, int, bytes]
"""("output", stream, bytes), ("frame", 0, bytes), ("gone", exit code, b"") or ("interrupt", signal, b"")."""

_CHUNK_BYTES = 1 << 16
# a listener that does not follow lets the process wait
_AHEAD_BYTES = 4 << 20
KEPT_BYTES = 1 << 20
# so long after the end of its socket a process may take to end
_LAST_S = 1.0


class Wire:
    """Between a session and its process. `exit_code` is None while that lives; `lost_bytes` is what nobody heard of.

    Who makes it listens, until he leaves. `expects_much` says that answers may be long just now; a process that talks without end at other
    times is ended.
    """

    def __init__(self, peer: Peer, name: str) -> None:
        self.exit_code: int | None = None
        self.lost_bytes = 0
        self._peer = peer
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._frame: list[bytes] = []
        self._frame_bytes = 0
        self.expects_much = False
        self._changed = threading.Condition()
        # the process may greet before anybody could say that he listens
        self._listened = True
        self._ahead_bytes = 0
        self._kept: deque[Item] = deque()
        self._kept_bytes = 0
        self._closing = threading.Event()
        self._silent_since: float | None = None
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        peer.control.setblocking(False)
        self._thread = threading.Thread(target=self._read, name=f"lab-session-{name}", daemon=True)
        begin_thread(self._thread)

    # --- for who listens

    def listen(self) -> None:
        """From now on next() gives what comes, beginning with what was kept."""
        with self._changed:
            self._listened = True
            for item in self._kept:
                self._ahead_bytes += len(item[2])
                self._items.put(item)
            self._kept.clear()
            self._kept_bytes = 0

    def leave(self) -> None:
        """Nobody listens any more."""
        with self._changed, contextlib.suppress(Empty):
            self._listened = False
            self._changed.notify_all()
            while True:
                item = self._items.get_nowait()
                if item[0] == "output":
                    self._taken(item)
                    self._keep(item)

    def keep(self, stream: int, data: bytes) -> None:
        """Put output back, for the next one who listens."""
        self._keep(("output", stream, data))

    def next(self, timeout_s: float) -> Item | None:
        """The next item; None when nothing came in time."""
        try:
            item = self._items.get(timeout=max(timeout_s, 0))
        except Empty:
            return None
        self._taken(item)
        return item

    def _taken(self, item: Item) -> None:
        if item[0] == "output":
            with self._changed:
                self._ahead_bytes -= len(item[2])
                self._changed.notify_all()

    def interrupt(self, number: int) -> None:
        """Give the listener an "interrupt"; from any thread, and from a signal's handler."""
        self._items.put(("interrupt", number, b""))

    def send(self, data: bytes, meanwhile: Callable[[], object] = lambda: None) -> bool:
        """Send all of it, calling `meanwhile` twice a second; whether there was somebody to take it."""
        left = memoryview(data)
        poll = select.poll()
        poll.register(self._peer.control.fileno(), select.POLLOUT)
        while left:
            if self.exit_code is not None or self._closing.is_set():
                return False
            if not poll.poll(LOOK_AGAIN_S * 1000):
                meanwhile()
                continue
            try:
                left = left[self._peer.control.send(left, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                continue
            except OSError:
                return False
        return True

    def end_input(self) -> None:
        """Tell the process that no more comes."""
        with contextlib.suppress(OSError):
            self._peer.control.shutdown(socket.SHUT_WR)

    def wait_gone(self, timeout_s: float) -> bool:
        """Whether the process has ended within this time, and all that it had written was read."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Read no more and let go of everything. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        os.write(self._waker, b"!")
        self._thread.join()
        self._peer.control.close()
        for fd in (self._peer.output, self._peer.errors, self._wake, self._waker):
            os.close(fd)
        self._peer.close()

    # --- the thread

    def _read(self) -> None:
        peer = self._peer
        streams = {peer.output: 1, peer.errors: 2}
        control = peer.control.fileno()
        poll = select.poll()
        for fd in (*streams, control, peer.fileno(), self._wake):
            poll.register(fd, select.POLLIN)
        while not self._closing.is_set():
            ready = {fd for fd, _ in poll.poll(LOOK_AGAIN_S * 1000)}
            for fd in ready & set(streams):
                if not self._take(fd, streams[fd]):
                    poll.unregister(fd)
            if control in ready and not self._hear(streams):
                poll.unregister(control)
                self._silent_since = time.monotonic()
            if peer.fileno() in ready and (code := peer.exit_code()) is not None:
                self._drain(streams)
                while self._hear(streams):
                    pass
                self.exit_code = code
                self._items.put(("gone", code, b""))
                return
            if self._silent_since is not None and time.monotonic() - self._silent_since > _LAST_S:
                peer.kill()

    def _hear(self, streams: dict[int, int]) -> bool:
        """Take answers, after all output that was written before them; whether there may be more."""
        try:
            data = self._peer.control.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return self.exit_code is None and not self._ended()
        except OSError:
            return False
        if not data:
            return False
        first, *others = data.split(b"\0")
        self._add(first)
        if others:
            self._drain(streams)
        for other in others:
            with self._changed:
                if self._listened:
                    self._items.put(("frame", 0, b"".join(self._frame)))
            self._frame, self._frame_bytes = [], 0
            self._add(other)
        return True

    def _add(self, data: bytes) -> None:
        """One more piece of an answer: a long one comes only when somebody has asked."""
        self._frame.append(data)
        self._frame_bytes += len(data)
        if self._frame_bytes > KEPT_BYTES and not self.expects_much:
            self._frame, self._frame_bytes = [], 0
            self._peer.kill()

    def _ended(self) -> bool:
        return self._peer.exit_code() is not None

    def _drain(self, streams: dict[int, int]) -> None:
        """Take what is in the pipes now, and not what goes on coming."""
        for fd, stream in streams.items():
            left = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
            while left > 0 and (taken := self._take(fd, stream, left)):
                left -= taken

    def _take(self, fd: int, stream: int, most_bytes: int = _CHUNK_BYTES) -> int:
        data = os.read(fd, min(most_bytes, _CHUNK_BYTES))
        if data:
            self._pass_on(("output", stream, data))
        return len(data)

    def _pass_on(self, item: Item) -> None:
        with self._changed:
            while self._listened and self._ahead_bytes > _AHEAD_BYTES and not self._closing.is_set():
                self._changed.wait()
            if self._listened:
                self._ahead_bytes += len(item[2])
                self._items.put(item)
                return
        self._keep(item)

    def _keep(self, item: Item) -> None:
        with self._changed:
            self._kept.append(item)
            self._kept_bytes += len(item[2])
            while self._kept_bytes > KEPT_BYTES:
                lost = len(self._kept.popleft()[2])
                self._kept_bytes -= lost
                self.lost_bytes += lost
