"""Paths below a root that somebody else furnishes: opened and resolved so that no symbolic link leads out of it.

It must not know whose root it is. Source: openat2(2), RESOLVE_IN_ROOT; path_resolution(7).
"""

from __future__ import annotations

import errno
import os
import stat

from labcontainers.kernel import syscalls

IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
# No symbolic link at all is followed, and nothing leads out.
BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
_MOST_SYMLINKS = 40


def open_in(root_fd: int, path: str, flags: int, resolve: int = IN_ROOT) -> int:
    """openat2(2) of `path` with `root_fd` as the root, again while somebody renames directories on the way; raises OSError."""
    for attempt in range(100):
        try:
            return syscalls.openat2(root_fd, path.lstrip("/") or ".", flags, resolve=resolve)
        except BlockingIOError:
            if attempt == 99:
                raise
    raise AssertionError("unreachable")


def resolve(root_fd: int, path: str) -> str:
    """`path` with all symbolic links followed inside the root, also the last one and those that lead to nothing yet; absolute.

    Source: FollowSymlinkInScope of moby/sys. Raises OSError, ELOOP for a circle.
    """
    waiting = [part for part in path.split("/") if part][::-1]
    real: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part in (".", ".."):
            del real[len(real) - (part == "..") :]
            continue
        target = _link_target(root_fd, "/".join([*real, part]))
        if target is None:
            real.append(part)
            continue
        links += 1
        if links > _MOST_SYMLINKS:
            raise OSError(errno.ELOOP, "too many symbolic links on the way", path)
        if target.startswith("/"):
            real = []
        waiting.extend(reversed([step for step in target.split("/") if step]))
    return "/" + "/".join(real)


def _link_target(root_fd: int, path: str) -> str | None:
    """Where the symbolic link at `path` points to; None for anything else and for nothing."""
    try:
        fd = open_in(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    try:
        return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)
