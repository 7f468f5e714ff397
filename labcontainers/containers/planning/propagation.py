"""Whether the host's mounts can pass on what is mounted below a folder; it must not change any mount.

Source: proc_pid_fdinfo(5), mount_namespaces(7).
"""

from __future__ import annotations

import os

from labcontainers.errors import InvalidArgument
from labcontainers.kernel.mount_table import mount_table


def check_propagation(source: str, propagation: str) -> None:
    """Raises InvalidArgument, in Docker's words, where the mount that `source` lies on is neither shared nor, for slaves, a slave."""
    try:
        fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgument(f"volume source cannot be opened: {source!r}: {(error.strerror or '').lower()}", "make it first") from None
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            number = next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(fd)
    found = next((entry for entry in mount_table() if entry.number == number), None)
    point, kinds = ("", frozenset()) if found is None else (found.point, found.propagation)
    if "shared" in kinds or ("shared" not in propagation and "master" in kinds):
        return
    what = "a shared mount" if "shared" in propagation else "a shared or slave mount"
    raise InvalidArgument(f"path {source} is mounted on {point or '/'} but it is not {what}", f"run mount --make-shared {point or '/'}")
