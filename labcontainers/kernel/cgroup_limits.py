"""From limits to what is written into which file of a control group, for both versions; pure: it must not touch a file.

Source: cgroups(7), Linux Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PERIOD_US = 100_000
MEMORY_LIMIT = "the memory limit"
_LEAST_QUOTA_US = 1_000
_NOT_IN_V2 = "version 2 of control groups has no such setting"

Writes = tuple[tuple[str, str], ...]
# A block device as "MAJOR:MINOR", and its weight, or its bytes or operations in a second.
DeviceLimits = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may use; None is no limit.

    `memory_swap_bytes` is Docker's: memory and swap together, -1 for any; without it, twice the memory.
    `cpus` counts whole CPUs, and stands for a quota of a period of 100 ms; a quota of -1 is none. `cpu_shares` is Docker's relative
    weight (1024 is one share), `cpuset_cpus` and `cpuset_mems` are lists such as "0-2,4". Weights of block devices are 10 to 1000.
    """

    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpus: float | None = None
    cpu_period_us: int | None = None
    cpu_quota_us: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids: int | None = None
    blkio_weight: int | None = None
    blkio_weight_devices: DeviceLimits = ()
    device_read_bps: DeviceLimits = ()
    device_write_bps: DeviceLimits = ()
    device_read_iops: DeviceLimits = ()
    device_write_iops: DeviceLimits = ()

    @property
    def cpuset(self) -> bool:
        """Whether CPUs or memory nodes are chosen, which needs a group where most do without."""
        return self.cpuset_cpus is not None or self.cpuset_mems is not None


@dataclass(frozen=True, slots=True)
class Setting:
    """One limit: its name for a warning, its controller, and (file, value) for version 1 and for version 2, in order.

    Where the first of these files is missing, those of `else_v1` or `else_v2` are written. A version without any cannot do it, and `why`
    says so. One that is not `required` is tried, and its failure is nobody's loss.
    """

    what: str
    controller: str
    v1: Writes
    v2: Writes
    required: bool = True
    else_v1: Writes = ()
    else_v2: Writes = ()
    why: str = _NOT_IN_V2


def settings(limits: Limits) -> Iterator[Setting]:
    """What to write for `limits`, in the order in which the kernel takes it."""
    yield from _memory(limits)
    yield from _cpu(limits)
    if limits.pids is not None:
        most = (("pids.max", str(limits.pids) if limits.pids > 0 else "max"),)
        yield Setting("the limit of processes", "pids", most, most)
    for what, name, value in (
        ("the set of CPUs", "cpuset.cpus", limits.cpuset_cpus),
        ("the set of memory nodes", "cpuset.mems", limits.cpuset_mems),
    ):
        if value is not None:
            yield Setting(what, "cpuset", ((name, value),), ((name, value),))
    yield from _block(limits)


def _memory(limits: Limits) -> Iterator[Setting]:
    if limits.memory_bytes is not None:
        text = str(limits.memory_bytes)
        yield Setting(MEMORY_LIMIT, "memory", (("memory.limit_in_bytes", text),), (("memory.max", text),))
        both = 2 * limits.memory_bytes if limits.memory_swap_bytes is None else limits.memory_swap_bytes
        v1 = (("memory.memsw.limit_in_bytes", str(both) if both >= 0 else "-1"),)
        v2 = (("memory.swap.max", str(max(both - limits.memory_bytes, 0)) if both >= 0 else "max"),)
        yield Setting("the swap limit", "memory", v1, v2, required=limits.memory_swap_bytes is not None)
    if limits.memory_reservation_bytes is not None:
        text = str(limits.memory_reservation_bytes)
        yield Setting("the memory reservation", "memory", (("memory.soft_limit_in_bytes", text),), (("memory.low", text),))
    if limits.memory_swappiness is not None:
        yield Setting("the swappiness", "memory", (("memory.swappiness", str(limits.memory_swappiness)),), ())
    if limits.oom_kill_disable:
        yield Setting("sparing it from the OOM killer", "memory", (("memory.oom_control", "1"),), ())


def _cpu(limits: Limits) -> Iterator[Setting]:
    period, quota = limits.cpu_period_us, limits.cpu_quota_us
    if limits.cpus is not None:
        period, quota = PERIOD_US, max(int(limits.cpus * PERIOD_US), _LEAST_QUOTA_US)
    if period is not None or quota is not None:
        v1 = (
            *((("cpu.cfs_period_us", str(period)),) if period is not None else ()),
            *((("cpu.cfs_quota_us", str(quota)),) if quota is not None else ()),
        )
        most = "max" if quota is None or quota < 0 else str(quota)
        v2 = (("cpu.max", f"{most} {period or PERIOD_US}"),)
        yield Setting("the CPU limit", "cpu", v1, v2)
    if limits.cpu_shares is not None:
        shares = min(max(limits.cpu_shares, 2), 262144)
        yield Setting("the CPU weight", "cpu", (("cpu.shares", str(shares)),), (("cpu.weight", str(weight(shares))),))


def _block(limits: Limits) -> Iterator[Setting]:
    """Weights need the BFQ scheduler, or in version 2 a cost model; each kernel has one of two names for them."""
    if limits.blkio_weight is not None:
        text = str(limits.blkio_weight)
        yield Setting(
            "the weight of block devices",
            "blkio",
            (("blkio.weight", text),),
            (("io.bfq.weight", text),),
            else_v1=(("blkio.bfq.weight", text),),
            else_v2=(("io.weight", f"default {block_weight(limits.blkio_weight)}"),),
        )
    for device, value in limits.blkio_weight_devices:
        text = f"{device} {value}"
        yield Setting(
            f"the weight of block device {device}",
            "blkio",
            (("blkio.weight_device", text),),
            (("io.bfq.weight", text),),
            else_v1=(("blkio.bfq.weight_device", text),),
            else_v2=(("io.weight", f"{device} {block_weight(value)}"),),
        )
    for what, devices, v1_name, v2_name in (
        ("bytes read", limits.device_read_bps, "read_bps", "rbps"),
        ("bytes written", limits.device_write_bps, "write_bps", "wbps"),
        ("reads", limits.device_read_iops, "read_iops", "riops"),
        ("writes", limits.device_write_iops, "write_iops", "wiops"),
    ):
        for device, rate in devices:
            v1 = ((f"blkio.throttle.{v1_name}_device", f"{device} {rate}"),)
            yield Setting(f"the limit of {what} of {device}", "blkio", v1, (("io.max", f"{device} {v2_name}={rate or 'max'}"),))


def weight(shares: int) -> int:
    """Version 1's shares (2…262144) as version 2's weight (1…10000), by the formula that OCI runtimes and Kubernetes share."""
    return 1 + (shares - 2) * 9999 // 262142


def block_weight(value: int) -> int:
    """Version 1's weight of block devices (10…1000) as version 2's io.weight (1…10000), by the OCI runtimes' formula."""
    return 1 + (value - 10) * 9999 // 990
