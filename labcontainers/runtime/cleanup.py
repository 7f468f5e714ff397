"""What a shim takes away when its container has ended: control groups, and with `--rm` the container's directory.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import os
import stat
import time

from labcontainers.kernel import syscalls
from labcontainers.kernel.files import remove_tree

Cgroups = dict[str, object]


def _directories(cgroups: Cgroups) -> list[str]:
    v1 = cgroups.get("v1") or {}
    unified = cgroups.get("unified")
    assert isinstance(v1, dict)
    return list(dict.fromkeys([*([str(unified)] if unified else []), *map(str, v1.values())]))


def oom_kills(cgroups: Cgroups) -> int:
    """How many processes of the container the kernel killed for memory (memory.events of v2, memory.oom_control of v1)."""
    for directory in _directories(cgroups):
        for name in ("memory.events", "memory.oom_control"):
            try:
                fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            lines = os.read(fd, 4096).split(b"\n")
            os.close(fd)
            for key, _, value in (line.partition(b" ") for line in lines):
                if key == b"oom_kill":
                    return int(value)
    return 0


def remove_cgroups(cgroups: Cgroups) -> None:
    """Remove the container's control groups; a dying process may keep one busy for a moment."""
    for directory in _directories(cgroups):
        for attempt in range(50):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                time.sleep(0.001 * (attempt + 1))
                continue
            break


def remove_container(directory: str, trash: str) -> None:
    """Move a container's directory out of sight at once, then delete it."""
    gone = f"{trash}/{os.path.basename(directory)}.{os.getpid()}"
    try:
        os.rename(directory, gone)
    except FileNotFoundError:
        return
    remove_tree(gone)


def remove_stubs(tree: str, paths: list[str]) -> None:
    """Remove the mount points `paths` (in the order they were made) of an upper directory, if they are still empty."""
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for path in reversed(paths):
        parent, _, name = path.rpartition("/")
        try:
            fd = syscalls.openat2(root, parent or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=fd)
            elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
                os.unlink(name, dir_fd=fd)
        except OSError:
            pass
        finally:
            os.close(fd)
    os.close(root)
