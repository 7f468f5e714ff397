"""mount(2) and its family, with the target given as a descriptor wherever a container's own files decide a path.

It must not import anything but `os ctypes struct` and kernel.syscalls, since the launcher loads it.
"""

from __future__ import annotations

import os
import struct

from labcontainers.kernel import syscalls
from labcontainers.kernel.syscalls import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_POSIXACL = 0x10000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_I_VERSION = 0x800000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_ATIME = 0x70  # all bits of the choice, where 0 is relatime
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

_ELOOP = 40
_MOST_LOWERS = 500
_PAGE = 4096


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); raises OSError. `data` is limited to 4,095 bytes by the kernel."""
    syscalls.call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode() if fstype else None,
        flags,
        os.fsencode(data) if data else None,
    )


def mount_at(source: str, target_fd: int, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2) onto an open descriptor (through /proc/self/fd), so that no path is resolved again; raises OSError."""
    mount(source, f"/proc/self/fd/{target_fd}", fstype, flags, data)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2); raises OSError."""
    syscalls.call("umount2", os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2); raises OSError."""
    syscalls.call("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def set_attributes(
    fd: int, attributes: int, *, clear: int = 0, propagation: int = 0, recursive: bool = False, user_namespace: int | None = None
) -> None:
    """mount_setattr(2) on the mount at `fd` (Linux 5.12); with the ids of an open user namespace, if one is given. Raises OSError."""
    if user_namespace is not None:
        attributes |= MOUNT_ATTR_IDMAP
    packed = struct.pack("=QQQQ", attributes, clear, propagation, user_namespace or 0)
    syscalls.call("mount_setattr", fd, b"", AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0), packed, len(packed))


def open_tree(path: str, *, recursive: bool = False, dirfd: int = AT_FDCWD) -> int:
    """A detached copy of the mount at `path` by open_tree(2) with OPEN_TREE_CLONE (Linux 5.2); raises OSError."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (AT_EMPTY_PATH if not path else 0)
    return syscalls.call("open_tree", dirfd, os.fsencode(path), flags)


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attach a detached mount onto the file at `target_fd` by move_mount(2); raises OSError."""
    syscalls.call("move_mount", mount_fd, b"", target_fd, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def overlay(lower: list[str], upper: str, work: str, target: str, *, userxattr: bool, volatile: bool = False, flags: int = 0) -> None:
    """Mount an overlay of `lower` (top first), `upper` and `work` at `target`; raises OSError.

    Each lower directory is passed on its own where the kernel can (`lowerdir+`, Linux 6.8); else in one option string,
    which mount(2) limits to 4,095 bytes. Without `upper` the overlay is read-only.
    Where one of them holds others it is seen through an overlay of its own, in a tmpfs at `target` that the real one covers.
    Source: Documentation/filesystems/overlayfs.rst.
    """
    try:
        _overlay(lower, upper, work, target, userxattr=userxattr, volatile=volatile, flags=flags)
    except OSError as error:
        if error.errno != _ELOOP:
            raise
        apart = _apart(lower, target, userxattr=userxattr)
        _overlay(apart, upper, work, target, userxattr=userxattr, volatile=volatile, flags=flags)


def _apart(lower: list[str], target: str, *, userxattr: bool) -> list[str]:
    """The same trees; each that holds another one of them, which the kernel refuses (ELOOP), by a read-only overlay of it."""
    mount("tmpfs", target, "tmpfs", 0, "mode=755,size=64k")
    # overlay wants two layers where nothing is written
    empty = f"{target}/empty"
    os.mkdir(empty)
    places = [os.path.realpath(path) for path in lower]
    found = []
    for number, (path, place) in enumerate(zip(lower, places, strict=True)):
        if any(other != place and other.startswith(place.rstrip("/") + "/") for other in places):
            path = f"{target}/{number}"
            os.mkdir(path)
            _overlay([place, empty], "", "", path, userxattr=userxattr, volatile=False, flags=MS_RDONLY)
        found.append(path)
    return found


def _overlay(lower: list[str], upper: str, work: str, target: str, *, userxattr: bool, volatile: bool, flags: int) -> None:
    # An older kernel would refuse, and complain in its log about every container.
    if _release() >= (6, 8):
        try:
            _overlay_by_fsconfig(lower, upper, work, target, userxattr=userxattr, volatile=volatile, flags=flags)
            return
        except OSError as error:
            if error.errno not in (22, 38):
                raise
    mount("overlay", target, "overlay", flags, _options(lower, upper, work, userxattr=userxattr, volatile=volatile))


def overlay_fits(lower: list[str], upper: str, work: str) -> bool:
    """Whether this kernel takes so many layers: 500 (fs/overlayfs, OVL_MAX_STACK), and before Linux 6.8 what one option string holds."""
    if len(lower) > _MOST_LOWERS:
        return False
    return _release() >= (6, 8) or len(os.fsencode(_options(lower, upper, work, userxattr=True, volatile=True))) < _PAGE


def _options(lower: list[str], upper: str, work: str, *, userxattr: bool, volatile: bool) -> str:
    options = ["lowerdir=" + ":".join(path.replace("\\", "\\\\").replace(":", "\\:") for path in lower)]
    if upper:
        options += ["upperdir=" + upper.replace(",", "\\,"), "workdir=" + work.replace(",", "\\,")]
    options += ["userxattr"] * userxattr + ["volatile"] * (volatile and bool(upper))
    return ",".join(options)


def _release() -> tuple[int, ...]:
    """The kernel's version, as (6, 8) for "6.8.0-45-generic"."""
    return tuple(int(word) for word in os.uname().release.partition("-")[0].split(".")[:2] if word.isdigit())


def _overlay_by_fsconfig(lower: list[str], upper: str, work: str, target: str, *, userxattr: bool, volatile: bool, flags: int) -> None:
    context = syscalls.call("fsopen", b"overlay", FSOPEN_CLOEXEC)
    try:
        settings = [("source", "overlay"), *(("lowerdir+", path) for path in lower)]
        if upper:
            settings += [("upperdir", upper), ("workdir", work)]
        for key, value in settings:
            syscalls.call("fsconfig", context, FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0)
        for flag in ["userxattr"] * userxattr + ["volatile"] * (volatile and bool(upper)):
            syscalls.call("fsconfig", context, FSCONFIG_SET_FLAG, flag.encode(), None, 0)
        syscalls.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
        attributes = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mounted = syscalls.call("fsmount", context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)
    target_fd = os.open(target, os.O_PATH | os.O_CLOEXEC)
    try:
        move_mount(mounted, target_fd)
    finally:
        os.close(target_fd)
        os.close(mounted)
