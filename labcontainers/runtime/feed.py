"""A container's standard input at the shim's end: what attached clients send goes into its pipe or terminal, in order and bounded.

It must not import anything but what the launcher holds. A client may have at most WINDOW_BYTES on the way; it is told how many of
them the container has taken (`{"taken": n}`), and sends no more than that again.
"""

from __future__ import annotations

import os

from labcontainers.kernel.lean import Callable, deque
from labcontainers.runtime.handshake import Message
from labcontainers.runtime.reactor import POLLOUT, Reactor
from labcontainers.runtime.stdio import Client

WINDOW_BYTES = 1 << 18


class Feed:
    """The writing end of one container's standard input, over all its starts; `tell(client, message)` answers a client."""

    def __init__(self, reactor: Reactor, tell: Callable[[Client, Message], None], *, tty: bool, once: bool) -> None:
        """With `once`, the first client that ends its input ends it for the container, unless that has a terminal (`StdinOnce`)."""
        self._reactor = reactor
        self._tell = tell
        self._ends = once and not tty
        self._fd = -1
        self._clients: dict[Client, int] = {}
        self._queue: deque[tuple[Client, memoryview | None]] = deque()

    def open(self, fd: int) -> None:
        """Write to `fd` from now on; it is closed by close()."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._flush()

    def close(self) -> None:
        """The container has ended, or its input has: what comes now is thrown away, and told to be taken."""
        if self._fd >= 0:
            self._reactor.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def admit(self, client: Client) -> None:
        """Take input of this client from now on."""
        client.channel.expect_streams()
        self._clients.setdefault(client, 0)

    def put(self, client: Client, data: bytes) -> None:
        """Take one piece; raises ValueError for a client that may not send it."""
        waiting = self._clients[client] + len(data)
        if waiting > WINDOW_BYTES:
            raise ValueError("more input than was asked for")
        self._clients[client] = waiting
        self._queue.append((client, memoryview(data)))
        self._flush()

    def end(self, client: Client) -> None:
        """This client sends no more, or has gone. Nothing happens if it never was admitted, or has said so before."""
        if self._clients.pop(client, None) is not None:
            self._queue.append((client, None))
            self._flush()

    def _flush(self) -> None:
        taken: dict[Client, int] = {}
        while self._queue:
            client, data = self._queue[0]
            if data is None:
                self._ended(client)
            else:
                written = self._write(data)
                if written == 0:
                    break
                taken[client] = taken.get(client, 0) + written
                if written < len(data):
                    self._queue[0] = (client, data[written:])
                    continue
            self._queue.popleft()
        if self._fd >= 0:
            if not self._queue:
                self._reactor.forget(self._fd)
            elif not self._reactor.watches(self._fd):
                self._reactor.watch(self._fd, self._flush, POLLOUT)
        for client, count in taken.items():
            if client in self._clients:
                self._clients[client] -= count
                self._tell(client, {"taken": count})

    def _write(self, data: memoryview) -> int:
        """How many bytes were taken; 0 when it is full."""
        if self._fd < 0:
            return len(data)
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            # The container has closed its standard input, or its terminal is no more.
            self.close()
            return len(data)

    def _ended(self, client: Client) -> None:
        if self._ends:
            self.close()
        else:
            # As in Docker, the container's input stays open, and the attachment is at its end.
            client.streams = ()
            self._tell(client, {"detached": True})
