"""Times of a tree that depend on its content alone, whenever and wherever it was made; it must not know the store, nor what made it.

It runs where files of container ids may be touched, and while nothing else works in the tree.

Source: github.com/moby/buildkit docs/build-repro.md, rewrite-timestamp; PEP 552 for the header of Python's cached bytecode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTECODE_FOLDER = "__pycache__"
_BYTECODE = ".pyc"
_SOURCE = ".py"
_STAMP = slice(8, 12)
_HEADER_BYTES = 16
_NANO = 10**9


@dataclass(slots=True)
class _Folder:
    """An open directory, what is still to be looked at in it, and the sources in it that get another time, with the old one in seconds."""

    fd: int
    name: str
    above: _Folder | None
    folders: Iterator[str] = field(default_factory=lambda: iter(()))
    sources: dict[str, int] = field(default_factory=dict)


def settle_times(tree: str, newest_s: int) -> None:
    """Give everything in the tree that is newer than `newest_s` (seconds since 1970) that time. Raises OSError.

    Bytecode that Python knows as belonging to a source by that one's time belongs to it afterwards, too.
    """
    way = [_Folder(os.open(tree, _DIRECTORY), "", None)]
    try:
        if os.fstat(way[0].fd).st_mtime_ns > newest_s * _NANO:
            os.utime(way[0].fd, (newest_s, newest_s))
        _settle(way[0], newest_s)
        while way:
            folder = way[-1]
            name = next(folder.folders, None)
            if name is None:
                os.close(way.pop().fd)
                continue
            way.append(_Folder(os.open(name, _DIRECTORY, dir_fd=folder.fd), name, folder))
            _settle(way[-1], newest_s)
    finally:
        for folder in way:
            os.close(folder.fd)


def _settle(folder: _Folder, newest_s: int) -> None:
    """The files of one directory, and the times of the directories in it."""
    newest_ns = newest_s * _NANO
    folders, bytecode, late = [], [], []
    with os.scandir(folder.fd) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                folders.append(entry.name)
            elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                continue  # what overlay writes for a file that is gone
            if status.st_mtime_ns <= newest_ns:
                continue
            late.append(entry.name)
            if stat.S_ISREG(status.st_mode):
                if entry.name.endswith(_SOURCE):
                    folder.sources[entry.name] = status.st_mtime_ns // _NANO
                elif entry.name.endswith(_BYTECODE):
                    bytecode.append(entry.name)
    owner = folder.above if folder.name == _BYTECODE_FOLDER else folder
    for name in bytecode:
        source = name.partition(".")[0] + _SOURCE
        if owner is not None and source in owner.sources:
            _stamp(folder.fd, name, owner.sources[source], newest_s)
    for name in late:
        os.utime(name, ns=(newest_ns, newest_ns), dir_fd=folder.fd, follow_symlinks=False)
    folder.folders = iter(folders)


def _stamp(fd: int, name: str, old_s: int, new_s: int) -> None:
    """Put the source's new time in the place of the old one, where the bytecode is known by a time at all."""
    file = os.open(name, _FILE, dir_fd=fd)
    try:
        header = os.pread(file, _HEADER_BYTES, 0)
        is_timed = len(header) == _HEADER_BYTES and header[4:8] == bytes(4)
        if is_timed and header[_STAMP] == _seconds(old_s):
            os.pwrite(file, _seconds(new_s), _STAMP.start)
    finally:
        os.close(file)


def _seconds(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")
