"""From a container's options to what the kernel is given: the limits of its control group and of its processes, with warnings.

It must not write anything. What the host forbids is known before the start: the launcher's own limits are this process'.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labcontainers.containers.options import kernel as kernel_options
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.resources import DeviceValues, block_device
from labcontainers.kernel import capabilities, syscalls
from labcontainers.kernel.cgroup_limits import MEMORY_LIMIT
from labcontainers.kernel.cgroups import Limits

_SYS_RESOURCE = capabilities.mask(["SYS_RESOURCE"])


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What init sets for itself: (kind, soft, hard) of setrlimit(2), and its oom_score_adj; `warnings` say what is less than asked."""

    rlimits: tuple[kernel_options.Rlimit, ...] = ()
    oom_score_adj: int | None = None
    warnings: tuple[str, ...] = ()


def limits_of(options: ContainerOptions) -> Limits:
    """What its control group may use. A memory limit without --memory-swap allows as much swap again, as in Docker.

    Raises InvalidArgument for a block device that is no more.
    """
    memory, swap = options.memory_bytes, options.memory_swap_bytes
    return Limits(
        memory_bytes=memory,
        memory_swap_bytes=swap,
        memory_reservation_bytes=options.memory_reservation_bytes,
        memory_swappiness=options.memory_swappiness,
        oom_kill_disable=options.oom_kill_disable,
        cpus=options.cpus,
        cpu_period_us=options.cpu_period_us,
        cpu_quota_us=options.cpu_quota_us,
        cpu_shares=options.cpu_shares,
        cpuset_cpus=options.cpuset_cpus,
        cpuset_mems=options.cpuset_mems,
        pids=options.pids_limit,
        blkio_weight=options.blkio_weight,
        blkio_weight_devices=_devices("--blkio-weight-device", options.blkio_weight_devices),
        device_read_bps=_devices("--device-read-bps", options.device_read_bps),
        device_write_bps=_devices("--device-write-bps", options.device_write_bps),
        device_read_iops=_devices("--device-read-iops", options.device_read_iops),
        device_write_iops=_devices("--device-write-iops", options.device_write_iops),
    )


def told_of_watchdog(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """What a control group cannot enforce, with what stands in for it: of all limits, that of memory is watched by the shim."""
    return tuple(f"{warning}; a watchdog looks ten times a second instead" if watched((warning,)) else warning for warning in warnings)


def watched(warnings: tuple[str, ...]) -> bool:
    """Whether a watchdog is to hold the memory limit, since by these warnings no control group does (runtime.watchdog)."""
    return any(warning.startswith(f"{MEMORY_LIMIT} is not enforced") for warning in warnings)


def _devices(flag: str, values: DeviceValues) -> DeviceValues:
    with about(flag):
        return tuple((block_device(path), value) for path, value in values)


def changed_limits(options: ContainerOptions, fields: Iterable[str]) -> Limits:
    """Of the limits, those that follow from `fields` of the options: what an update writes. One that is taken away is written as none."""
    names, whole = set(fields), limits_of(options)
    chosen: dict[str, Any] = {}
    if names & {"memory_bytes", "memory_swap_bytes"}:
        chosen.update(memory_bytes=whole.memory_bytes, memory_swap_bytes=whole.memory_swap_bytes)
    if names & {"cpus", "cpu_period_us", "cpu_quota_us"}:
        quota = whole.cpu_quota_us if whole.cpu_quota_us is not None else -1
        chosen.update(cpus=whole.cpus, cpu_period_us=whole.cpu_period_us, cpu_quota_us=None if whole.cpus is not None else quota)
    if "pids_limit" in names:
        chosen["pids"] = -1 if whole.pids is None else whole.pids
    plain = {"memory_reservation_bytes", "cpu_shares", "cpuset_cpus", "cpuset_mems", "blkio_weight"}
    chosen.update({name: getattr(whole, name) for name in names & plain})
    return replace(Limits(), **chosen)


def process_limits(options: ContainerOptions, ids: str) -> ProcessLimits:
    """What its processes get from the launcher whose id mapping is `ids`; nothing is read where nothing is asked for."""
    unbounded = options.oom_kill_disable and options.memory_bytes is None
    told = ("it is not killed for lack of memory and has no memory limit: the whole machine may run out of memory",) if unbounded else ()
    if not options.ulimits and options.oom_score_adj is None:
        return ProcessLimits(warnings=told)
    privileged = ids == "host" and bool(syscalls.capget()[1] & _SYS_RESOURCE)
    most_files = int(Path("/proc/sys/fs/nr_open").read_text(encoding="ascii"))
    own_score = int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))
    rlimits, lowered = kernel_options.rlimits(options.ulimits, lambda kind: resource.getrlimit(kind)[1], privileged, most_files)
    score, raised = kernel_options.oom_score(options.oom_score_adj, own_score, privileged)
    return ProcessLimits(rlimits, score, (*told, *lowered, *raised))
