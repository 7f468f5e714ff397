"""Telling the kernel which AppArmor profile the next execve(2) is to change to, from inside the container.

It must not import anything but what the launcher holds. The container's /proc may have been covered by its image, so what is
written to is first shown to be the kernel's own file (CVE-2019-19921, CVE-2025-52881).
"""

from __future__ import annotations

import os
import struct

from labcontainers.kernel import syscalls
from labcontainers.runtime.rootfs import Refused

# PROC_SUPER_MAGIC of <linux/magic.h>, and the inode of the top of every procfs (fs/proc/root.c)
_PROC_MAGIC = 0x9FA0
_PROC_ROOT_INODE = 1


def change_on_exec(name: str) -> None:
    """Write `exec NAME` to attr/apparmor/exec of this process, or to attr/exec before Linux 5.8; raises Refused and OSError."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        kind = struct.unpack_from("=Q", syscalls.fstatfs(proc))[0]
        if kind != _PROC_MAGIC or os.fstat(proc).st_ino != _PROC_ROOT_INODE:
            raise Refused("/proc of the container is not the kernel's")
        _write(proc, name)
    finally:
        os.close(proc)


def _write(proc: int, name: str) -> None:
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS
    for path in ("attr/apparmor/exec", "attr/exec"):
        try:
            fd = syscalls.openat2(proc, f"{os.getpid()}/{path}", os.O_WRONLY, resolve=resolve)
        except FileNotFoundError:
            continue
        try:
            os.write(fd, b"exec " + os.fsencode(name))
            return
        except FileNotFoundError:
            raise Refused(f"apparmor profile {name} is not loaded on this host") from None
        except OSError as error:
            raise Refused(f"cannot change to apparmor profile {name}: {(error.strerror or '').lower()}") from None
        finally:
            os.close(fd)
    raise Refused("apparmor is not enabled on this host")
