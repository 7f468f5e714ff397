"""What the processes of one pid namespace use, summed up from /proc (proc(5)), for hosts without control groups.

It must not know containers; it needs no privilege but to see the processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat, counted from the one after the command's name (proc_pid_stat(5) counts them from 3).
_STATE, _PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM, _THREADS, _START = 0, 1, 11, 12, 13, 14, 17, 19


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Sums over processes; the block counts are None where /proc/PID/io may not be read. `pids` counts threads, as control groups do."""

    cpu_ns: int
    memory_bytes: int
    pids: int
    block_read_bytes: int | None
    block_write_bytes: int | None


class Census:
    """Every process of the machine as it was when this was first asked, for who looks at many containers at once.

    One such look takes some milliseconds; it is of no use for longer than a moment.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc

    @cached_property
    def stats(self) -> dict[int, list[bytes]]:
        """The fields of each process' stat file after the command's name."""
        return _stats(self.proc)

    @cached_property
    def _children(self) -> dict[int, list[int]]:
        children: dict[int, list[int]] = {}
        for pid, fields in self.stats.items():
            children.setdefault(int(fields[_PARENT]), []).append(pid)
        return children

    @cached_property
    def _namespaces(self) -> dict[str, list[int]]:
        """The processes of each pid namespace but this process' own."""
        found: dict[str, list[int]] = {}
        own = _namespace(os.getpid(), self.proc)
        for pid in self.stats:
            namespace = _namespace(pid, self.proc)
            if namespace is not None and namespace != own:
                found.setdefault(namespace, []).append(pid)
        return found

    def members(self, init: int) -> list[int]:
        """Those in the pid namespace of `init` (also ones that joined it from outside), and all their descendants."""
        if init not in self.stats:
            return []
        waiting = [init, *self._namespaces.get(_namespace(init, self.proc) or "", ())]
        found: dict[int, None] = {}
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found[pid] = None
                waiting += self._children.get(pid, [])
        return list(found)


def process_usage(init: int, proc: str = "/proc", census: Census | None = None) -> ProcessUsage:
    """The sums over `init` and all that is in its pid namespace or descends from that. Of a process that is gone, zeros.

    CPU includes children that were waited for. Memory is what is private to each process, and the largest shared part once: pages
    shared with others (libraries) would else count many times. With a `census` of this moment nothing is looked through again.
    """
    census = census or Census(proc)
    stats = census.stats
    ticks = private = shared = threads = 0
    pids = census.members(init)
    for pid in pids:
        fields = stats[pid]
        ticks += sum(int(fields[index]) for index in (_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM))
        threads += int(fields[_THREADS]) if fields[_STATE] != b"Z" else 0
        own, common = _memory(pid, proc)
        private, shared = private + own, max(shared, common)
    return ProcessUsage(ticks * 10**9 // _TICKS, private + shared, threads, *block_usage(pids, proc))


def block_usage(pids: Iterable[int], proc: str = "/proc") -> tuple[int | None, int | None]:
    """(read, written) bytes of storage, summed over processes; both None where /proc/PID/io may be read of none of them."""
    read: int | None = None
    written: int | None = None
    for pid in pids:
        block = _block(pid, proc)
        if block is not None:
            read, written = (read or 0) + block[0], (written or 0) + block[1]
    return read, written


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


def members(init: int, proc: str = "/proc") -> list[int]:
    """The pids of `init` and all that is in its pid namespace or descends from that."""
    return Census(proc).members(init)


def _stats(proc: str) -> dict[int, list[bytes]]:
    """Every process, with the fields of its stat file after the command's name, which may hold anything but is followed by `)`."""
    found: dict[int, list[bytes]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            fields = _fields(int(name), proc)
            if fields:
                found[int(name)] = fields
    return found


def _fields(pid: int, proc: str) -> list[bytes]:
    fields = _read(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
    return fields if len(fields) > _START else []


def _namespace(pid: int, proc: str) -> str | None:
    try:
        return os.readlink(f"{proc}/{pid}/ns/pid")
    except OSError:
        return None


def _memory(pid: int, proc: str) -> tuple[int, int]:
    """(private, shared) bytes in memory: fields 2 and 3 of statm."""
    fields = _read(f"{proc}/{pid}/statm").split()
    if len(fields) < 3:
        return 0, 0
    resident, shared = int(fields[1]) * _PAGE_BYTES, int(fields[2]) * _PAGE_BYTES
    return max(resident - shared, 0), shared


def _block(pid: int, proc: str) -> tuple[int, int] | None:
    """(read, written) bytes of storage; None where that is another user's secret."""
    rows = dict(line.partition(b": ")[::2] for line in _read(f"{proc}/{pid}/io").splitlines())
    try:
        return int(rows[b"read_bytes"]), int(rows[b"write_bytes"])
    except (KeyError, ValueError):
        return None


def network_bytes(pid: int, proc: str = "/proc") -> tuple[int | None, int | None]:
    """(received, sent) bytes of the interfaces of the process' network namespace but `lo`.

    Both are None when it is gone, or shares this process' namespace: then they would be the machine's.
    """
    try:
        if os.readlink(f"{proc}/{pid}/ns/net") == _own_network(proc):
            return None, None
    except OSError:
        pass
    rows = [line.replace(b":", b" ").split() for line in _read(f"{proc}/{pid}/net/dev").splitlines()[2:]]
    if not rows:
        return None, None
    outside = [row for row in rows if row[0] != b"lo" and len(row) > 9]
    return sum(int(row[1]) for row in outside), sum(int(row[9]) for row in outside)


@cache
def _own_network(proc: str) -> str:
    """This process' network namespace, which it never leaves."""
    return os.readlink(f"{proc}/self/ns/net")


def start_time_ns(pid: int, proc: str = "/proc") -> int | None:
    """When the process started, in nanoseconds since the epoch; None when it is gone."""
    fields = _fields(pid, proc)
    boot = next((line.split()[1] for line in _read(f"{proc}/stat").splitlines() if line.startswith(b"btime ")), None)
    if not fields or boot is None:
        return None
    return int(boot) * 10**9 + int(fields[_START]) * 10**9 // _TICKS
