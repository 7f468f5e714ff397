"""What is left of the host's root below a container's that is moved over it, where pivot_root(2) cannot be used.

It must not import anything but what init holds.
"""

from __future__ import annotations

import errno

from labcontainers.kernel import mounts
from labcontainers.kernel.mounts import MS_PRIVATE, MS_RDONLY


def hide_kernel_mounts(root: str) -> None:
    """Take away the host's proc and sysfs, which stay below a root that is moved over theirs.

    As long as they are there in full, a user namespace within may mount new ones, without what is masked (mnt_already_visible of Linux).
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split() for line in file]
    old = [(_unescaped(row[4]), row[row.index("-") + 1]) for row in rows]
    old = [(point, fstype) for point, fstype in old if point != root and not point.startswith(root.rstrip("/") + "/")]
    for point, _ in old:
        try:
            mounts.mount("", point, "", MS_PRIVATE)  # the host's are to stay
        except OSError:
            continue  # covered by another one
    for point, fstype in reversed(old):
        if fstype not in ("proc", "sysfs"):
            continue
        try:
            mounts.umount2(point, mounts.MNT_DETACH)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            mounts.mount("tmpfs", point, "tmpfs", MS_RDONLY)


def _unescaped(path: str) -> str:
    """A path of mountinfo, which has spaces and the like as octal numbers (proc(5))."""
    parts = path.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])
