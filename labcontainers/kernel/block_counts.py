"""Has version 1 of control groups count the use of the machine's disks; it must not read what a group has used.

Since Linux 6.10 blkio counts a disk only once some group's use of it has been limited (blk_throtl_init in block/blk-throttle.c): so a
limit that limits nothing is set, and taken away again. The kernel counts for every group from then on.
"""

from __future__ import annotations

import contextlib
import os

from labcontainers.kernel import cgroup_files as files

COUNTS = "blkio.throttle.io_service_bytes"
_LIMIT = "blkio.throttle.read_bps_device"
_LIMITS_NOTHING = 1 << 62


def counted(directory: str) -> frozenset[str]:
    """The devices, as `MAJOR:MINOR`, that have counts in the group at this directory of blkio."""
    rows = (row.split() for row in (files.read(f"{directory}/{COUNTS}") or "").splitlines())
    return frozenset(row[0] for row in rows if len(row) == 3)


def start(directory: str, devices: str = "/sys/block") -> None:
    """Have each disk counted for the group at `directory` of blkio and all groups in it. Idempotent.

    Never raises: a disk that cannot be counted is not. A disk is what has a device of its own; a loop device or a mapped one
    lies on one, and is counted there.
    """
    known = counted(directory)
    for disk in _disks(devices) - known:
        # a disk without media, or without a throttle
        with contextlib.suppress(OSError):
            files.write(f"{directory}/{_LIMIT}", f"{disk} {_LIMITS_NOTHING}")
            files.write(f"{directory}/{_LIMIT}", f"{disk} 0")


def _disks(devices: str) -> frozenset[str]:
    try:
        names = [name for name in os.listdir(devices) if os.path.exists(f"{devices}/{name}/device")]
    except OSError:
        return frozenset()
    return frozenset(number for name in names if (number := (files.read(f"{devices}/{name}/dev") or "").strip()))
