"""What holds one process back, read from the kernel: capability sets, hidden paths, devices, limits of its control groups.

It must not look at records: what was asked for may not be what is. What this user may not look at is None. Sources: proc_pid_status(5),
proc_pid_mountinfo(5), cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labcontainers.containers.isolation.process_facts import MountFacts, ProcessFacts, read_process
from labcontainers.kernel import capabilities, cgroup_files
from labcontainers.kernel.defaults import MASKED, READ_ONLY
from labcontainers.units import format_memory

# The sets of capabilities(7), by the keys of /proc/PID/status.
SETS = {"effective": "CapEff", "permitted": "CapPrm", "bounding": "CapBnd", "inheritable": "CapInh", "ambient": "CapAmb"}
# States of a path that is to be hidden or kept from being written.
ABSENT, MASKED_STATE, READ_ONLY_STATE, OPEN = "not on this machine", "masked", "read-only", "open"
NO_LIMIT = "no limit"
# Where version 1 of control groups has no limit, it writes the largest multiple of a page below 2^63.
_NO_LIMIT_V1 = 1 << 62
_CGROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Confinement:
    """The process `facts.pid`, and what is around it. `sets` are capabilities by the names of SETS; `paths` are states by path.

    `devices` are the nodes in its /dev, as (name, "c 1:3"); `limits` are texts by name, None where it has no control group that is not also
    that of who asks.
    """

    facts: ProcessFacts
    sets: Mapping[str, frozenset[str]]
    paths: Mapping[str, str]
    devices: tuple[tuple[str, str], ...] | None
    limits: Mapping[str, str] | None


def read_confinement(pid: int, proc: str = "/proc", cgroups: str = _CGROUPS) -> Confinement:
    """What holds the process `pid` back now; raises ProcessLookupError when there is none."""
    facts = read_process(pid, proc)
    status = cgroup_files.read(f"{proc}/{pid}/status") or ""
    rows = {key: value.strip() for key, _, value in (line.partition(":") for line in status.split("\n"))}
    return Confinement(
        facts,
        {name: capabilities.names_of(int(rows.get(key, "0"), 16)) for name, key in SETS.items()},
        _paths(facts.mounts or (), f"{proc}/{pid}/root"),
        _devices(f"{proc}/{pid}/root/dev"),
        _limits(_memberships(f"{proc}/{pid}") - _memberships(f"{proc}/self"), cgroups),
    )


def _paths(mounts: Sequence[MountFacts], root: str) -> dict[str, str]:
    at = {mount.target: mount for mount in mounts}
    return {path: _state(path, at, root) for path in (*MASKED, *READ_ONLY)}


def _state(path: str, at: Mapping[str, MountFacts], root: str) -> str:
    """A path is masked by an empty file system or by /dev/null; what is above it may be read-only already."""
    mount = at.get(path)
    if mount is not None and (mount.fstype == "tmpfs" or mount.root.endswith("/null")):
        return MASKED_STATE
    if not os.path.lexists(root + path):
        return ABSENT
    above = next((at[place] for place in _upwards(path) if place in at), None)
    return READ_ONLY_STATE if above is not None and above.read_only else OPEN


def _upwards(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) or "/" for count in range(len(parts), 0, -1)]


def _devices(folder: str) -> tuple[tuple[str, str], ...] | None:
    """The nodes right in the folder. Its links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return None
    found = []
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
            if kind:
                found.append((entry.name, f"{kind} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"))
    return tuple(found)


# --- limits


def _memberships(process: str) -> frozenset[tuple[str, str, str]]:
    """(number, controllers, path) of each hierarchy."""
    rows = [line.split(":", 2) for line in (cgroup_files.read(f"{process}/cgroup") or "").split("\n")]
    return frozenset((row[0], row[1], row[2]) for row in rows if len(row) == 3)


def _limits(memberships: Iterable[tuple[str, str, str]], cgroups: str) -> dict[str, str] | None:
    """By the files of these groups, of either version; None without any."""
    v1: dict[str, str] = {}
    unified = ""
    for number, controllers, path in memberships:
        if number == "0":
            unified = next((place + path for place in (cgroups, f"{cgroups}/unified") if os.path.exists(f"{place}/cgroup.procs")), "")
        for controller in filter(None, controllers.split(",")):
            v1[controller] = f"{cgroups}/{controllers}{path}"
    if not (v1 or unified):
        return None
    return {name: read(v1.get(controller, ""), unified) for name, (controller, read) in _READERS.items()}


def _memory(v1: str, v2: str) -> str:
    return _size(cgroup_files.number(f"{v1}/memory.limit_in_bytes" if v1 else f"{v2}/memory.max"))


def _swap(v1: str, v2: str) -> str:
    """Version 2 limits swap by itself."""
    if v1:
        return _size(cgroup_files.number(f"{v1}/memory.memsw.limit_in_bytes"))
    memory, swap = (cgroup_files.number(f"{v2}/memory.{name}") for name in ("max", "swap.max"))
    return NO_LIMIT if memory is None or swap is None else _size(memory + swap)


def _processes(v1: str, v2: str) -> str:
    most = cgroup_files.number(f"{v1 or v2}/pids.max")
    return NO_LIMIT if most is None else str(most)


def _cpus(v1: str, v2: str) -> str:
    if v1:
        words = [(cgroup_files.read(f"{v1}/cpu.cfs_{name}_us") or "").strip() for name in ("quota", "period")]
    else:
        words = (cgroup_files.read(f"{v2}/cpu.max") or "").split()
    numbers = [int(word) for word in words if word.isdigit()]
    return f"{numbers[0] / numbers[1]:g}" if len(numbers) == 2 and numbers[1] else NO_LIMIT


def _size(size_bytes: int | None) -> str:
    return NO_LIMIT if size_bytes is None or size_bytes >= _NO_LIMIT_V1 else format_memory(size_bytes)


_READERS = {
    "memory": ("memory", _memory),
    "memory and swap": ("memory", _swap),
    "CPUs": ("cpu", _cpus),
    "processes": ("pids", _processes),
}
