"""Pseudo-terminals: made by init in the container's own devpts, and sized by the shim (pty(7), ioctl_tty(2)).

It must not import anything but what the launcher holds. Neither end is ever opened by a path that the container can change: the
master is checked to be the multiplexer of devpts, and the kernel itself gives its peer (CVE-2025-52565).

Needs Linux 4.13 (TIOCGPTPEER).
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct

from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.lean import Any
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.rootfs import Refused, RootFileSystem

# include/uapi/asm-generic/ioctls.h
_TIOCSCTTY = 0x540E
_TIOCSWINSZ = 0x5414
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
# Documentation/filesystems/devpts.rst: the multiplexer is inode 2 of each instance, and device 5, 2
_PTMX_INODE, _PTMX_DEVICE = 2, os.makedev(5, 2)


def resize(fd: int, rows: int, columns: int) -> None:
    """Set the size of the terminal at either end, in characters; its foreground processes get SIGWINCH. Raises OSError."""
    fcntl.ioctl(fd, _TIOCSWINSZ, struct.pack("=4H", rows, columns, 0, 0))


class Terminal:
    """The operation `terminal` of a plan: both ends go to the shim, and the peer becomes this process' streams."""

    def __init__(self, root: RootFileSystem, channel: Channel) -> None:
        self._root = root
        self._channel = channel

    def make(self, rows: int, columns: int, console: bool) -> None:
        """Make a terminal of this size (0 for none yet) the controlling one; with `console`, it is /dev/console too."""
        master = self._open_master()
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("=i", 0))
        peer = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if rows and columns:
            resize(peer, rows, columns)
        if console:
            self._bind_console(peer)
        for fd in (0, 1, 2):
            os.dup2(peer, fd)
        fcntl.ioctl(peer, _TIOCSCTTY, 0)
        # The shim keeps the peer as well: without it, a container whose processes have all closed theirs would seem to hang up.
        self._channel.send({"terminal": True}, (master, peer))
        os.close(master)
        os.close(peer)

    def _open_master(self) -> int:
        """Open the multiplexer, looked at before it is opened for real since a container may have put something else there."""
        if self._root.fd < 0:
            self._root.open("/")  # of an exec, which has joined the container
        path = "/dev/pts/ptmx"
        looked = self._root.find(path, os.O_PATH | os.O_NOFOLLOW, syscalls.RESOLVE_NO_SYMLINKS)
        try:
            _check(os.fstat(looked))
        finally:
            os.close(looked)
        master = self._root.find(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK, syscalls.RESOLVE_NO_SYMLINKS)
        _check(os.fstat(master))
        return master

    def _bind_console(self, peer: int) -> None:
        """Bind the peer itself, not a path that leads to it, onto a file that nobody had there before."""
        folder = self._root.find("/dev", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, syscalls.RESOLVE_NO_SYMLINKS)
        target = os.open("console", os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        os.close(folder)
        try:
            tree = mounts.open_tree("", dirfd=peer)
            mounts.move_mount(tree, target)
            os.close(tree)
        finally:
            os.close(target)

    def table(self) -> dict[str, Any]:
        """Name of the operation of a plan -> the function that does it."""
        return {"terminal": self.make}


def _check(status: os.stat_result) -> None:
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX_DEVICE or status.st_ino != _PTMX_INODE:
        raise Refused("/dev/pts/ptmx of the container is not the multiplexer of pseudo-terminals: no terminal can be made")
