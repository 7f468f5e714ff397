"""The workshop: a process that has imported what workers need and forks one for every piece of work, so that none imports it again.

It must not know what workers do. Work on file trees takes a millisecond, the imports for it many; a build has dozens of such pieces.
The launcher itself stays without them, since every shim shares its memory. The workshop ends with its engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable

from labcontainers.errors import LabError, Unavailable
from labcontainers.kernel import syscalls
from labcontainers.runtime.handshake import Channel, Message

Request = Callable[[Message, tuple[int, ...]], None]


class Workshop:
    """The engine's end: opened with the first piece of work, and again when it was killed. Thread-safe."""

    def __init__(self, start: Request) -> None:
        """`start` asks the launcher for a workshop on the descriptor that is passed along."""
        self._start = start
        self._lock = threading.Lock()
        self._channel: Channel | None = None

    def request(self, message: Message, fds: tuple[int, ...]) -> None:
        """Have the work of `message` done in a process of its own, which answers on the descriptor. Raises Unavailable."""
        with self._lock:
            for attempt in (1, 2):
                if self._channel is None:
                    self._channel = self._open()
                try:
                    self._channel.send(message, fds)
                    return
                except OSError as error:
                    self._channel.close()
                    self._channel = None
                    if attempt == 2:
                        raise Unavailable(f"the workshop does not answer: {error}", "try again") from error

    def _open(self) -> Channel:
        ours, theirs = Channel.pair()
        try:
            self._start({"workshop": True}, (theirs.fileno(),))
        except (LabError, OSError):
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def close(self) -> None:
        """End it and wait until it is gone. Idempotent."""
        with self._lock:
            if self._channel is None:
                return
            with contextlib.suppress(OSError):
                self._channel.sock.shutdown(socket.SHUT_WR)
                self._channel.receive()
            self._channel.close()
            self._channel = None


def serve(channel: Channel) -> None:
    """The process' end: fork a worker for each request until the engine goes away."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    syscalls.set_process_title("lab-workshop")
    while True:
        message, fds = channel.receive()
        if not isinstance(message, dict):
            return
        module = message["worker"]["function"].partition(":")[0]
        if module.startswith("labcontainers.") and module not in sys.modules:
            # what cannot be imported is told by the worker, which tries again
            with contextlib.suppress(Exception):
                __import__(module)
        if os.fork() == 0:
            try:
                channel.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                work(Channel.from_fd(fds[0]), message["worker"], tuple(fds[1:]))
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)


def _end_with(channel: Channel) -> None:
    """Let the kernel kill this process when the other end writes no more: SIGIO, whose default action that is (fcntl(2), O_ASYNC)."""
    fd = channel.fileno()
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    # what came before that gives no signal
    if select.select([fd], [], [], 0)[0]:
        os._exit(1)


def work(channel: Channel, request: Message, fds: tuple[int, ...] = ()) -> None:
    """Call `module:function` with the descriptors and the given arguments, and send its result or its error, as JSON."""
    syscalls.set_process_title("lab-worker")
    if request.get("bound"):
        _end_with(channel)
    try:
        module, _, function = request["function"].partition(":")
        if not module.startswith("labcontainers."):
            raise ValueError(f"not a function of this package: {request['function']}")
        __import__(module)
        channel.send({"result": getattr(sys.modules[module], function)(*fds, **request["arguments"])})
    except BaseException as error:
        failure = {"type": type(error).__name__, "message": str(getattr(error, "message", error)), "errno": getattr(error, "errno", None)}
        channel.send({"error": {**failure, "path": str(getattr(error, "filename", None) or ""), "hint": getattr(error, "hint", "")}})
