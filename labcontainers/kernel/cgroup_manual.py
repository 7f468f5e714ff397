"""What the files of a control group are for, in plain words, each with the page that tells all; pure.

Sources: cgroups(7), cpuset(7), Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, scheduler/sched-bwc.rst, accounting/psi.rst.
"""

from __future__ import annotations

from dataclasses import dataclass

LIMIT, USAGE, EVENTS, STATE = "limit", "usage", "events", "state"
V2 = "admin-guide/cgroup-v2.rst"
_V1 = "admin-guide/cgroup-v1"
_MEMORY, _BLKIO = f"{_V1}/memory.rst", f"{_V1}/blkio-controller.rst"
_CPU = "scheduler/sched-bwc.rst"
PSI = "accounting/psi.rst"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its controller, what kind of thing it tells, a note, and where more is to be read (a man page, or the kernel's own)."""

    name: str
    controller: str
    kind: str
    note: str
    source: str


_IN_V1 = (
    Entry("memory.limit_in_bytes", "memory", LIMIT, "The most memory that all its processes may have; then the OOM killer comes.", _MEMORY),
    Entry("memory.usage_in_bytes", "memory", USAGE, "Memory in use now, with the cache of files, which can be dropped.", _MEMORY),
    Entry("memory.max_usage_in_bytes", "memory", USAGE, "The most that it ever had.", _MEMORY),
    Entry("memory.failcnt", "memory", EVENTS, "How often it met its limit, and memory had to be reclaimed.", _MEMORY),
    Entry("memory.soft_limit_in_bytes", "memory", LIMIT, "What it is pushed back to when the machine runs short of memory.", _MEMORY),
    Entry("memory.memsw.limit_in_bytes", "memory", LIMIT, "The most memory and swap together.", _MEMORY),
    Entry("memory.memsw.usage_in_bytes", "memory", USAGE, "Memory and swap in use now.", _MEMORY),
    Entry("memory.swappiness", "memory", LIMIT, "How readily its memory goes to swap, from 0 to 100.", _MEMORY),
    Entry("memory.oom_control", "memory", STATE, "Whether the OOM killer is off, it is out of memory now, how many were killed.", _MEMORY),
    Entry("memory.stat", "memory", USAGE, "What the memory is used for.", _MEMORY),
    Entry("cpu.cfs_quota_us", "cpu", LIMIT, "Microseconds of CPU in each period, for all its processes together; -1 is no limit.", _CPU),
    Entry("cpu.cfs_period_us", "cpu", LIMIT, "The period that the quota is for, in microseconds.", _CPU),
    Entry("cpu.shares", "cpu", LIMIT, "Its weight where CPUs are scarce; 1024 is one share.", "cgroups(7)"),
    Entry("cpu.stat", "cpu", EVENTS, "In how many periods it had used up its quota, and how long it was held back, in nanoseconds.", _CPU),
    Entry("cpuacct.usage", "cpuacct", USAGE, "CPU time since its beginning, in nanoseconds.", f"{_V1}/cpuacct.rst"),
    Entry("cpuacct.stat", "cpuacct", USAGE, "The same, in programs and in the kernel, in hundredths of a second.", f"{_V1}/cpuacct.rst"),
    Entry("pids.max", "pids", LIMIT, "The most processes and threads; fork(2) fails beyond it.", "cgroups(7)"),
    Entry("pids.current", "pids", USAGE, "Processes and threads now.", "cgroups(7)"),
    Entry("pids.events", "pids", EVENTS, "How often a fork failed because of the limit.", "cgroups(7)"),
    Entry("cpuset.cpus", "cpuset", LIMIT, "The CPUs on which its processes may run.", "cpuset(7)"),
    Entry("cpuset.mems", "cpuset", LIMIT, "The memory nodes from which they get memory.", "cpuset(7)"),
    Entry("blkio.weight", "blkio", LIMIT, "Its weight where disks are scarce, from 10 to 1000.", _BLKIO),
    Entry("blkio.bfq.weight", "blkio", LIMIT, "Its weight where disks with the BFQ scheduler are scarce, from 1 to 1000.", _BLKIO),
    Entry("blkio.throttle.read_bps_device", "blkio", LIMIT, "The most bytes read in a second, for each device.", _BLKIO),
    Entry("blkio.throttle.write_bps_device", "blkio", LIMIT, "The most bytes written in a second, for each device.", _BLKIO),
    Entry("blkio.throttle.read_iops_device", "blkio", LIMIT, "The most reads in a second, for each device.", _BLKIO),
    Entry("blkio.throttle.write_iops_device", "blkio", LIMIT, "The most writes in a second, for each device.", _BLKIO),
    Entry("blkio.throttle.io_service_bytes", "blkio", USAGE, "Bytes read and written, for each device.", _BLKIO),
    Entry("freezer.state", "freezer", STATE, "FROZEN while it is paused: none of its processes runs.", f"{_V1}/freezer-subsystem.rst"),
    Entry("devices.list", "devices", LIMIT, "The devices that may be opened or made: type, numbers, and how.", f"{_V1}/devices.rst"),
)

_IN_V2 = (
    Entry("memory.max", "memory", LIMIT, "The most memory that all its processes may have; then the OOM killer comes.", V2),
    Entry("memory.high", "memory", LIMIT, "Beyond this it is slowed down and its memory reclaimed, but nothing is killed.", V2),
    Entry("memory.low", "memory", LIMIT, "So much is left to it when the machine runs short of memory.", V2),
    Entry("memory.current", "memory", USAGE, "Memory in use now, with the cache of files, which can be dropped.", V2),
    Entry("memory.peak", "memory", USAGE, "The most that it ever had.", V2),
    Entry("memory.swap.max", "memory", LIMIT, "The most swap, besides its memory.", V2),
    Entry("memory.swap.current", "memory", USAGE, "Swap in use now.", V2),
    Entry("memory.events", "memory", EVENTS, "How often it met its limits, and how many of its processes were killed for that.", V2),
    Entry("memory.stat", "memory", USAGE, "What the memory is used for.", V2),
    Entry("cpu.max", "cpu", LIMIT, "Microseconds of CPU in each period, for all its processes together, and the period.", V2),
    Entry("cpu.weight", "cpu", LIMIT, "Its weight where CPUs are scarce, from 1 to 10000; 100 is usual.", V2),
    Entry("cpu.stat", "cpu", USAGE, "CPU time since its beginning, and how long it was held back by its quota, in microseconds.", V2),
    Entry("pids.max", "pids", LIMIT, "The most processes and threads; fork(2) fails beyond it.", V2),
    Entry("pids.current", "pids", USAGE, "Processes and threads now.", V2),
    Entry("pids.events", "pids", EVENTS, "How often a fork failed because of the limit.", V2),
    Entry("cpuset.cpus", "cpuset", LIMIT, "The CPUs on which its processes shall run; empty for all.", V2),
    Entry("cpuset.cpus.effective", "cpuset", STATE, "The CPUs on which they may run.", V2),
    Entry("cpuset.mems", "cpuset", LIMIT, "The memory nodes from which they shall get memory; empty for all.", V2),
    Entry("io.max", "io", LIMIT, "The most bytes and operations in a second, for each device.", V2),
    Entry("io.weight", "io", LIMIT, "Its weight where disks are scarce, from 1 to 10000; 100 is usual.", V2),
    Entry("io.bfq.weight", "io", LIMIT, "Its weight where disks with the BFQ scheduler are scarce, from 1 to 1000.", V2),
    Entry("io.stat", "io", USAGE, "Bytes and operations, read and written, for each device.", V2),
    Entry("cgroup.freeze", "cgroup", STATE, "1 while it is paused: none of its processes runs.", V2),
    Entry("cgroup.events", "cgroup", STATE, "Whether there are processes in it, and whether all are frozen.", V2),
    Entry("cgroup.controllers", "cgroup", STATE, "The controllers that work in this group.", V2),
    Entry("cgroup.procs", "cgroup", STATE, "The processes in it, by this machine's pids.", V2),
)

PRESSURES = {
    "cpu": "Time in which processes waited for a CPU.",
    "memory": "Time in which they waited for memory to be reclaimed or read back.",
    "io": "Time in which they waited for disks.",
    "irq": "Time that interrupts took from them.",
}


def entries(version: int) -> tuple[Entry, ...]:
    """The files of version 1 or 2, in the order in which they are told."""
    return _IN_V1 if version == 1 else _IN_V2
