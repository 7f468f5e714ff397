"""What a container has changed in its image's files, read off its own layers of the overlay; it must not know records.

It runs in a worker. Source: Documentation/filesystems/overlayfs.rst (whiteouts, opaque directories); what counts as a change, and
that every directory above one is changed as well, as in moby's archive.ChangesDirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.files.root_view import mount_layers
from labcontainers.kernel import mounts, syscalls
from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.tree_names import sorted_names
from labcontainers.store.trees import usage

MODIFIED, ADDED, DELETED = 0, 1, 2
_BUFFER = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Level:
    """A directory on the way: its descriptors above (the top one first) and below (-1: there is none).

    `kind` is what became of it, None for nothing so far; it is `told` once a change of it, or of something in it, is.
    """

    path: str
    uppers: tuple[int, ...]
    lower: int
    names: Iterator[str]
    kind: int | None
    told: bool = False


def stream_changes(fd: int, **compared: Any) -> None:
    """Write every change (`compared` as for weigh()) to the descriptor `fd` of a pipe, which is closed: a line of JSON, [path, kind].

    Parents come before what they hold, and names by their bytes.
    """
    with open(fd, "w", encoding="ascii", buffering=_BUFFER) as file, _compared(**compared) as found:
        for change in found:
            file.write(json.dumps(change) + "\n")


def weigh(**compared: Any) -> dict[str, int]:
    """How many changes the trees `uppers` make in those of `lower`, both top first, and how many bytes they have on disk."""
    size_bytes = sum(usage(upper)["bytes"] for upper in compared["uppers"])
    with _compared(**compared) as found:
        return {"changes": sum(1 for _ in found), "size_bytes": size_bytes}


@contextlib.contextmanager
def _compared(
    uppers: list[str], lower: list[str], mount: str, userxattr: bool, mount_points: list[str]
) -> Iterator[Iterator[tuple[str, int]]]:
    """The changes that the trees `uppers` make in those of `lower`, both top first."""
    with lower_root(lower, mount, userxattr=userxattr) as lower_fd:
        yield Comparison(mount_points).changes(uppers, lower_fd)


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


class Comparison:
    """One walk; without recursion, since whoever filled the tree chose its depth, and with memory for the directories on the way alone.

    When it is over, `stubs` are the paths of empty files and folders that the runtime made only to mount on: they are no changes.
    """

    def __init__(self, mount_points: Sequence[str]) -> None:
        self._points = {"/" + point.strip("/") for point in mount_points}
        self._above = {point[:index] for point in self._points for index, letter in enumerate(point) if letter == "/" and index}
        self._levels: list[_Level] = []
        self.stubs: set[str] = set()

    def changes(self, uppers: Sequence[str], lower_fd: int) -> Iterator[tuple[str, int]]:
        """(path, kind) of what differs between what is open as `lower_fd` and that with `uppers`, top first, above it.

        All may be changing meanwhile. Parents come before what they hold.
        """
        try:
            with contextlib.ExitStack() as opened:
                fds = []
                for upper in uppers:
                    fds.append(os.open(upper, _DIRECTORY))
                    opened.callback(os.close, fds[-1])
                below = os.dup(lower_fd) if lower_fd >= 0 else -1
                opened.pop_all()
            self._enter("/", tuple(fds), below, None, opaque=False)
            while self._levels:
                level = self._levels[-1]
                for name in level.names:
                    try:
                        inner, change = self._compare(level, name)
                    except FileNotFoundError:
                        # What has just gone is no change any more.
                        continue
                    if change is not None:
                        yield from self._waiting()
                        yield change
                    if inner:
                        break
                else:
                    yield from self._leave()
        finally:
            for level in self._levels:
                _close((*level.uppers, level.lower))

    def _waiting(self) -> Iterator[tuple[str, int]]:
        """The directories on the way that were not told yet: something in them is changed, and so they are."""
        for level in self._levels[1:]:
            if not level.told:
                level.told = True
                yield level.path, MODIFIED if level.kind is None else level.kind

    def _enter(self, path: str, uppers: tuple[int, ...], lower: int, kind: int | None, *, opaque: bool) -> None:
        try:
            names = sorted_names((*uppers, *((lower,) if opaque and lower >= 0 else ())))
        except BaseException:
            _close((*uppers, lower))
            raise
        self._levels.append(_Level(path, uppers, lower, names, kind))

    def _leave(self) -> Iterator[tuple[str, int]]:
        level = self._levels[-1]
        if level.kind is not None and not level.told:
            if level.kind == ADDED and level.path in self._above:
                # The runtime made it for a mount point that is in it.
                self.stubs.add(level.path)
            else:
                yield from self._waiting()
        self._levels.pop()
        _close((*level.uppers, level.lower))

    def _compare(self, level: _Level, name: str) -> tuple[bool, tuple[str, int] | None]:
        """Take one name into account: whether it is a directory that is to be gone through next, and what became of anything else."""
        path = f"{level.path.rstrip('/')}/{name}"
        below = _status(level.lower, name)
        upper, status = _topmost(level.uppers, name)
        if status is None or _is_whiteout(upper, name, status):
            return False, (path, DELETED) if below is not None else None
        if stat.S_ISDIR(status.st_mode):
            return self._compare_directory(level, name, path, status, below), None
        if below is None and path in self._points and stat.S_ISREG(status.st_mode) and status.st_size == 0:
            self.stubs.add(path)
        elif below is None or _differs(upper, level.lower, name, status, below):
            return False, (path, ADDED if below is None else MODIFIED)
        return False, None

    def _compare_directory(self, level: _Level, name: str, path: str, status: os.stat_result, below: os.stat_result | None) -> bool:
        uppers, opaque = _directories(level.uppers, name)
        if not uppers:
            return False
        lower = -1
        if below is None:
            kind: int | None = ADDED
            if path in self._points and not any(map(os.listdir, uppers)):
                self.stubs.add(path)
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
