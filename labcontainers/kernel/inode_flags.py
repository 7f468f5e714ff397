"""Inode flags of a directory (ioctl_iflags(2), chattr(1)); it must not know what the directory is for."""

from __future__ import annotations

import contextlib
import fcntl
import os

# include/uapi/linux/fs.h; both take an int, whatever their numbers say
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
TOPDIR = 0x20000


def flags_of(directory: str | os.PathLike[str]) -> int:
    """The directory's flags. Raises OSError, with ENOTTY where the file system has none."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _flags(fd)
    finally:
        os.close(fd)


def spread(directory: str | os.PathLike[str]) -> None:
    """Tell the file system that what is in the directory does not belong together (chattr +T). Idempotent.

    ext2, 3 and 4 then give each folder in it a part of the disk of its own. Else they share one, where makers wait for each other and,
    without a journal, making a file takes the longer the more have been deleted lately (recently_deleted in fs/ext4/ialloc.c). Other file
    systems do nothing of it.
    """
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = _flags(fd)
            if not flags & TOPDIR:
                fcntl.ioctl(fd, _SETFLAGS, (flags | TOPDIR).to_bytes(8, "little"))
        finally:
            os.close(fd)


def _flags(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, _GETFLAGS, bytes(8))[:4], "little")
