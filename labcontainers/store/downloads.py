"""Content by digest that is on its way into the store: what was interrupted stays, and the next attempt goes on from there.

It must not know where the content comes from. `downloads/<hex>` belongs to whoever holds the lock of that digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from labcontainers.errors import DigestMismatch, Unavailable
from labcontainers.oci.digest import parse_digest
from labcontainers.store.blobs import Blobs, fsync_directory
from labcontainers.store.locks import Locks

_CHUNK = 1 << 20
# After this time nobody will want to go on with it.
_STALE_S = 7 * 24 * 3600


class Downloads:
    """All content that is on its way. Thread-safe, and safe beside other processes."""

    def __init__(self, directory: Path, blobs: Blobs, locks: Locks) -> None:
        self._directory = directory
        self._blobs = blobs
        self._locks = locks

    @contextlib.contextmanager
    def hold(self, digest: str, *, timeout_s: float | None = None) -> Iterator[None]:
        """While it lasts, nobody else fetches or removes this content; blocks until whoever does has ended. Raises Unavailable."""
        with self._locks.hold(self._lock(digest), timeout_s=timeout_s):
            yield

    @staticmethod
    def _lock(digest: str) -> str:
        return f"blob-{parse_digest(digest)[1]}"

    def begin(self, digest: str) -> Download:
        """What there is of the content already, to be gone on with; the caller holds it."""
        return Download(self._directory / parse_digest(digest)[1], self._blobs.path(digest), digest)

    def drop(self, digest: str) -> None:
        """Remove what was downloaded of a content, unless somebody goes on with it now."""
        with contextlib.suppress(FileNotFoundError, Unavailable), self.hold(digest, timeout_s=0):
            (self._directory / parse_digest(digest)[1]).unlink()

    def sweep(self, *, stale_s: float = _STALE_S) -> int:
        """Remove what nobody has gone on with for `stale_s` seconds, and nobody does now; how many bytes."""
        freed_bytes = 0
        for path in list(self._directory.iterdir()):
            with contextlib.suppress(FileNotFoundError, Unavailable), self._locks.hold(f"blob-{path.name}", timeout_s=0):
                status = path.stat()
                if time.time() - status.st_mtime >= stale_s:
                    path.unlink()
                    freed_bytes += status.st_size
        return freed_bytes


class Download:
    """One content, from the bytes that are there to commit(). Use it as a context manager: without commit() the bytes stay for later."""

    def __init__(self, path: Path, target: Path, digest: str) -> None:
        self._path = path
        self._target = target
        self._hash = hashlib.sha256()
        self.digest = digest
        self.size = 0
        self.complete = False

    def __enter__(self) -> Download:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def existing(self) -> Iterator[memoryview]:
        """The bytes that are there, in pieces that are valid until the next one."""
        buffer = memoryview(bytearray(_CHUNK))
        while count := os.preadv(self._fd, [buffer], self.size):
            self._hash.update(buffer[:count])
            self.size += count
            yield buffer[:count]

    def write(self, data: memoryview | bytes) -> None:
        """Append `data`."""
        self._hash.update(data)
        left = memoryview(data)
        while left:
            count = os.pwrite(self._fd, left, self.size)
            self.size += count
            left = left[count:]

    def commit(self) -> None:
        """Make it durable content of the store; raises DigestMismatch, and then nothing of it stays."""
        found = "sha256:" + self._hash.hexdigest()
        if found != self.digest:
            self._path.unlink(missing_ok=True)
            raise DigestMismatch(f"content has digest {found}, not {self.digest}", "it was damaged on the way: try again")
        os.fsync(self._fd)
        os.rename(self._path, self._target)
        fsync_directory(self._target.parent)
