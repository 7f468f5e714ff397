"""A folder shown at a second place, where its files have other owners: an idmapped mount. What is stored is not touched.

It must not know whose ids they are. For root of the machine alone. Source: mount_setattr(2), MOUNT_ATTR_IDMAP (Linux 5.12, below overlay
5.19); Documentation/filesystems/idmappings.rst.
"""

from __future__ import annotations

import errno
import os
import signal

from labcontainers.errors import Unsupported
from labcontainers.kernel import mounts, syscalls

Rows = list[list[int]]

_MNT_DETACH = 2
_SAFE = mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV
_REFUSED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def show(source: str, target: str, uids: Rows, gids: Rows) -> None:
    """Mount `source` at the directory `target`, to be read, in place of what was shown there.

    Rows are (stored id, shown id, how many), as in uid_map. Raises Unsupported where the kernel or the file system cannot do it, OSError.
    """
    view = _view(source, uids, gids)
    try:
        hide(target)
        target_fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            mounts.move_mount(view, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(view)


def can_show(source: str) -> str:
    """Try it without a place: why `source` cannot be shown with other ids, "" when it can. Raises OSError."""
    try:
        os.close(_view(source, [[0, 1, 1]], [[0, 1, 1]]))
    except Unsupported as error:
        return error.message
    return ""


def _view(source: str, uids: Rows, gids: Rows) -> int:
    """A descriptor of a mount that is nowhere yet."""
    namespace = _namespace(uids, gids)
    try:
        view = mounts.open_tree(source)
        try:
            mounts.set_attributes(view, _SAFE, user_namespace=namespace)
        except BaseException:
            os.close(view)
            raise
        return view
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        problem = f"{source} cannot be shown with other ids here: {(error.strerror or '').lower()}"
        raise Unsupported(problem, "it takes Linux 5.19, and a file system such as ext4, xfs or btrfs") from None
    finally:
        os.close(namespace)


def hide(target: str) -> None:
    """Show nothing at `target` any more; what is in use there stays for who uses it. Raises OSError; what is not there is fine."""
    try:
        while True:
            mounts.umount2(target, _MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _namespace(uids: Rows, gids: Rows) -> int:
    """A descriptor of a new user namespace with these ids, which lives as long as that or a mount of it."""
    waiting, told = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(told, b"1")
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(told)
        if not os.read(waiting, 1):
            raise Unsupported("this host makes no user namespaces", "`doctor` tells why")
        for name, rows in (("uid_map", uids), ("gid_map", gids)):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write("\n".join(" ".join(map(str, row)) for row in rows))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(waiting)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
