"""What a container has changed in its image's files, read off its own layers of the overlay; it must not know records.

It runs in a worker. Source: Documentation/filesystems/overlayfs.rst (whiteouts, opaque directories); what counts as a change, and
that every directory above one is changed as well, as in moby's archive.ChangesDirs.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.containers.files.root_view import mount_layers
from labcontainers.kernel import mounts, syscalls
from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.trees import usage

MODIFIED, ADDED, DELETED = 0, 1, 2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Found:
    """`changes` as (path, kind), and the `stubs`: empty files and folders that the runtime made only to mount on."""

    changes: list[tuple[str, int]] = field(default_factory=list)
    stubs: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Level:
    """A directory on the way: its descriptors above (the top one first) and below (-1: there is none).

    `begin` is where its own changes begin in the list.
    """

    path: str
    uppers: tuple[int, ...]
    lower: int
    names: Iterator[str]
    begin: int
    kind: int | None


def changes(uppers: list[str], lower: list[str], mount: str, userxattr: bool, mount_points: list[str]) -> list[tuple[str, int]]:
    """(path, kind) of every change that the trees `uppers` make in `lower`, both top first.

    Parents come before what they hold, and names by their bytes.
    """
    with lower_root(lower, mount, userxattr=userxattr) as lower_fd:
        return find_changes(uppers, lower_fd, mount_points).changes


def weigh(uppers: list[str], lower: list[str], mount: str, userxattr: bool, mount_points: list[str]) -> dict[str, int]:
    """How many changes() there are, and how many bytes the trees `uppers` have on disk."""
    size_bytes = sum(usage(upper)["bytes"] for upper in uppers)
    return {"changes": len(changes(uppers, lower, mount, userxattr, mount_points)), "size_bytes": size_bytes}


@contextlib.contextmanager
def lower_root(lower: Sequence[str], mount: str, *, userxattr: bool) -> Iterator[int]:
    """The top of an image's layers; -1 when there are none. Leaves this process' mount namespace."""
    if not lower:
        yield -1
        return
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    top = mount_layers(lower, mount, userxattr=userxattr)
    fd = os.open(".", _DIRECTORY, dir_fd=top)
    os.close(top)
    try:
        yield fd
    finally:
        os.close(fd)


def find_changes(uppers: Sequence[str], lower_fd: int, mount_points: Sequence[str]) -> Found:
    """What differs between what is open as `lower_fd` and that with `uppers`, top first, above it; all may be changing meanwhile."""
    with contextlib.ExitStack() as opened:
        fds = []
        for upper in uppers:
            fds.append(os.open(upper, _DIRECTORY))
            opened.callback(os.close, fds[-1])
        below = os.dup(lower_fd) if lower_fd >= 0 else -1
        opened.pop_all()
    return _Comparison(mount_points).run(tuple(fds), below)


class _Comparison:
    """One walk; without recursion, since whoever filled the tree chose its depth."""

    def __init__(self, mount_points: Sequence[str]) -> None:
        self._points = {"/" + point.strip("/") for point in mount_points}
        self._above = {point[:index] for point in self._points for index, letter in enumerate(point) if letter == "/" and index}
        self._found = Found()
        self._levels: list[_Level] = []

    def run(self, uppers: tuple[int, ...], lower: int) -> Found:
        try:
            self._enter("/", uppers, lower, None, opaque=False)
            while self._levels:
                level = self._levels[-1]
                for name in level.names:
                    # What has just gone is no change any more.
                    with contextlib.suppress(FileNotFoundError):
                        if self._compare(level, name):
                            break
                else:
                    self._leave()
        finally:
            for level in self._levels:
                _close((*level.uppers, level.lower))
        return self._found

    def _enter(self, path: str, uppers: tuple[int, ...], lower: int, kind: int | None, *, opaque: bool) -> None:
        level = _Level(path, uppers, lower, iter(()), len(self._found.changes), kind)
        self._levels.append(level)
        names = {name for fd in (*uppers, *((lower,) if opaque and lower >= 0 else ())) for name in os.listdir(fd)}
        level.names = iter(sorted(names, key=os.fsencode))

    def _leave(self) -> None:
        level = self._levels.pop()
        _close((*level.uppers, level.lower))
        changed = len(self._found.changes) > level.begin
        if level.kind == ADDED and level.path in self._above and not changed:
            # The runtime made it for a mount point that is in it.
            self._found.stubs.add(level.path)
            return
        if level.path != "/" and (changed or level.kind is not None):
            self._found.changes.insert(level.begin, (level.path, MODIFIED if level.kind is None else level.kind))

    def _compare(self, level: _Level, name: str) -> bool:
        """Take one name into account; whether it is a directory that is to be gone through next."""
        path = f"{level.path.rstrip('/')}/{name}"
        below = _status(level.lower, name)
        upper, status = _topmost(level.uppers, name)
        if status is None or _is_whiteout(upper, name, status):
            if below is not None:
                self._found.changes.append((path, DELETED))
            return False
        if not stat.S_ISDIR(status.st_mode):
            if below is None and path in self._points and stat.S_ISREG(status.st_mode) and status.st_size == 0:
                self._found.stubs.add(path)
                return False
            if below is None or _differs(upper, level.lower, name, status, below):
                self._found.changes.append((path, ADDED if below is None else MODIFIED))
            return False
        return self._compare_directory(level, name, path, status, below)

    def _compare_directory(self, level: _Level, name: str, path: str, status: os.stat_result, below: os.stat_result | None) -> bool:
        uppers, opaque = _directories(level.uppers, name)
        if not uppers:
            return False
        lower = -1
        if below is None:
            kind: int | None = ADDED
            if path in self._points and not any(map(os.listdir, uppers)):
                self._found.stubs.add(path)
                _close(uppers)
                return False
        elif stat.S_ISDIR(below.st_mode):
            lower = os.open(name, _DIRECTORY, dir_fd=level.lower)
            kind = MODIFIED if _differs(_topmost(level.uppers, name)[0], level.lower, name, status, below) else None
        else:
            kind = MODIFIED
        self._enter(path, uppers, lower, kind, opaque=opaque)
        return True


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def _topmost(uppers: Sequence[int], name: str) -> tuple[int, os.stat_result | None]:
    """The first of the open directories that has this name, and what it has; (-1, None) for none."""
    for fd in uppers:
        status = _status(fd, name)
        if status is not None:
            return fd, status
    return -1, None


def _directories(uppers: Sequence[int], name: str) -> tuple[tuple[int, ...], bool]:
    """The directories of this name that are seen together, open, the top one first; and whether they hide what lies below all of them."""
    found: list[int] = []
    for fd in uppers:
        status = _status(fd, name)
        if status is None:
            continue
        if not stat.S_ISDIR(status.st_mode):
            # A file or a whiteout: what is above it was made anew.
            return tuple(found), True
        try:
            found.append(os.open(name, _DIRECTORY, dir_fd=fd))
        except OSError:
            break
        if attributes_of(found[-1], os.fsencode(name)).opaque:
            return tuple(found), True
    return tuple(found), False


def _status(fd: int, name: str) -> os.stat_result | None:
    if fd < 0:
        return None
    try:
        return os.lstat(name, dir_fd=fd)
    except OSError:
        return None


def _is_whiteout(fd: int, name: str, status: os.stat_result) -> bool:
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and attributes_of(_where(fd, name), os.fsencode(name)).whiteout


def _where(fd: int, name: str) -> bytes:
    return b"/proc/self/fd/%d/%s" % (fd, os.fsencode(name))


def _differs(upper_fd: int, lower_fd: int, name: str, upper: os.stat_result, lower: os.stat_result) -> bool:
    """Whether a thing was changed, not only copied up; of directories size and time tell nothing."""

    def key(status: os.stat_result) -> tuple[Any, ...]:
        content = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
        return (status.st_mode, status.st_uid, status.st_gid, status.st_rdev, *content)

    if key(upper) != key(lower):
        return True
    if stat.S_ISLNK(upper.st_mode):
        return False
    path = os.fsencode(name)
    return attributes_of(_where(upper_fd, name), path).records != attributes_of(_where(lower_fd, name), path).records
