"""Named locks on files (flock(2)), between processes and between the threads of one; it must not know what they guard."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from labcontainers.errors import Unavailable

_POLL_S = 0.005
_MOST_NOTED = 1000
# Names that are file names as they are.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class Locks:
    """All locks of a store. Each `hold` opens the file anew, so that threads exclude each other too; a thread must not hold one twice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def hold(
        self,
        name: str,
        *,
        shared: bool = False,
        timeout_s: float | None = None,
        meanwhile: Callable[[], object] | None = None,
        note: str = "",
    ) -> Iterator[None]:
        """Hold the lock `name`; blocks until it is free. Raises Unavailable after `timeout_s` seconds, naming the lock.

        While it waits it calls `meanwhile` again and again, which may raise. `note` is what note_of() gives to those who wait then.
        """
        path = self._path(name)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            # An object, since an interrupt while a plain descriptor is opened would lose it, and the lock with it.
            file = FileIO(path, "ab")
            try:
                _acquire(file.fileno(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX, deadline, meanwhile)
                if not _is_at(file.fileno(), path):
                    # sweep() took the file away while we waited for it: who comes later locks another one.
                    continue
                with _noted(file, note):
                    yield
                return
            except _Late:
                raise Unavailable(f"the lock {name!r} was not free within {timeout_s} s", "another process is at work on it") from None
            finally:
                file.close()

    def note_of(self, name: str) -> str:
        """What who holds the lock has noted; "" where there is nothing, and perhaps what one noted who was killed."""
        try:
            with open(self._path(name), encoding="utf-8", errors="replace") as file:
                return file.read(_MOST_NOTED)
        except OSError:
            return ""

    def sweep(self) -> None:
        """Remove the files of locks that nobody holds, since there is one for each container that ever was."""
        for name in os.listdir(self._directory):
            path = f"{self._directory}/{name}"
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(fd, path):
                        os.unlink(path)
                except BlockingIOError:
                    continue
                finally:
                    os.close(fd)

    def _path(self, name: str) -> str:
        if _PLAIN.fullmatch(name):
            return f"{self._directory}/{name}"
        safe = "".join(character if character.isascii() and (character.isalnum() or character in "-_.") else "_" for character in name)
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self._directory}/{safe[:60].lstrip('.')}-{digest[:16]}"


@contextlib.contextmanager
def _noted(file: FileIO, note: str) -> Iterator[None]:
    """The note stands in the lock's file meanwhile; one of somebody who was killed does not."""
    if not note:
        yield
        return
    file.truncate(0)
    file.write(note.encode("utf-8", "replace"))
    try:
        yield
    finally:
        file.truncate(0)


class _Late(Exception):
    """The deadline has passed."""


def _acquire(fd: int, operation: int, deadline: float | None, meanwhile: Callable[[], object] | None) -> None:
    if deadline is None and meanwhile is None:
        fcntl.flock(fd, operation)
        return
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if deadline is not None and time.monotonic() >= deadline:
                raise _Late from None
            if meanwhile is not None:
                meanwhile()
            time.sleep(_POLL_S)


def _is_at(fd: int, path: str) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
