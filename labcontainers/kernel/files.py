"""Deleting a tree of files that somebody else has filled; it must not import anything but `os stat`, since shims load it."""

from __future__ import annotations

import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, dirfd: int | None = None) -> None:
    """Delete a directory with all below it, never following a symbolic link, whatever its modes and its depth are. Raises OSError."""
    # One directory is open at a time, since whoever filled the tree chose its depth: the way back up is `..`, and checked.
    fd = _open(path, dirfd)
    above: list[tuple[str, int, int, list[str]]] = []
    name, names = "", os.listdir(fd)
    try:
        while True:
            inner = _empty(fd, names)
            if inner is not None:
                status = os.fstat(fd)
                above.append((name, status.st_dev, status.st_ino, names))
                fd, parent = _open(inner, fd), fd
                os.close(parent)
                name, names = inner, os.listdir(fd)
                continue
            if not above:
                break
            emptied, (name, device, number, names) = name, above.pop()
            fd, child = os.open("..", _DIRECTORY, dir_fd=fd), fd
            os.close(child)
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (device, number):
                raise OSError(116, "somebody moves what is being deleted", path)
            os.rmdir(emptied, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(path, dir_fd=dirfd)


def _open(path: str, dirfd: int | None) -> int:
    try:
        fd = os.open(path, _DIRECTORY, dir_fd=dirfd)
    except PermissionError:
        os.chmod(path, 0o700, dir_fd=dirfd)
        fd = os.open(path, _DIRECTORY, dir_fd=dirfd)
    if os.fstat(fd).st_mode & 0o700 != 0o700:
        os.fchmod(fd, 0o700)
    return fd


def _empty(fd: int, names: list[str]) -> str | None:
    """Delete the files among `names`, which are taken out one by one, as far as the first directory; that, or None."""
    while names:
        name = names.pop()
        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            return name
        os.unlink(name, dir_fd=fd)
    return None
