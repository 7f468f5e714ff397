"""A copy of the interpreter in memory that nobody can change; it must not know who is started from it."""

from __future__ import annotations

import errno
import fcntl
import os
import time

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_TRIES, _REST_S = 50, 0.02


def sealed_copy(path: str) -> int:
    """A sealed memfd of the program at `path`, so that nothing in a container can reach the host's file (CVE-2019-5736); -1 if refused.

    Raises OSError.
    """
    try:
        copy = os.memfd_create("labcontainers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError:
        return -1
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            done = 0
            while done < size:
                done += os.sendfile(copy, file.fileno(), done, size - done)
        _seal(copy)
    except BaseException:
        os.close(copy)
        raise
    return copy


def _seal(copy: int) -> None:
    """Busy is a copy of which the kernel still holds a page that was just written (memfd_wait_for_pins in mm/memfd.c)."""
    for rest in range(_TRIES, 0, -1):
        try:
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or rest == 1:
                raise
        time.sleep(_REST_S)
