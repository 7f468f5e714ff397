"""What is being made: files and directories in `tmp` that belong to the process that makes them; it must not know what will become of them.

Their owner holds a flock(2), on the file itself or on the file `owner` in the directory. The kernel lets go of it when the owner
dies, however it dies, so that nobody has to guess from process ids or ages.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from pathlib import Path

from labcontainers.store.locks import Locks

_OWNER = "owner"
_GUARD = "scratch"


class Scratch:
    """All half-made things of a store. Thread-safe."""

    def __init__(self, tmp: Path, locks: Locks) -> None:
        self._tmp = tmp
        self._locks = locks
        self._lock = threading.Lock()
        self._held: dict[Path, int] = {}

    def new_directory(self) -> Path:
        """An empty directory of mode 0700, but for the file `owner`."""
        path = self._tmp / f"tree-{secrets.token_hex(8)}"
        # The sweeper takes this lock alone, so it never sees a directory between its creation and its flock.
        with self._locks.hold(_GUARD, shared=True):
            path.mkdir(mode=0o700)
            fd = os.open(path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
        with self._lock:
            self._held[path] = fd
        return path

    def new_file(self) -> tuple[Path, int]:
        """An empty file and a descriptor to write it; closing the descriptor gives up the ownership."""
        path = self._tmp / f"blob-{secrets.token_hex(8)}"
        with self._locks.hold(_GUARD, shared=True):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
        return path, fd

    def release(self, directory: Path) -> None:
        """Give up the ownership of a directory. Idempotent."""
        with self._lock:
            fd = self._held.pop(directory, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Give up everything: what is left is swept by whoever comes next."""
        with self._lock:
            held, self._held = self._held, {}
        for fd in held.values():
            os.close(fd)

    def living(self) -> list[Path]:
        """What somebody is making now, of whichever process."""
        return [path for path in sorted(self._tmp.iterdir()) if _has_owner(path)]

    def dead(self) -> list[Path]:
        """What owners left behind that are no more, of whichever process; nobody will use it again."""
        with self._locks.hold(_GUARD):
            return [path for path in sorted(self._tmp.iterdir()) if not _has_owner(path)]


def _has_owner(path: Path) -> bool:
    try:
        try:
            fd = os.open(path / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
