"""A folder in which an archive's files lie unpacked, read as the archive is; it must not know what the files mean.

Everything is opened below the folder's descriptor: neither a name nor a symbolic link leads out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from labcontainers.errors import Denied, Failed, InvalidArgument, NotFound
from labcontainers.images.archive.contents import MOST_DOCUMENT_BYTES, OwnPiece, clean_name
from labcontainers.kernel import syscalls
from labcontainers.kernel.scoped_paths import open_in

_BELOW = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
# O_NONBLOCK, since a pipe of that name must not hold us up
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class FolderContents:
    """The files of one folder, as Contents are those of an archive."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def has(self, name: str) -> bool:
        with self._opened(name) as fd:
            return fd is not None

    def size(self, name: str) -> int:
        with self._opened(name) as fd:
            return os.fstat(_there(fd, name)).st_size

    def document(self, name: str) -> bytes:
        with self._opened(name) as found:
            fd = _there(found, name)
            size = os.fstat(fd).st_size
            if size > MOST_DOCUMENT_BYTES:
                raise InvalidArgument(f"{name} of the folder has {size} bytes", f"a document may have {MOST_DOCUMENT_BYTES}")
            return os.pread(fd, size, 0)

    def open(self, name: str, offset: int = 0) -> OwnPiece:
        with self._opened(name) as found:
            return OwnPiece(os.dup(_there(found, name)), offset)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int | None]:
        """A descriptor of a regular file; None where there is none."""
        try:
            fd = open_in(self._fd, clean_name(name), _READ, _BELOW)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise InvalidArgument(f"a link leads out of the folder: {name[:200]!r}", "do not trust whoever made it") from None
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ELOOP):
                kind = Denied if error.errno in (errno.EACCES, errno.EPERM) else Failed
                raise kind(f"{name[:200]} of the folder: {(error.strerror or str(error)).lower()}", "make it readable") from None
            yield None
            return
        try:
            yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)


def _there(fd: int | None, name: str) -> int:
    if fd is None:
        raise NotFound(f"the folder has no file {name!r}", "it is not complete: save or copy the image again")
    return fd


@contextlib.contextmanager
def open_folder(path: str | Path) -> Iterator[FolderContents]:
    """The files of a folder, which stays as it is. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield FolderContents(fd)
    finally:
        os.close(fd)
