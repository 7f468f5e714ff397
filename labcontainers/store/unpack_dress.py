"""What an entry of a layer has besides its name and content: owner, mode, time and extended attributes, given to what was made of it.

It must not know where things are made (store.unpack). Which attributes and ids count is told in store.unpack.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.store.tar_numbers import shown
from labcontainers.store.tar_reader import Member

ACLS: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
_NOT_OVERLAYS: Final = b"user.overlay."
_CAPABILITY: Final = b"security.capability"
# an attribute that the file system, this user or this file cannot have, and one that is too large for it
_CANNOT_HAVE: Final = (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL)
_TOO_LARGE: Final = (errno.ENOSPC, errno.E2BIG, errno.ERANGE)
_MOST_SKIPPED: Final = 1000


class Dress:
    """Gives things what their entries say; with a single id (`keeps_owners` False) no owners."""

    def __init__(self, *, keeps_owners: bool) -> None:
        self._keeps_owners = keeps_owners
        self._own = (os.geteuid(), os.getegid())
        # the entries of which something was left out
        self.skipped: dict[bytes, None] = {}

    def open_one(self, fd: int, member: Member, *, exact: bool) -> None:
        """Owner, mode and attributes of a new file or directory; `exact` where it may have others than it was made with.

        Raises Unsupported, InvalidArgument, OSError.
        """
        if self._keeps_owners and (exact or (member.uid, member.gid) != self._own):
            _chown(lambda: os.fchown(fd, member.uid, member.gid), member)
        if exact:
            forget_inherited(fd)
        # after the owner and the content, which take setuid bits and capabilities away
        if exact or member.mode & 0o6000:
            os.fchmod(fd, member.mode)
        if member.xattrs:
            self._set_xattrs(fd, member)

    def named_one(self, parent_fd: int, name: bytes, member: Member, *, exact: bool) -> None:
        """As open_one(), and the time, for what cannot be opened: a symbolic link, a device, a fifo."""
        if self._keeps_owners and (exact or (member.uid, member.gid) != self._own):
            _chown(lambda: os.chown(name, member.uid, member.gid, dir_fd=parent_fd, follow_symlinks=False), member)
        if member.kind != b"2":
            # For the attributes of a name in an open directory there is no way but through /proc.
            path = b"/proc/self/fd/%d/%s" % (parent_fd, name)
            if exact:
                forget_inherited(path)
            if exact or member.mode & 0o7000:
                os.chmod(name, member.mode, dir_fd=parent_fd)
            if member.xattrs:
                self._set_xattrs(path, member)
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)

    def linked_one(self, parent_fd: int, name: bytes, member: Member, status: os.stat_result) -> None:
        """What the entry of a new hard link says otherwise than the file is, which has this status."""
        is_given = self._keeps_owners and (member.uid, member.gid) != (status.st_uid, status.st_gid)
        if is_given:
            _chown(lambda: os.chown(name, member.uid, member.gid, dir_fd=parent_fd, follow_symlinks=False), member)
        if stat.S_ISLNK(status.st_mode):
            return
        if is_given or member.mode != stat.S_IMODE(status.st_mode):
            os.chmod(name, member.mode, dir_fd=parent_fd)
        if member.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%s" % (parent_fd, name), member)
        if member.mtime_ns != status.st_mtime_ns:
            os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)

    def skip(self, member: Member) -> None:
        """Remember that this entry, or something of it, was left out."""
        if len(self.skipped) < _MOST_SKIPPED:
            self.skipped[member.name] = None

    def _set_xattrs(self, where: int | bytes, member: Member) -> None:
        for name, value in member.xattrs.items():
            if not is_kept(name):
                continue
            try:
                os.setxattr(where, name, value)
            except OSError as error:
                if error.errno in _TOO_LARGE:
                    problem = f"the store's file system cannot hold the attribute {shown(name)} of {shown(member.name)}"
                    raise InvalidArgument(problem, "leave the attribute out, or put the store on another file system") from None
                if error.errno not in _CANNOT_HAVE:
                    raise
                self.skip(member)


def is_kept(name: bytes) -> bool:
    """Whether a layer may set this extended attribute."""
    return name == _CAPABILITY or name in ACLS or (name.startswith(b"user.") and not name.startswith(_NOT_OVERLAYS))


def forget_kept(fd: int) -> None:
    """Take away the extended attributes that an earlier entry set."""
    with contextlib.suppress(OSError):
        for name in os.listxattr(fd):
            if is_kept(os.fsencode(name)):
                os.removexattr(fd, name)


def forget_inherited(where: int | bytes) -> None:
    """Take away the access lists that something new got from its directory."""
    for name in ACLS:
        with contextlib.suppress(OSError):
            os.removexattr(where, name)


def _chown(change: Callable[[], None], member: Member) -> None:
    try:
        change()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Unsupported(
            f"this user has no id that could stand for the owner {member.uid}:{member.gid} of {shown(member.name)}",
            "have more subordinate ids given to this user, in /etc/subuid and /etc/subgid",
        ) from None
