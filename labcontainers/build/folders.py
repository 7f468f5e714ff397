"""What a worker does for the mounts of build steps: a kept folder gets its owner and mode, and a socket its owner.

It must not know steps; it runs where files of container ids may be touched.
"""

from __future__ import annotations

import errno
import os
import stat

from labcontainers.errors import Unsupported

CONTENT = "content"


def settle(tree: str, mode: int | None, uid: int, gid: int) -> None:
    """Make the directory `content` of `tree` where it is missing, of mode 0755 unless another is given, and of this owner.

    One that is there keeps its mode where none is given, and its owner where that is root's.
    """
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if CONTENT not in os.listdir(fd):
            os.mkdir(CONTENT, 0o755, dir_fd=fd)
            mode = 0o755 if mode is None else mode
        inner = os.open(CONTENT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)
    try:
        if uid or gid:
            _chown(inner, uid, gid)
        if mode is not None:
            os.fchmod(inner, stat.S_IMODE(mode))
    finally:
        os.close(inner)


def give(path: str, uid: int, gid: int) -> None:
    """Set the owner of what lies at `path`, which is no link."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)


def _chown(what: int | str, uid: int, gid: int) -> None:
    try:
        os.chown(what, uid, gid)
    except OSError as error:
        # the user namespace does not map it (user_namespaces(7))
        if error.errno != errno.EINVAL:
            raise
        raise Unsupported(f"a mount of {uid}:{gid} is not possible: this user has no such id", "leave uid and gid out") from None
