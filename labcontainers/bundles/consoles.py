"""Terminals of a container at the runtime's end: handed to who asked for them, or shown in the terminal that the command runs in.

It must not make terminals (runtime.terminal does, inside).
"""

from __future__ import annotations

import fcntl
import os
import select
import struct

from labcontainers.kernel.lean import signal, socket
from labcontainers.runtime.terminal import resize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TIOCGWINSZ = 0x5413
_CHUNK_BYTES = 65536


def send_master(path: str, master: int) -> None:
    """Send a terminal's master over the stream socket at `path`, with its name, as runc's --console-socket does. Raises KernelFailed."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", master))]
        sock.sendmsg([b"/dev/ptmx"], rights, socket.MSG_NOSIGNAL)
    except OSError as error:
        from labcontainers.errors import KernelFailed

        raise KernelFailed("connect", error.errno or 0, path, "--console-socket names a socket on which somebody listens") from None
    finally:
        sock.close()


def fit(master: int) -> None:
    """Give a terminal the size of this process' own, if it has one; before the program begins, so that it never sees another size."""
    if os.isatty(0):
        rows, columns = struct.unpack("=4H", fcntl.ioctl(0, _TIOCGWINSZ, bytes(8)))[:2]
        if rows and columns:
            resize(master, rows, columns)


class Console:
    """The terminal `master` shown in this process' own while the container runs; its keys go there as they are."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._former: object = None
        os.set_blocking(master, True)

    def __enter__(self) -> Console:
        if os.isatty(0):
            import termios
            import tty

            self._former = termios.tcgetattr(0)
            tty.setraw(0)
            fit(self._master)
            signal.signal(signal.SIGWINCH, lambda number, frame: fit(self._master))
        return self

    def __exit__(self, *_: object) -> None:
        if self._former is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._former)  # type: ignore[arg-type]  # what tcgetattr gave

    def copy(self, ended: Callable[[], bool]) -> None:
        """Pass on keys and output until all who have the terminal are gone, or the process has `ended` and its output is read."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        poll.register(0, select.POLLIN)
        while True:
            events = dict(poll.poll(100))
            if not events and ended():
                return
            if self._master in events:
                try:
                    data = os.read(self._master, _CHUNK_BYTES)
                except OSError:
                    return  # EIO: nobody has its other end any more
                if not data:
                    return
                _write_all(1, data)
            if 0 in events:
                data = os.read(0, _CHUNK_BYTES)
                if data:
                    _write_all(self._master, data)
                else:
                    poll.unregister(0)
                    os.write(self._master, b"\x04")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
