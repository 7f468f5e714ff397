"""What a running container uses: one sample, from its control groups, or from /proc where there are none.

It must not keep a thread or a history: who wants a rate gives the sample before.
"""

from __future__ import annotations

import html
import os
import time
from dataclasses import dataclass

from labcontainers.kernel.cgroups import Cgroup, CgroupUsage
from labcontainers.units import format_bytes, format_memory

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class StatsSample:
    """`cpu_percent` is since the sample before (100 is one whole CPU); None where this host does not tell."""

    time_ns: int
    cpu_percent: float
    cpu_ns: int
    memory_bytes: int
    memory_limit_bytes: int | None = None
    pids: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None

    def columns(self) -> dict[str, str]:
        """The columns of `docker stats`, as texts."""
        limit = f" / {format_memory(self.memory_limit_bytes)}" if self.memory_limit_bytes else ""
        return {
            "CPU %": f"{self.cpu_percent:.2f}%",
            "MEM USAGE / LIMIT": format_memory(self.memory_bytes) + limit,
            "NET I/O": _pair(self.network_rx_bytes, self.network_tx_bytes),
            "BLOCK I/O": _pair(self.block_read_bytes, self.block_write_bytes),
            "PIDS": "--" if self.pids is None else str(self.pids),
        }

    def __repr__(self) -> str:
        return " · ".join(f"{key} {value}" for key, value in self.columns().items())

    def _repr_html_(self) -> str:
        cells = "".join(f"<td style='padding:1px 10px 1px 0'>{html.escape(value)}</td>" for value in self.columns().values())
        heads = "".join(f"<th style='padding:1px 10px 1px 0;text-align:left'>{html.escape(key)}</th>" for key in self.columns())
        return f'<table style="font-family:monospace;font-size:90%;margin:0"><tr>{heads}</tr><tr>{cells}</tr></table>'


def _pair(first: int | None, second: int | None) -> str:
    return "--" if first is None or second is None else f"{format_bytes(first)} / {format_bytes(second)}"


def sample(cgroup: Cgroup, pid: int, previous: StatsSample | None = None) -> StatsSample:
    """Read what the container with this init process uses now; the CPU rate is since `previous`, or 0 without it."""
    now = time.time_ns()
    usage = cgroup.read()
    if usage.cpu_ns is None or usage.memory_bytes is None:
        usage = _from_proc(pid)
    cpu_ns = usage.cpu_ns or 0
    percent = 0.0
    if previous is not None and now > previous.time_ns:
        percent = max(cpu_ns - previous.cpu_ns, 0) / (now - previous.time_ns) * 100
    received, sent = _network(pid)
    return StatsSample(
        time_ns=now,
        cpu_percent=percent,
        cpu_ns=cpu_ns,
        memory_bytes=usage.memory_bytes or 0,
        memory_limit_bytes=usage.memory_limit_bytes,
        pids=usage.pids,
        block_read_bytes=usage.block_read_bytes,
        block_write_bytes=usage.block_write_bytes,
        network_rx_bytes=received,
        network_tx_bytes=sent,
    )


def _from_proc(init: int) -> CgroupUsage:
    """The same sums over all processes of init's pid namespace (proc_pid_stat(5), proc_pid_io(5))."""
    pids = _namespace_pids(init)
    cpu = memory = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            cpu += (int(fields[11]) + int(fields[12])) * 10**9 // _TICKS
            memory += int(fields[21]) * _PAGE_BYTES
    return CgroupUsage(cpu_ns=cpu, memory_bytes=memory, pids=len(pids))


def _namespace_pids(init: int) -> list[int]:
    """The pids (as seen here) of the processes in the same pid namespace as `init`, by its link in /proc."""
    try:
        wanted = os.readlink(f"/proc/{init}/ns/pid")
    except OSError:
        return _descendants(init)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == wanted:
                    found.append(int(name))
            except OSError:
                continue
    return found


def _descendants(init: int) -> list[int]:
    """Where the link may not be read: init and its children's children, by their parents."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [init]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the command's name; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return []


def _network(pid: int) -> tuple[int | None, int | None]:
    """(received, sent) bytes of all interfaces of the process' network namespace but `lo`."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            rows = [line.replace(":", " ").split() for line in file.readlines()[2:]]
    except OSError:
        return None, None
    outside = [row for row in rows if row[0] != "lo"]
    return sum(int(row[1]) for row in outside), sum(int(row[9]) for row in outside)
