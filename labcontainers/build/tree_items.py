"""What is copied out of another tree, one file after the other; it runs in a worker and must not write anywhere."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from labcontainers.build.ignore import IgnoreRules
from labcontainers.build.parents import with_parents
from labcontainers.errors import NotFound
from labcontainers.kernel import syscalls
from labcontainers.kernel.scoped_paths import BENEATH

SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to copy; `path` is relative to what was named, `open_source` opens a regular file or directory for reading."""

    path: str
    state: os.stat_result | None
    mode: int
    uid: int
    gid: int
    target: str
    open_source: Callable[[], int]


def tree_with_parents(root_fd: int, pivot: str, pattern: str, exclude: IgnoreRules | None, *, strict: bool) -> list[Item]:
    """What `pattern` of COPY --parents names below `pivot` of a tree, after that folder itself; empty where there is no such folder.

    Where it names nothing there is the folder alone, or NotFound where `strict`.
    """
    try:
        top = syscalls.openat2(root_fd, pivot or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if not strict:
            return []
        raise NotFound(f"no such folder to copy from: /{pivot}", os.strerror(error.errno or 0).lower()) from error

    def opener(path: str) -> Callable[[], int]:
        # what is chosen is opened when all has been gone through
        return lambda: syscalls.openat2(top, path or ".", SOURCE, resolve=BENEATH)

    items = walk(opener(""), "", os.fstat(top), exclude)
    found = {item.path: replace(item, open_source=opener(item.path)) for item in items}
    chosen = with_parents(pattern, list(found))
    if not chosen and strict:
        raise NotFound(f"no such file to copy from: {posixpath.join('/', pivot, pattern)}", "look for it in the stage or image")
    return [found[path] for path in ("", *chosen)]


def walk(open_directory: Callable[[], int], path: str, state: os.stat_result, exclude: IgnoreRules | None) -> Iterator[Item]:
    """A directory and all that is in it but what `exclude` ignores, directories first; an item is to be opened before the next."""
    yield Item(path, state, state.st_mode, state.st_uid, state.st_gid, "", open_directory)
    fd = open_directory()
    try:
        for name in sorted(os.listdir(fd), key=os.fsencode):
            below = posixpath.join(path, name)
            found = os.lstat(name, dir_fd=fd)
            is_directory = stat.S_ISDIR(found.st_mode)
            if exclude is not None and exclude.ignores(below) and not (is_directory and exclude.may_enter(below)):
                continue
            opener = _opener(fd, name)
            if is_directory:
                yield from walk(opener, below, found, exclude)
            else:
                target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(found.st_mode) else ""
                yield Item(below, found, found.st_mode, found.st_uid, found.st_gid, target, opener)
    finally:
        os.close(fd)


def _opener(fd: int, name: str) -> Callable[[], int]:
    return lambda: os.open(name, SOURCE | os.O_CLOEXEC, dir_fd=fd)
