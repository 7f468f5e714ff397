"""A container's standard streams at the shim's end: its output goes into the log and on to whoever listens.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import os
import select

from labcontainers.kernel.lean import Callable
from labcontainers.runtime import terminal
from labcontainers.runtime.feed import Feed
from labcontainers.runtime.handshake import CHUNK_BYTES
from labcontainers.runtime.reactor import POLLIN, Reactor
from labcontainers.runtime.stdio import Client, LogFile

Output = Callable[[int, bytes], None]


class Streams:
    """The pipes or the terminal of one start of the container; `output(stream, data)` gets what is read beside the log."""

    def __init__(self, reactor: Reactor, output: Output, feed: Feed | None, *, tty: bool) -> None:
        """`feed` is there when the container's input is to stay open."""
        self._reactor = reactor
        self.log: LogFile | None = None
        self._output = output
        self._feed = feed
        self._tty = tty
        self.takes_input = False
        self._fds: dict[int, int] = {}
        self._peer = -1
        self._held = False

    def open(self, given: int = -1) -> tuple[int, int, int]:
        """The container's ends of its standard streams, which the caller closes; `given` is what it is to read, if somebody said so.

        Those of a container with a terminal are empty until init has made it (see `take_terminal`).
        """
        self.takes_input = self._feed is not None and given < 0
        if self._tty:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            return null, os.dup(null), os.dup(null)
        return self._open_input(given), self._open_output(1), self._open_output(2)

    def admit(self, client: Client) -> None:
        """Take input of this client from now on, if the container takes any."""
        if self._feed is not None:
            self._feed.admit(client)

    def put(self, client: Client, data: bytes) -> None:
        """Pass one piece of input on; raises ValueError for a client that may not send it."""
        if self._feed is None:
            raise ValueError("this container takes no input")
        self._feed.put(client, data)

    def end_input(self, client: Client) -> None:
        """This client sends no more, or has gone."""
        if self._feed is not None:
            self._feed.end(client)

    def _open_input(self, given: int) -> int:
        if given >= 0:
            return given
        if self._feed is None:
            return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        self._feed.open(ours)
        return theirs

    def _open_output(self, stream: int) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self._watch(stream, ours)
        return theirs

    def _watch(self, stream: int, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fds[stream] = fd
        self._reactor.watch(fd, lambda: self._on_output(stream), 0 if self._held else POLLIN)

    def take_terminal(self, master: int, peer: int) -> None:
        """What init has made: its output is one stream, and the feed has the master, too."""
        self._peer = peer
        self._watch(1, master)
        if self._feed is not None and self.takes_input:
            self._feed.open(os.dup(master))

    def resize(self, rows: int, columns: int) -> bool:
        """Set the terminal's size; whether there is one."""
        if self._peer < 0:
            return False
        terminal.resize(self._fds[1], rows, columns)
        return True

    def hold(self, full: bool) -> None:
        """Read nothing while `full`, so that the container waits."""
        if full == self._held:
            return
        self._held = full
        for fd in self._fds.values():
            self._reactor.change(fd, 0 if full else POLLIN)

    def drain(self) -> None:
        """Read what is there, once the container has ended, and close what is left of it."""
        if self._feed is not None:
            self._feed.close()
        if self._peer >= 0:
            os.close(self._peer)
            self._peer = -1
        for stream in (1, 2):
            while stream in self._fds and select.select([self._fds[stream]], [], [], 0)[0]:
                self._on_output(stream)
            if stream in self._fds:
                self._close(stream)

    def _close(self, stream: int) -> None:
        fd = self._fds.pop(stream)
        self._reactor.forget(fd)
        os.close(fd)

    def _on_output(self, stream: int) -> None:
        fd = self._fds[stream]
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # how a terminal whose other end is closed tells that all was read: EIO
        if not data:
            self._close(stream)
            return
        if self.log is not None:
            self.log.write(stream, data)
        self._output(stream, data)
