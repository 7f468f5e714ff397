"""Content by digest: immutable files that are either whole or absent; it must not know what the content means."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labcontainers.errors import DigestMismatch, NotFound, Unsupported
from labcontainers.oci.digest import parse_digest, sha256
from labcontainers.store.scratch import Scratch

_NAME = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class Blobs:
    """`blobs/sha256/<hex>`; what is being written is a scratch file, which gets its name when it is complete and synced.

    A blob may be a link to a file of another store, which is only read; who reads what it must rely on compares digests anyway.
    """

    def __init__(self, directory: Path, scratch: Scratch) -> None:
        self._directory = directory
        self._scratch = scratch

    def path(self, digest: str) -> Path:
        """Where the content is, if it is there; raises InvalidArgument, and Unsupported for an algorithm other than sha256."""
        algorithm, name = parse_digest(digest)
        if algorithm != "sha256":
            raise Unsupported(f"content named by {algorithm} cannot be kept: {digest}", "use the image's sha256 digests")
        return self._directory / name

    def put(self, data: bytes) -> str:
        """Store `data`; its digest. Idempotent."""
        digest = sha256(data)
        if not self.has(digest):
            with self.writer() as writer:
                writer.write(data)
                writer.commit()
        return digest

    def writer(self) -> BlobWriter:
        """A context manager for content that comes in pieces; without commit() nothing stays."""
        return BlobWriter(self._directory, self._scratch)

    def has(self, digest: str) -> bool:
        """Whether the content is there."""
        return self.path(digest).is_file()

    def open(self, digest: str) -> BinaryIO:
        """The content as a file; raises NotFound."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise _not_found(digest) from None

    def read(self, digest: str) -> bytes:
        """The content; raises NotFound, or DigestMismatch when the file was damaged."""
        with self.open(digest) as file:
            data = file.read()
        _check(digest, sha256(data))
        return data

    def size(self, digest: str) -> int:
        """Its size in bytes; raises NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise _not_found(digest) from None

    def disk_bytes(self, digest: str) -> int:
        """What its file takes in this store, 0 for content that is kept elsewhere; raises NotFound."""
        path = self.path(digest)
        return 0 if path.is_symlink() else self.size(digest)

    def link(self, digest: str, file: Path) -> None:
        """Let the content be that file, which somebody else keeps, unless it is here already."""
        path = self.path(digest)
        if not self.has(digest):
            with contextlib.suppress(FileExistsError):
                path.unlink(missing_ok=True)
                os.symlink(file, path)

    def remove(self, digest: str) -> None:
        """Remove the content; absent is fine."""
        self.path(digest).unlink(missing_ok=True)

    def list(self) -> Iterator[str]:
        """The digests of all content."""
        return (f"sha256:{name}" for name in sorted(os.listdir(self._directory)) if _NAME.fullmatch(name))

    def verify(self, digest: str) -> None:
        """Read all of it; raises DigestMismatch or NotFound."""
        with self.open(digest) as file:
            content = hashlib.sha256()
            while data := file.read(_CHUNK):
                content.update(data)
        _check(digest, "sha256:" + content.hexdigest())


def _not_found(digest: str) -> NotFound:
    return NotFound(f"no such blob: {digest}", "its image is not complete in this store: remove the image and make it again")


def _check(digest: str, found: str) -> None:
    if found != digest:
        raise DigestMismatch(f"blob {digest} is damaged", "remove the image and make it again")


class BlobWriter:
    """One blob being written, from `with` to commit()."""

    def __init__(self, directory: Path, scratch: Scratch) -> None:
        self._directory = directory
        self._scratch = scratch
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> BlobWriter:
        self._path, fd = self._scratch.new_file()
        self._file = open(fd, "wb", buffering=_CHUNK)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        finally:
            # An error of a last write belongs to content that nobody wants any more.
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._hash.update(data)
        self._file.write(data)
        self._size += len(data)

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    def flush(self) -> None:
        """Let who reads it have all that was written."""
        self._file.flush()

    def reader(self) -> BinaryIO:
        """The file from its beginning, for who follows it as it grows; it can be read whatever becomes of its name."""
        return open(f"/proc/self/fd/{self._file.fileno()}", "rb")

    def commit(self, expected: str | None = None) -> tuple[str, int]:
        """Make it durable under its digest; (digest, size in bytes). Raises DigestMismatch unless it is `expected`."""
        digest = "sha256:" + self._hash.hexdigest()
        if expected is not None and digest != expected:
            raise DigestMismatch(f"content has digest {digest}, not {expected}", "it was damaged on the way: try again")
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._path, self._directory / parse_digest(digest)[1])
        fsync_directory(self._directory)
        return digest, self._size


def fsync_directory(path: Path) -> None:
    """Make a rename in this directory durable (fsync(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
