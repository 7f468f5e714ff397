"""Named locks on files (flock(2)), between processes and between the threads of one; it must not know what they guard."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from labcontainers.errors import Unavailable

_POLL_S = 0.005


class Locks:
    """All locks of a store. Each `hold` opens the file anew, so that threads exclude each other too; a thread must not hold one twice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def hold(self, name: str, *, shared: bool = False, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock `name`; blocks until it is free. Raises Unavailable after `timeout_s` seconds, naming the lock."""
        path = self._path(name)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            # An object, since an interrupt while a plain descriptor is opened would lose it, and the lock with it.
            file = FileIO(path, "ab")
            try:
                _acquire(file.fileno(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX, deadline)
                if not _is_at(file.fileno(), path):
                    # sweep() took the file away while we waited for it: who comes later locks another one.
                    continue
                yield
                return
            except _Late:
                raise Unavailable(f"the lock {name!r} was not free within {timeout_s} s", "another process is at work on it") from None
            finally:
                file.close()

    def sweep(self) -> None:
        """Remove the files of locks that nobody holds, since there is one for each container that ever was."""
        for name in os.listdir(self._directory):
            path = self._directory / name
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(fd, path):
                        path.unlink()
                except BlockingIOError:
                    continue
                finally:
                    os.close(fd)

    def _path(self, name: str) -> Path:
        safe = "".join(character if character.isascii() and (character.isalnum() or character in "-_.") else "_" for character in name)
        if safe != name or len(safe) > 100 or safe.startswith(".") or not safe:
            safe = safe[:60].lstrip(".") + "-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self._directory / safe


class _Late(Exception):
    """The deadline has passed."""


def _acquire(fd: int, operation: int, deadline: float | None) -> None:
    if deadline is None:
        fcntl.flock(fd, operation)
        return
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise _Late from None
            time.sleep(_POLL_S)


def _is_at(fd: int, path: Path) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
