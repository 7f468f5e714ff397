"""A socket for one step that leads to an SSH agent of the host: the agent sees its own user, whoever the step runs as.

It must not know what is said through it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 64 * 1024
_NAME = "agent"


@contextlib.contextmanager
def forwarded(agent: Path, folder: Path, mode: int) -> Iterator[Path]:
    """A socket in `folder`, of this mode, whose connections go on to `agent`, until the context ends. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # a socket's address is short, the folder's path need not be (unix(7))
        listener.bind(f"/proc/self/fd/{fd}/{_NAME}")
        os.chmod(folder / _NAME, mode)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(fd)
    relay = _Relay(listener, agent)
    try:
        relay.start()
        yield folder / _NAME
    finally:
        relay.stop()


class _Relay:
    """Accepts connections, and copies each in both directions."""

    def __init__(self, listener: socket.socket, agent: Path) -> None:
        self._listener = listener
        self._agent = agent
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="lab-ssh", daemon=True)]

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        """End all connections, and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            still = list(self._open)
        for one in still:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            outer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                outer.connect(str(self._agent))
            except OSError:
                inner.close()
                outer.close()
                continue
            with self._lock:
                self._open += [inner, outer]
            thread = threading.Thread(target=self._both_ways, args=(inner, outer), name="lab-ssh", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _both_ways(self, inner: socket.socket, outer: socket.socket) -> None:
        back = threading.Thread(target=_pump, args=(outer, inner), name="lab-ssh", daemon=True)
        back.start()
        _pump(inner, outer)
        back.join()
        with self._lock:
            self._open = [one for one in self._open if one not in (inner, outer)]
        inner.close()
        outer.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RD if end is source else socket.SHUT_WR)
