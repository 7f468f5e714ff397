"""From limits to what is written into which file of a control group, for both versions; pure: it must not touch a file.

Source: cgroups(7), Linux Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may use; None is no limit.

    `memory_swap_bytes` is Docker's: memory and swap together, -1 for any; without it a group with a memory limit has no swap.
    `cpus` counts whole CPUs, `cpu_shares` is Docker's relative weight (1024 is one share), `cpuset_cpus` a list such as "0-2,4".
    """

    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One limit: its name for a warning, its controller, and (file, value) for version 1 and for version 2, in order.

    One that is not `required` is tried, and its failure is nobody's loss.
    """

    what: str
    controller: str
    v1: tuple[tuple[str, str], ...]
    v2: tuple[tuple[str, str], ...]
    required: bool = True


def settings(limits: Limits) -> Iterator[Setting]:
    """What to write for `limits`, in the order in which the kernel takes it."""
    if limits.memory_bytes is not None:
        yield from _memory(limits.memory_bytes, limits.memory_swap_bytes)
    if limits.cpus is not None:
        quota = max(int(limits.cpus * _PERIOD_US), _LEAST_QUOTA_US)
        v1 = (("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", str(quota)))
        yield Setting("the CPU limit", "cpu", v1, (("cpu.max", f"{quota} {_PERIOD_US}"),))
    if limits.cpu_shares is not None:
        shares = min(max(limits.cpu_shares, 2), 262144)
        yield Setting("the CPU weight", "cpu", (("cpu.shares", str(shares)),), (("cpu.weight", str(weight(shares))),))
    if limits.pids is not None:
        most = (("pids.max", str(limits.pids) if limits.pids > 0 else "max"),)
        yield Setting("the limit of processes", "pids", most, most)
    if limits.cpuset_cpus is not None:
        cpus = (("cpuset.cpus", limits.cpuset_cpus),)
        yield Setting("the set of CPUs", "cpuset", cpus, cpus)


def _memory(memory_bytes: int, memory_swap_bytes: int | None) -> Iterator[Setting]:
    text = str(memory_bytes)
    yield Setting("the memory limit", "memory", (("memory.limit_in_bytes", text),), (("memory.max", text),))
    both = memory_bytes if memory_swap_bytes is None else memory_swap_bytes
    v1 = (("memory.memsw.limit_in_bytes", str(both) if both >= 0 else "-1"),)
    v2 = (("memory.swap.max", str(max(both - memory_bytes, 0)) if both >= 0 else "max"),)
    yield Setting("the swap limit", "memory", v1, v2, required=memory_swap_bytes is not None)


def weight(shares: int) -> int:
    """Version 1's shares (2…262144) as version 2's weight (1…10000), by the formula that OCI runtimes and Kubernetes share."""
    return 1 + (shares - 2) * 9999 // 262142
