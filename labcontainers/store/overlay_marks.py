"""How a layer's tree says what of the layers below is gone, in the way that overlay reads: whiteouts and opaque directories.

It must not know archives or the store. Source: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"; a
whiteout that is an attribute ("xwhiteout", Linux 6.7) only counts in a directory that is marked with `x`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from labcontainers.errors import Unsupported

_PREFIXES = ("trusted", "user")
_HINT = "put the store on a file system with extended attributes, such as ext4 or xfs"


class Marks:
    """Makes and reads such marks; `userxattr` where overlay is mounted with that option, as an ordinary user's is."""

    def __init__(self, *, userxattr: bool) -> None:
        self._prefix = f"{_PREFIXES[userxattr]}.overlay."

    def make_opaque(self, fd: int, path: bytes) -> None:
        """Let an open directory hide what the lower layers have in it; raises Unsupported, OSError."""
        self._set(fd, "opaque", b"y", path)

    def is_opaque(self, fd: int) -> bool:
        """Whether an open directory hides what lower layers have in it."""
        return _value(fd, self._prefix + "opaque") == b"y"

    def put_whiteout(self, fd: int, name: bytes, path: bytes) -> None:
        """Hide what the lower layers have by this name of an open directory; raises FileExistsError, Unsupported, OSError."""
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=fd)
        except PermissionError:
            # Any process may make this one device since Linux 5.8, but a filter of system calls may know better.
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0, dir_fd=fd))
            self._set(_by_name(fd, name), "whiteout", b"y", path)
            if not self.is_opaque(fd):
                self._set(fd, "opaque", b"x", path)

    def _set(self, where: int | bytes, name: str, value: bytes, path: bytes) -> None:
        try:
            os.setxattr(where, self._prefix + name, value)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
            raise Unsupported(f"the store's file system cannot hold the mark that {os.fsdecode(path)!r} needs", _HINT) from None


def mark_for_users(tree: str) -> None:
    """Let the opaque directories of root's tree be that also where overlay is mounted with `userxattr`; raises Unsupported, OSError."""
    of_root, of_users = (Marks(userxattr=userxattr) for userxattr in (False, True))
    for path, _, _, fd in os.fwalk(os.fsencode(tree)):
        if of_root.is_opaque(fd):
            of_users.make_opaque(fd, path)


def is_whiteout(fd: int, name: bytes, status: os.stat_result) -> bool:
    """Whether what has this name in an open directory, and this status, only says that something is gone."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    return any(_value(_by_name(fd, name), f"{prefix}.overlay.whiteout") is not None for prefix in _PREFIXES)


def _by_name(fd: int, name: bytes) -> bytes:
    """For the attributes of a name in an open directory there is no way but through /proc."""
    return b"/proc/self/fd/%d/%s" % (fd, name)


def _value(where: int | bytes, name: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return os.getxattr(where, name)
    return None
