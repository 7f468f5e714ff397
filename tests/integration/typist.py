"""Somebody at a terminal who uses `labcontainers`: a pseudo-terminal, what is typed there and what appears."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping

DEADLINE_S = 90
DETACH = b"\x10\x11"
PROMPT = b"# "


class Typist:
    """One command at a terminal of `size`, in rows and columns. `screen` is what appeared and was not expected yet."""

    def __init__(self, environment: Mapping[str, str], *words: str, size: tuple[int, int] = (24, 80)) -> None:
        self.screen = b""
        self.exit_code: int | None = None
        command = [sys.executable, "-m", "labcontainers", *words]
        master, peer = pty.openpty()
        self.fd = master
        self.resize(*size)
        self.before = termios.tcgetattr(peer)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(master)
                os.login_tty(peer) if hasattr(os, "login_tty") else _login(peer)
                os.execve(command[0], command, dict(environment))
            finally:
                os._exit(127)
        # This end stays open, so that the terminal can be looked at after the command.
        self.peer = peer

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("=4H", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            select.select([], [self.fd], [])
            view = view[os.write(self.fd, view[:1024]) :]

    def expect(self, wanted: bytes) -> bytes:
        """Wait until it appears; what stood before it."""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in self.screen:
            assert time.monotonic() < deadline, f"{wanted!r} did not appear in {self.screen!r}"
            assert self._look() or not self._ended(), f"ended with {self.exit_code} before {wanted!r}: {self.screen!r}"
        before, _, self.screen = self.screen.partition(wanted)
        return before

    def _look(self) -> bool:
        """Take what appears within a moment; whether there was something."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return False
        self.screen += os.read(self.fd, 65536)
        return True

    def _ended(self) -> bool:
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def end(self) -> int:
        """Wait until the command has ended; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while not self._ended():
            assert time.monotonic() < deadline, f"it goes on: {self.screen!r}"
            self._look()
        while self._look():
            pass
        assert self.exit_code is not None
        return self.exit_code

    def restored(self) -> bool:
        """Whether the terminal is as it was before the command."""
        return termios.tcgetattr(self.peer) == self.before

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if not self._ended():
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self.fd)
        os.close(self.peer)


def _login(fd: int) -> None:
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(fd, stream)
    if fd > 2:
        os.close(fd)
