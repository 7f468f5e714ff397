"""Where a file system puts what is made in a directory; it must not know what that is.

Source: chattr(1), attribute T; ioctl_iflags(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
TOP_OF_TREES = 0x00020000


def flags(path: str | os.PathLike[str]) -> int:
    """The inode flags of a directory (FS_IOC_GETFLAGS); raises OSError, also where the file system has none."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _flags(fd)
    finally:
        os.close(fd)


def spread(path: str | os.PathLike[str]) -> None:
    """Tell the file system that the directories in this one have nothing to do with each other (FS_TOPDIR_FL).

    ext4 then gives each of them a part of the disk of its own, where it would else fill one part after the other. That keeps apart what is
    written at once, and a new tree from the remains of the last one that was deleted: without a journal ext4 does not use an inode again
    for a minute or more, and passes over all such inodes one by one for every file that it makes beside them. Other file systems
    know no such hint, and are left as they are. Needs to own the directory; idempotent.
    """
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            known = _flags(fd)
            if not known & TOP_OF_TREES:
                fcntl.ioctl(fd, _SET_FLAGS, struct.pack("=I", known | TOP_OF_TREES))
        finally:
            os.close(fd)


def _flags(fd: int) -> int:
    found: int = struct.unpack("=I", fcntl.ioctl(fd, _GET_FLAGS, bytes(4)))[0]
    return found
