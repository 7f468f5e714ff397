"""What a container's processes have in memory, and its file systems in memory, where no control group counts it.

It must not import anything but what the launcher holds. Page tables are walked only by `exact`; the rest is read from counters.
Sources: proc_pid_status(5), proc_pid_smaps(5), proc_pid_mountinfo(5), proc_pid_task_children(5), statvfs(3).
"""

from __future__ import annotations

import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import Callable

# Memory that processes share has a file of no file system that is mounted: of mmap(2), shmget(2) and memfd_create(2).
_SHARED = (b"/dev/zero", b"/SYSV", b"/memfd:")
_INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS


class FilesInMemory:
    """The tmpfs mounts of a container that are not also this process': its own, as they are now. Held until they are closed.

    A tmpfs that the container mounts itself later is not among them.
    """

    def __init__(self, pid: int) -> None:
        """`pid` is its first process; one that has ended has none."""
        self._held: dict[tuple[int, int], int] = {}
        others = {device for device, _ in _tmpfs_mounts("self")}
        try:
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            for device, point in _tmpfs_mounts(str(pid)):
                if device not in others and device not in self._held:
                    self._hold(root, device, point)
        finally:
            os.close(root)

    def _hold(self, root: int, device: tuple[int, int], point: bytes) -> None:
        try:
            fd = syscalls.openat2(root, point, os.O_PATH | os.O_DIRECTORY, resolve=_INSIDE)
        except OSError:
            return  # covered, or gone
        found = os.fstat(fd).st_dev
        if (os.major(found), os.minor(found)) == device:
            self._held[device] = fd
        else:
            os.close(fd)

    @property
    def devices(self) -> frozenset[tuple[int, int]]:
        """By which the mappings of their files are known."""
        return frozenset(self._held)

    def used_bytes(self) -> int:
        """What all of their files take."""
        return sum((now.f_blocks - now.f_bfree) * now.f_frsize for now in map(os.fstatvfs, self._held.values()))

    def close(self) -> None:
        """Let go of them."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()


def _tmpfs_mounts(process: str) -> list[tuple[tuple[int, int], bytes]]:
    found = []
    for line in _read(f"/proc/{process}/mountinfo").split(b"\n"):
        before, _, after = line.partition(b" - ")
        if after.startswith(b"tmpfs "):
            fields = before.split(b" ")
            major, _, minor = fields[2].partition(b":")
            found.append(((int(major), int(minor)), _unescaped(fields[4])))
    return found


def _unescaped(text: bytes) -> bytes:
    """Spaces, tabs, newlines and backslashes are written as three octal digits."""
    first, *others = text.split(b"\\")
    return first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in others)


def at_most(pid: int, ignored: int = 0) -> int:
    """What the descendants of the process `pid` have in memory, without the one that is `ignored`; who ends meanwhile has nothing.

    What several share is counted for each of them.
    """
    return _sum(pid, ignored, _counted_bytes)


def exact(pid: int, ignored: int, apart: frozenset[tuple[int, int]]) -> int:
    """The same, where what is shared counts once, and files on the devices `apart` do not. Takes time with the memory that they have."""
    return _sum(pid, ignored, lambda child: _mapped_bytes(child, apart))


def _sum(pid: int, ignored: int, of: Callable[[int], int]) -> int:
    waiting, used = _children(pid), 0
    while waiting:
        child = waiting.pop()
        if child != ignored:
            used += of(child)
            waiting += _children(child)
    return used


def _children(pid: int) -> list[int]:
    """All threads count, as each may have forked."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        pass
    return found


def _counted_bytes(pid: int) -> int:
    """What it has for itself, and what it shares (RssAnon, RssShmem)."""
    kibibytes = 0
    for line in _read(f"/proc/{pid}/status").split(b"\n"):
        if line.startswith((b"RssAnon:", b"RssShmem:")):
            kibibytes += int(line.split()[1])
    return kibibytes << 10


def _mapped_bytes(pid: int, apart: frozenset[tuple[int, int]]) -> int:
    """Its share of each mapping that is memory, from smaps; where that cannot be read, what is counted for it."""
    text = _read(f"/proc/{pid}/smaps")
    if not text:
        return _counted_bytes(pid)
    kibibytes = share = 0
    in_memory = False
    for line in text.split(b"\n"):
        name, _, rest = line.partition(b" ")
        if name == b"Pss:":
            share = int(rest.split()[0])
            kibibytes += share if in_memory else 0
        elif name == b"Anonymous:" and not in_memory:
            kibibytes += min(share, int(rest.split()[0]))
        elif name and not name.endswith(b":"):
            in_memory = _is_memory(rest.split(None, 4), apart)
    return kibibytes << 10


def _is_memory(fields: list[bytes], apart: frozenset[tuple[int, int]]) -> bool:
    """Whether all of a mapping counts: fields are its rights, offset, device, inode and perhaps the name of a file."""
    if fields[3] == b"0":
        return True
    major, _, minor = fields[2].partition(b":")
    return (int(major, 16), int(minor, 16)) not in apart and len(fields) > 4 and fields[4].startswith(_SHARED)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    except OSError:
        pass
    finally:
        os.close(fd)
    return b"".join(parts)
