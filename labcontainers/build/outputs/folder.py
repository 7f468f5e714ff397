"""A folder of this machine that an export fills: all of it comes there at the end, or nothing; it must not know what the files are.

Files are made in a folder beside, or inside where the folder is there already, and then renamed. Nothing is opened but below the
folder's descriptor, and no symbolic link is followed, so that neither the export's links nor those in the folder lead out of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labcontainers.errors import Conflict, InvalidArgument
from labcontainers.kernel.files import remove_tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HINT = "name another folder"


def check_folder(path: Path, flag: str) -> None:
    """Raises InvalidArgument or Conflict where no folder can be filled, before anything is built."""
    if path.is_symlink():
        raise InvalidArgument(f"{flag}: {path} is a symbolic link", "name the folder that it leads to")
    if path.exists() and not path.is_dir():
        raise Conflict(f"{flag}: {path} is not a directory", "name a folder, or use type=tar for a file")
    there = next((above for above in (path, *path.parents) if above.exists()), Path("/"))
    if not there.is_dir():
        raise Conflict(f"{flag}: {there} is not a directory", _HINT)
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidArgument(f"{flag}: {there}: this user may not write there", _HINT)


@contextlib.contextmanager
def filling(path: Path) -> Iterator[int]:
    """A descriptor of an empty directory, whose content is in the folder `path` once this is left without an error.

    What the folder has already stays unless the export has a file of that name. Raises Conflict where one has a directory and the
    other none, and OSError; then the folder is as it was.
    """
    made = _make_parents(path)
    name = f".{secrets.token_hex(8)}.part"
    try:
        existing = _open_existing(path)
        try:
            place = existing if existing is not None else os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.mkdir(name, 0o700, dir_fd=place)
                try:
                    staged = os.open(name, _DIRECTORY, dir_fd=place)
                    try:
                        yield staged
                        if existing is not None:
                            _settle(staged, existing)
                        else:
                            os.fchmod(staged, 0o777 & ~_umask())
                            os.rename(name, path.name, src_dir_fd=place, dst_dir_fd=place)
                    finally:
                        os.close(staged)
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        remove_tree(name, place)
            finally:
                if place != existing:
                    os.close(place)
        finally:
            if existing is not None:
                os.close(existing)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _make_parents(path: Path) -> list[Path]:
    """Make what is missing above `path`; what was made, the lowest first."""
    missing = [above for above in path.parents if not above.exists()]
    for above in reversed(missing):
        above.mkdir(exist_ok=True)
    return missing


def _open_existing(path: Path) -> int | None:
    try:
        return os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return None


def _umask() -> int:
    """This process' mask, as the kernel tells it, since asking by umask(2) would change it for other threads."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


# --- into a folder that is there


@dataclass(slots=True)
class _Level:
    """A directory that both have: what was exported, where it goes, and what the export said of it."""

    staged: int
    target: int
    names: Iterator[str]
    status: os.stat_result

    def close(self) -> None:
        os.close(self.staged)
        os.close(self.target)


def _settle(staged: int, target: int) -> None:
    """Move all that is in one directory into another; raises Conflict before anything is moved."""
    for path, source, place, name in _walk(staged, target, move=False):
        there = _status(place, name)
        if there is not None and stat.S_ISDIR(there.st_mode) != stat.S_ISDIR(source.st_mode):
            has, gets = ("a directory", "none") if stat.S_ISDIR(there.st_mode) else ("no directory", "one")
            raise Conflict(f"{path} is {has} in the folder, and {gets} in the export", "remove it, or name another folder")
    for _ in _walk(staged, target, move=True):
        pass


def _walk(staged: int, target: int, *, move: bool) -> Iterator[tuple[str, os.stat_result, int, str]]:
    """What is exported, with its path, the directory that it goes to and its name there; below directories only where both have them.

    Without recursion, since whoever filled the trees chose their depth.
    """
    levels = [_Level(os.dup(staged), os.dup(target), iter(sorted(os.listdir(staged))), os.fstat(staged))]
    path: list[str] = []
    try:
        while levels:
            level = levels[-1]
            for name in level.names:
                status = os.lstat(name, dir_fd=level.staged)
                yield "/".join([*path, name]), status, level.target, name
                there = _status(level.target, name)
                if there is not None and stat.S_ISDIR(there.st_mode) and stat.S_ISDIR(status.st_mode):
                    levels.append(_entered(level, name, status, move=move))
                    path.append(name)
                    break
                if move:
                    _move(level, name, status)
            else:
                done = levels.pop()
                if path:
                    path.pop()
                    _dress(done.target if move else done.staged, done.status)
                done.close()
    finally:
        for level in levels:
            level.close()


def _entered(level: _Level, name: str, status: os.stat_result, *, move: bool) -> _Level:
    # An ordinary user may look into what he made, and move what is in it, only where the modes let him.
    os.chmod(name, stat.S_IMODE(status.st_mode) | 0o700, dir_fd=level.staged)
    staged = os.open(name, _DIRECTORY, dir_fd=level.staged)
    try:
        target = os.open(name, _DIRECTORY, dir_fd=level.target)
        if move:
            with contextlib.suppress(PermissionError):  # of another user: what it lets us do is all we can
                os.fchmod(target, stat.S_IMODE(os.fstat(target).st_mode) | 0o700)
    except BaseException:
        os.close(staged)
        raise
    return _Level(staged, target, iter(sorted(os.listdir(staged))), status)


def _move(level: _Level, name: str, status: os.stat_result) -> None:
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory:
        os.chmod(name, stat.S_IMODE(status.st_mode) | 0o700, dir_fd=level.staged)
    os.rename(name, name, src_dir_fd=level.staged, dst_dir_fd=level.target)
    if is_directory:
        fd = os.open(name, _DIRECTORY, dir_fd=level.target)
        try:
            _dress(fd, status)
        finally:
            os.close(fd)


def _dress(fd: int, status: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):  # a directory of another user keeps what it has
        os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
        os.fchmod(fd, stat.S_IMODE(status.st_mode))


def _status(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None
