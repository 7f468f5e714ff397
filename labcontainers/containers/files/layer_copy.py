"""A copy of a container's upper directory that becomes a layer: in a worker, while the container itself goes on with the original.

It must not know records. Hard links, owners, times, attributes, whiteouts and opaque directories are kept, sockets are not; what the
runtime made only to mount on is left out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Any

from labcontainers.containers.files.changes import Comparison, lower_root
from labcontainers.store.tree_names import sorted_names

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30
_OVERLAY = ("trusted.overlay.", "user.overlay.")
# What overlay notes for itself means nothing in another place.
_OVERLAYS_MEANING = ("opaque", "whiteout")


def copy_layer(
    uppers: list[str], lower: list[str], mount: str, userxattr: bool, mount_points: list[str], target: str, frozen: bool
) -> dict[str, Any]:
    """Copy the one tree of `uppers`, if it changes anything, into the empty directory `target`: {"changed": whether it does}.

    Of one that is `frozen`, which nobody writes to any more, the files get a second name instead.
    """
    with lower_root(lower, mount, userxattr=userxattr) as lower_fd:
        comparison = Comparison(mount_points)
        changed = sum(1 for _ in comparison.changes(uppers, lower_fd)) > 0
    if changed:
        _copy_tree(uppers[0], target, comparison.stubs, frozen=frozen)
    return {"changed": changed}


def _copy_tree(source: str, target: str, without: set[str], *, frozen: bool) -> None:
    """Without recursion, since whoever filled the tree chose its depth."""
    linked: dict[tuple[int, int], bytes] = {}
    top_to = os.open(target, _DIRECTORY)
    top = os.open(source, _DIRECTORY)
    open_ones = [(top, os.dup(top_to), "/", sorted_names([top]))]
    try:
        while open_ones:
            fd, to, folder, names = open_ones[-1]
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                if path in without:
                    continue
                try:
                    status = os.lstat(name, dir_fd=fd)
                except FileNotFoundError:
                    # The container was not frozen, and has just removed it.
                    continue
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(name, 0o700, dir_fd=to)
                    inner, inner_to = os.open(name, _DIRECTORY, dir_fd=fd), os.open(name, _DIRECTORY, dir_fd=to)
                    open_ones.append((inner, inner_to, path, sorted_names([inner])))
                    break
                if not (frozen and _link_one(fd, to, name, status)):
                    _copy_one(fd, to, name, path, status, linked, top_to)
            else:
                open_ones.pop()
                _finish_directory(fd, to)
    finally:
        os.close(top_to)
        for fd, to, _, _ in open_ones:
            os.close(fd)
            os.close(to)


def _finish_directory(fd: int, to: int) -> None:
    """Now that all is in it, it gets its mode and its time."""
    status = os.fstat(fd)
    os.fchown(to, status.st_uid, status.st_gid)
    _copy_attributes(fd, to)
    os.fchmod(to, stat.S_IMODE(status.st_mode))
    os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.close(fd)
    os.close(to)


def _link_one(fd: int, to: int, name: str, status: os.stat_result) -> bool:
    """Give a file one more name, unless it has overlay's notes, which mean nothing in another place; whether that was possible."""
    if not stat.S_ISREG(status.st_mode):
        return False
    notes = os.listxattr(f"/proc/self/fd/{fd}/{name}", follow_symlinks=False)
    if any(note.startswith(_OVERLAY) and note.rpartition(".")[2] not in (*_OVERLAYS_MEANING, "origin") for note in notes):
        return False
    try:
        os.link(name, name, src_dir_fd=fd, dst_dir_fd=to, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV):
            raise
        return False
    return True


def _copy_one(fd: int, to: int, name: str, path: str, status: os.stat_result, linked: dict[tuple[int, int], bytes], top_to: int) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFSOCK:
        return
    key = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and kind != stat.S_IFCHR:
        if key in linked:
            os.link(linked[key], name, src_dir_fd=top_to, dst_dir_fd=to, follow_symlinks=False)
            return
        linked[key] = os.fsencode(path.lstrip("/"))
    if kind == stat.S_IFREG:
        _copy_file(fd, to, name)
        return
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=fd), name, dir_fd=to)
    else:
        os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=to)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=to)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=to, follow_symlinks=False)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=to, follow_symlinks=False)


def _copy_file(fd: int, to: int, name: str) -> None:
    try:
        source = os.open(name, _FILE, dir_fd=fd)
    except FileNotFoundError:
        return
    try:
        target = os.open(name, _NEW_FILE, 0o600, dir_fd=to)
        try:
            status = os.fstat(source)
            os.fchown(target, status.st_uid, status.st_gid)
            _transfer(source, target)
            _copy_attributes(source, target)
            os.fchmod(target, stat.S_IMODE(status.st_mode))
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _transfer(source: int, target: int) -> None:
    """All bytes, by reference where the file system can. Source: copy_file_range(2)."""
    copied = False
    try:
        while os.copy_file_range(source, target, _CHUNK):
            copied = True
        return
    except OSError as error:
        if copied or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    while os.sendfile(target, source, None, _CHUNK):
        pass


def _copy_attributes(source: int, target: int) -> None:
    for name in os.listxattr(source):
        if name.startswith(_OVERLAY) and name.rpartition(".")[2] not in _OVERLAYS_MEANING:
            continue
        with contextlib.suppress(PermissionError):
            os.setxattr(target, name, os.getxattr(source, name))
