"""A folder shown at a second place, where its files have other owners: an idmapped mount. What is stored is not touched.

It must not know whose ids they are. For root of the machine alone. Source: mount_setattr(2), MOUNT_ATTR_IDMAP (Linux 5.12, below overlay
5.19); Documentation/filesystems/idmappings.rst.
"""

from __future__ import annotations

import errno
import os

from labcontainers.errors import Unsupported
from labcontainers.kernel import mounts, user_namespaces
from labcontainers.kernel.user_namespaces import Rows

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
    try:
        namespace = user_namespaces.make(lambda pid: user_namespaces.write_maps(pid, uids, gids))
    except OSError as error:
        raise Unsupported(f"this host makes no user namespaces: {(error.strerror or '').lower()}", "`doctor` tells why") from None
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
