"""What a running container uses, as one value: from its control groups, and from /proc for what they do not tell.

It must not keep a thread or a history: who wants a rate gives the sample before (containers.usage.sampler keeps both).
"""

from __future__ import annotations

import contextlib
import html
import os
import time
from dataclasses import dataclass
from functools import cache

from labcontainers.containers.usage.proc_usage import Census, ProcessUsage, block_usage, network_bytes, process_usage, start_time_ns
from labcontainers.kernel.cgroups import Cgroup, CgroupUsage
from labcontainers.markup import TABLE
from labcontainers.units import format_bytes, format_memory

_CELL = "style='padding:1px 10px 1px 0;text-align:left'"


@dataclass(frozen=True, slots=True, repr=False)
class StatsSample:
    """What a container used at `time_ns` (nanoseconds since the epoch); None where this host does not tell.

    `cpu_percent` is since the sample before, and 100 is one whole CPU; `cpu_ns` and the byte counts are since the start.
    `memory_bytes` leaves out the cache that the kernel can drop, as `docker stats` does; `memory_limit_bytes` is the machine's memory
    where that is less than the container's own limit, or there is none.
    """

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
        limit, share = self.memory_limit_bytes, "--"
        if limit is not None:
            share = f"{self.memory_bytes / limit * 100 if limit else 0:.2f}%"
        return {
            "CPU %": f"{self.cpu_percent:.2f}%",
            "MEM USAGE / LIMIT": f"{format_memory(self.memory_bytes)} / {'--' if limit is None else format_memory(limit)}",
            "MEM %": share,
            "NET I/O": _pair(self.network_rx_bytes, self.network_tx_bytes),
            "BLOCK I/O": _pair(self.block_read_bytes, self.block_write_bytes),
            "PIDS": "--" if self.pids is None else str(self.pids),
        }

    def __repr__(self) -> str:
        columns = self.columns()
        widths = [max(len(head), len(text)) for head, text in columns.items()]
        rows = (columns.keys(), columns.values())
        return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        columns = self.columns()
        heads = "".join(f"<th {_CELL}>{html.escape(head)}</th>" for head in columns)
        cells = "".join(f"<td {_CELL}>{html.escape(text)}</td>" for text in columns.values())
        return f"{TABLE}<tr>{heads}</tr><tr>{cells}</tr></table>"


def _pair(first: int | None, second: int | None) -> str:
    return "--" if first is None or second is None else f"{format_bytes(first)} / {format_bytes(second)}"


def sample(
    cgroup: Cgroup,
    pid: int,
    previous: StatsSample | None = None,
    *,
    network: bool = True,
    proc: str = "/proc",
    census: Census | None = None,
) -> StatsSample:
    """Read what the container whose first process is `pid` uses now. Never raises: of one that has ended, the counts are 0 or None.

    The CPU rate is since `previous`; without it, the mean since the container's start. One without a `network` has sent and received
    nothing, and is not looked at for that. Takes about 0.1 ms with control groups, and
    some milliseconds without, when every process of the machine is looked at, unless there is a `census` of this moment.
    """
    now = time.time_ns()
    usage = cgroup.read()
    known = (usage.cpu_ns, usage.memory_bytes, usage.pids)
    other: ProcessUsage | CgroupUsage = process_usage(pid, proc, census) if None in known else usage
    block = other.block_read_bytes, other.block_write_bytes
    if other is usage and usage.block_read_bytes is None:
        block = block_usage(cgroup.processes(), proc)
    cpu_ns = _first(usage.cpu_ns, other.cpu_ns) or 0
    received, sent = network_bytes(pid, proc) if network else (0, 0)
    return StatsSample(
        time_ns=now,
        cpu_percent=_percent(cpu_ns, now, previous, pid, proc),
        cpu_ns=cpu_ns,
        memory_bytes=_first(usage.memory_bytes, other.memory_bytes) or 0,
        memory_limit_bytes=_least(usage.memory_limit_bytes, machine_memory_bytes(proc)),
        pids=_first(usage.pids, other.pids),
        block_read_bytes=_first(usage.block_read_bytes, block[0]),
        block_write_bytes=_first(usage.block_write_bytes, block[1]),
        network_rx_bytes=received,
        network_tx_bytes=sent,
    )


def _first(known: int | None, otherwise: int | None) -> int | None:
    return otherwise if known is None else known


def _least(*known: int | None) -> int | None:
    return min((number for number in known if number is not None), default=None)


@cache
def machine_memory_bytes(proc: str = "/proc") -> int | None:
    """How much memory the machine has (MemTotal of proc_meminfo(5)), read once; None where that is not told."""
    with contextlib.suppress(OSError), open(f"{proc}/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"MemTotal:"):
                return int(line.split()[1]) << 10
    return None


@cache
def _cpus() -> float:
    """How many CPUs there are; asking the system takes as long as a counter of a control group."""
    return float(os.cpu_count() or 1)


def _percent(cpu_ns: int, now: int, previous: StatsSample | None, pid: int, proc: str) -> float:
    since, before = (previous.time_ns, previous.cpu_ns) if previous is not None else (start_time_ns(pid, proc), 0)
    if since is None or now <= since:
        return 0.0
    # Counted by processes that have ended, the sum may fall; and it may run ahead of the clock by a tick.
    return min(max(cpu_ns - before, 0) / (now - since), _cpus()) * 100
