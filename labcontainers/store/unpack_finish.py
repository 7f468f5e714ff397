"""What a layer needs of those below it, done when all are there: attributes of directories without an entry, and hard links.

It must not know archives. It runs in a worker, like store.unpack, which tells what is left to do. Nothing is mounted: the lower trees are
gone through from the top down, as overlay would, with their whiteouts and opaque directories. No symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from labcontainers.errors import InvalidArgument
from labcontainers.store.overlay_marks import Marks, is_whiteout
from labcontainers.store.space import FULL, no_space
from labcontainers.store.tar_numbers import shown
from labcontainers.store.unpack_dress import forget_kept, is_kept

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTRADICTION = "the layer contradicts itself, or lies on other layers than it was made for"


def finish(*, target: str, lowers: list[str], implied: list[str], links: list[list[str]], userxattr: bool) -> None:
    """Complete the tree `target` by what the trees `lowers` (top first) have; `implied` and `links` as unpack() told them.

    A hard link to a file of a lower layer gets a copy of it, as writing to it would make in a container. `userxattr` as in unpack().
    Raises InvalidArgument for a link to what is not there, NoSpace, OSError.
    """
    umask = os.umask(0)
    fds: list[int] = []
    try:
        for path in (target, *lowers):
            fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        layers = _Layers(fds, Marks(userxattr=userxattr))
        for name, first in links:
            layers.link(os.fsencode(name), os.fsencode(first))
        for name in implied:
            layers.dress(os.fsencode(name))
    except OSError as error:
        if error.errno in FULL:
            raise no_space(target) from error
        raise
    finally:
        os.umask(umask)
        for fd in fds:
            os.close(fd)


@dataclass(slots=True)
class _Found:
    """What one layer has at a path: the open directory that holds it, to be closed, its name there and its status."""

    fd: int
    name: bytes
    status: os.stat_result


class _Layers:
    """A tree that is being completed and those below it, top first, as descriptors."""

    def __init__(self, fds: list[int], marks: Marks) -> None:
        self._target, *self._lowers = fds
        self._marks = marks

    # --- looking

    def _look(self, root: int, path: bytes) -> tuple[_Found | None, bool]:
        """What one layer has at `path`, and whether it hides what is further below."""
        hides = False
        here = os.dup(root)
        try:
            *above, name = path.split(b"/")
            for part in above:
                hides = hides or self._marks.is_opaque(here)
                try:
                    status = os.lstat(part, dir_fd=here)
                except FileNotFoundError:
                    return None, hides
                if not stat.S_ISDIR(status.st_mode):
                    return None, True
                inner = os.open(part, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = inner
            hides = hides or (bool(name) and self._marks.is_opaque(here))
            try:
                status = os.lstat(name or b".", dir_fd=here)
            except FileNotFoundError:
                return None, hides
            if is_whiteout(here, name, status):
                return None, True
            found = _Found(here, name or b".", status)
            here = -1
            return found, hides
        finally:
            if here >= 0:
                os.close(here)

    @contextlib.contextmanager
    def _below(self, path: bytes) -> Iterator[_Found | None]:
        """What the lower layers together have at `path`."""
        found = None
        for root in self._lowers:
            found, hides = self._look(root, path)
            if found is not None or hides:
                break
        try:
            yield found
        finally:
            if found is not None:
                os.close(found.fd)

    # --- directories

    def dress(self, path: bytes) -> None:
        """Give a directory of the tree the attributes that it has in the lower layers, if it is there in both."""
        own, hides = self._look(self._target, path)
        if own is None:
            return
        try:
            if hides or not stat.S_ISDIR(own.status.st_mode):
                return
            with self._below(path) as found:
                if found is not None and stat.S_ISDIR(found.status.st_mode):
                    fd = os.open(own.name, _DIRECTORY, dir_fd=own.fd)
                    try:
                        _copy_attributes(found, fd)
                    finally:
                        os.close(fd)
        finally:
            os.close(own.fd)

    def _parent(self, path: bytes) -> int:
        """The open directory that holds `path` in the tree; what lacks there is made as the lower layers have it."""
        here = os.dup(self._target)
        done = b""
        for part in path.split(b"/")[:-1]:
            done = done + b"/" + part if done else part
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=here)
            except FileNotFoundError:
                with self._below(done) as found, _keeping_time(here):
                    os.mkdir(part, 0o700, dir_fd=here)
                    inner = os.open(part, _DIRECTORY, dir_fd=here)
                    if found is not None:
                        _copy_attributes(found, inner)
            finally:
                os.close(here)
            here = inner
        return here

    # --- hard links

    def link(self, path: bytes, first: bytes) -> None:
        """Make the hard link `path` to `first`, which is copied into the tree if only lower layers have it."""
        own, hides = self._look(self._target, first)
        if own is None:
            with self._below(first) as found:
                if hides or found is None or stat.S_ISDIR(found.status.st_mode):
                    problem = f"the layer links {shown(path)} to {shown(first)}, which is no file of any layer"
                    raise InvalidArgument(problem, _CONTRADICTION)
                own = self._copy(found, first)
        try:
            if stat.S_ISDIR(own.status.st_mode):
                raise InvalidArgument(f"the layer links {shown(path)} to the directory {shown(first)}", _CONTRADICTION)
            parent = self._parent(path)
            try:
                with _keeping_time(parent):
                    os.link(own.name, path.rpartition(b"/")[2], src_dir_fd=own.fd, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(parent)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise
            raise InvalidArgument(f"the layer has something else where the link {shown(path)} should be", _CONTRADICTION) from None
        finally:
            os.close(own.fd)

    def _copy(self, found: _Found, path: bytes) -> _Found:
        """Copy a file of a lower layer, with all that it has, to the same place in the tree."""
        name = path.rpartition(b"/")[2]
        parent = self._parent(path)
        try:
            with _keeping_time(parent):
                _copy_file(found, parent, name)
            return _Found(parent, name, os.lstat(name, dir_fd=parent))
        except BaseException:
            os.close(parent)
            raise


@contextlib.contextmanager
def _keeping_time(fd: int) -> Iterator[None]:
    """Something is made in an open directory, which keeps its time."""
    before = os.fstat(fd)
    yield
    os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))


def _copy_file(found: _Found, parent: int, name: bytes) -> None:
    status = found.status
    if stat.S_ISREG(status.st_mode):
        source = os.open(found.name, _FILE, dir_fd=found.fd)
        try:
            goal = os.open(name, _NEW, 0o600, dir_fd=parent)
            try:
                _copy_content(source, goal, status.st_size)
                _copy_attributes(found, goal)
            finally:
                os.close(goal)
        finally:
            os.close(source)
        return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(found.name, dir_fd=found.fd), name, dir_fd=parent)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=parent)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)


def _copy_content(source: int, goal: int, size: int) -> None:
    """Holes stay holes."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(goal, at, os.SEEK_SET)
        while at < end:
            done = os.sendfile(goal, source, at, end - at)
            if not done:
                break
            at += done
    os.ftruncate(goal, size)


def _copy_attributes(found: _Found, fd: int) -> None:
    """Owner, extended attributes, mode and time, in an order in which none takes another away."""
    status = found.status
    os.fchown(fd, status.st_uid, status.st_gid)
    forget_kept(fd)
    for name, value in _attributes(found):
        os.setxattr(fd, name, value)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes(found: _Found) -> list[tuple[str, bytes]]:
    """The extended attributes of a file or directory that a layer may have."""
    # For the attributes of a name in an open directory there is no way but through /proc.
    path = b"/proc/self/fd/%d/%s" % (found.fd, found.name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names if is_kept(os.fsencode(name))]
