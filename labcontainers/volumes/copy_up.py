"""What an image has at a volume's place, copied into the new volume; it must not know the store, and runs in a worker.

Everything is opened below a descriptor of the image's root, so that neither a link nor `..` leads out of it (containerd CVE-2022-23648).
Owners, modes, times, hard links and extended attributes stay.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from labcontainers.errors import InvalidArgument
from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.files import remove_tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OVERLAYS_OWN = ("trusted.overlay.", "user.overlay.")


def fill(lower: Sequence[str], target: str, data: str, staging: str, in_place: bool, userxattr: bool) -> bool:
    """Copy `target` of the image with the layers `lower` (top first) into the folder `data` if that is empty; whether it was done.

    The copy is made in the new folder `staging`, beside `data`, and moved over when it is whole; `in_place` where that cannot be moved.
    Leaves the mount namespace of the calling process: only for a worker. Raises InvalidArgument where the image has a file.
    """
    if os.listdir(data):
        return False
    os.mkdir(staging, 0o700)
    try:
        root = _open_image(lower, f"{staging}/image", userxattr)
        try:
            source = _find(root, target)
        finally:
            os.close(root)
        if source is None:
            return False
        try:
            _fill(source, data, f"{staging}/tree", in_place)
        finally:
            os.close(source)
        return True
    finally:
        with contextlib.suppress(OSError):
            mounts.umount2(f"{staging}/image", mounts.MNT_DETACH)
        remove_tree(staging)


def _open_image(lower: Sequence[str], place: str, userxattr: bool) -> int:
    os.mkdir(place, 0o700)
    if len(lower) > 1:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
        mounts.overlay(list(lower), "", "", place, userxattr=userxattr, flags=mounts.MOUNT_ATTR_NODEV)
    return os.open(place if len(lower) > 1 else lower[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _find(root: int, target: str) -> int | None:
    """The directory at `target` of the image, links followed inside it; None when there is nothing."""
    try:
        return syscalls.openat2(root, target.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno == errno.ENOTDIR:
            with contextlib.suppress(OSError):
                os.close(syscalls.openat2(root, target.lstrip("/"), os.O_PATH))
                raise InvalidArgument(f"cannot mount a volume over an existing file of the image: {target}") from None
            return None
        raise InvalidArgument(f"cannot open {target} of the image: {os.strerror(error.errno or 0).lower()}") from None


def _fill(source: int, data: str, tree: str, in_place: bool) -> None:
    goal = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if in_place:
            _Copy(goal).directory(source, goal, "")
        else:
            os.mkdir(tree, 0o700)
            made = os.open(tree, _DIRECTORY)
            try:
                _Copy(made).directory(source, made, "")
                for name in os.listdir(made):
                    os.rename(name, name, src_dir_fd=made, dst_dir_fd=goal)
            finally:
                os.close(made)
        _dress(source, goal, os.fstat(source))
    finally:
        os.close(goal)


class _Copy:
    """One tree being copied below the directory `top`; a file of several names is copied once."""

    def __init__(self, top: int) -> None:
        self.top = top
        self.linked: dict[tuple[int, int], str] = {}

    def directory(self, source: int, goal: int, path: str) -> None:
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            inner = f"{path}/{name}" if path else name
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self._inner_directory(source, goal, name, inner)
                continue
            number = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and number in self.linked:
                os.link(self.linked[number], name, src_dir_fd=self.top, dst_dir_fd=goal, follow_symlinks=False)
                continue
            if _one(source, goal, name, status):
                self.linked[number] = inner

    def _inner_directory(self, source: int, goal: int, name: str, inner: str) -> None:
        below = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=goal)
            made = os.open(name, _DIRECTORY, dir_fd=goal)
            try:
                self.directory(below, made, inner)
                _dress(below, made, os.fstat(below))
            finally:
                os.close(made)
        finally:
            os.close(below)


def _one(source: int, goal: int, name: str, status: os.stat_result) -> bool:
    """Copy what is no directory; False for what cannot be, such as a device as an ordinary user."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        _file(source, goal, name, status)
        return True
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=goal)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO):
        try:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=goal)
        except PermissionError:
            return False
    else:
        return False
    with contextlib.suppress(PermissionError, OSError):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=goal, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=goal)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=goal, follow_symlinks=False)
    return True


def _file(source: int, goal: int, name: str, status: os.stat_result) -> None:
    reader = os.open(name, _FILE, dir_fd=source)
    try:
        writer = os.open(name, _NEW, 0o600, dir_fd=goal)
        try:
            while os.sendfile(writer, reader, None, 1 << 24):
                pass
            _dress(reader, writer, status)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _dress(source: int, goal: int, status: os.stat_result) -> None:
    """Owner, mode, extended attributes and times, in this order, since a new owner takes setuid and capabilities away."""
    with contextlib.suppress(OSError):  # an ordinary user has not every id
        os.fchown(goal, status.st_uid, status.st_gid)
    os.fchmod(goal, stat.S_IMODE(status.st_mode))
    with contextlib.suppress(OSError):  # file systems without them
        for name in os.listxattr(source):
            if not name.startswith(_OVERLAYS_OWN):
                with contextlib.suppress(OSError):
                    os.setxattr(goal, name, os.getxattr(source, name))
    os.utime(goal, ns=(status.st_atime_ns, status.st_mtime_ns))
