"""Named locks on files (flock(2)), between processes and between the threads of one; it must not know what they guard."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from labcontainers.errors import Unavailable

_POLL_S = 0.005


class Locks:
    """All locks of a store. Each `hold` opens the file anew, so that threads exclude each other too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def hold(self, name: str, *, shared: bool = False, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock `name`; blocks until it is free. Raises Unavailable after `timeout_s` seconds, naming the lock."""
        fd = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._acquire(fd, name, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, timeout_s)
            yield
        finally:
            os.close(fd)

    @staticmethod
    def _acquire(fd: int, name: str, operation: int, timeout_s: float | None) -> None:
        if timeout_s is None:
            fcntl.flock(fd, operation)
            return
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(fd, operation | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Unavailable(f"the lock {name!r} was not free within {timeout_s} s", "another process is at work on it") from None
                time.sleep(_POLL_S)

    def _path(self, name: str) -> Path:
        safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
        if safe != name or len(safe) > 100 or safe.startswith("."):
            safe = safe[:60].lstrip(".") + "-" + hashlib.sha256(name.encode()).hexdigest()[:16]
        return self._directory / safe
