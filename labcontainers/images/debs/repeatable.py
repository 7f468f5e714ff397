"""What a worker does after maintainer scripts: take the moment and the chance out of what they made, so that they make the same each time.

It must not know packages. Only what the scripts made is in the tree, and nobody else writes to it; no link of it is followed.
Source: SOURCE_DATE_EPOCH of reproducible-builds.org; what mmdebstrap(1) and debuerreotype-minimizing-config remove; machine-id(5).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from labcontainers.store.tree_times import settle_times

# Logs; caches that hold times and inode numbers and are made again; copies of what was before; seeds, identities; what is left over.
_GONE = re.compile(
    rb"var/log/(?:dpkg|alternatives|bootstrap|fontconfig)\.log|var/log/apt/.+"
    rb"|var/cache/(?:ldconfig/aux-cache|apt/[^/]+\.bin|debconf/[^/]+-old|fontconfig/.+|man/.+)"
    rb"|var/lib/(?:dpkg/[^/]+-old|dbus/machine-id|systemd/random-seed)|(?:var/)?tmp/.+"
)
# A machine that begins with an empty one makes its own.
_EMPTY = frozenset((b"etc/machine-id",))


def make_repeatable(target: str, epoch_s: int) -> None:
    """Remove logs, caches, seeds and remains from the tree `target`, and let nothing in it be younger than `epoch_s` (Unix time)."""
    top = os.fsencode(target)
    for folder, _, _, fd in os.fwalk(top, topdown=False):
        with os.scandir(fd) as entries:
            names = [os.fsencode(entry.name) for entry in entries]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), top)
            status = os.lstat(name, dir_fd=fd)
            if _is_whiteout(status):
                continue
            if _GONE.fullmatch(path) and _removed(name, status, fd):
                continue
            if path in _EMPTY and stat.S_ISREG(status.st_mode) and status.st_size:
                os.close(os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd))
    settle_times(target, epoch_s)


def _is_whiteout(status: os.stat_result) -> bool:
    """Whether it only says that something below is gone, which must stay so."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _removed(name: bytes, status: os.stat_result, fd: int) -> bool:
    """Remove a file, or a directory unless something must stay in it."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=fd)
        else:
            os.unlink(name, dir_fd=fd)
        return True
    return False
