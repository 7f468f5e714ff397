"""Bytes of a file to a descriptor, without a way through this process where the kernel can; it must not know what they are.

Source: copy_file_range(2), sendfile(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

_CHUNK = 1 << 20
# other kinds of files, files opened for appending, other file systems, older kernels
_CANNOT = (errno.EINVAL, errno.EXDEV, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)


class _CannotMove(Exception):
    """The kernel cannot copy between these two files in this way."""


def move(path: Path, size: int, target: int) -> int:
    """Write the first `size` bytes of a file to `target`, from where that stands; how many there were. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        source, done = file.fileno(), 0
        for way in (_by_range, _by_sendfile, _by_hand):
            with contextlib.suppress(_CannotMove):
                while done < size and (count := way(source, target, size - done, done)):
                    done += count
            if done == size:
                break
        return done


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _by_range(source: int, target: int, count: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset_src=offset)
    except OSError as error:
        raise _cannot(error) from None


def _by_sendfile(source: int, target: int, count: int, offset: int) -> int:
    try:
        return os.sendfile(target, source, offset, count)
    except OSError as error:
        raise _cannot(error) from None


def _by_hand(source: int, target: int, count: int, offset: int) -> int:
    data = os.pread(source, min(count, _CHUNK), offset)
    write_all(target, data)
    return len(data)


def _cannot(error: OSError) -> Exception:
    return _CannotMove() if error.errno in _CANNOT else error
