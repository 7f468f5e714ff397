"""Deleting a tree of files that somebody else has filled; it must not import anything but `os stat`, since shims load it."""

from __future__ import annotations

import os
import stat


def remove_tree(path: str, dirfd: int | None = None) -> None:
    """Delete a directory with all below it, never following a symbolic link, whatever its modes are. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, dir_fd=dirfd)
    except PermissionError:
        os.chmod(path, 0o700, dir_fd=dirfd)
        fd = os.open(path, flags, dir_fd=dirfd)
    try:
        if os.fstat(fd).st_mode & 0o700 != 0o700:
            os.fchmod(fd, 0o700)
        for name in os.listdir(fd):
            if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                remove_tree(name, fd)
            else:
                os.unlink(name, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(path, dir_fd=dirfd)
