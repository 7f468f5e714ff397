"""The flags of `run`, `create` and `update` on what a container may use; it must not execute anything."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag

# Those that can change while it runs.
UPDATE_FLAGS = (
    Flag(("-m", "--memory"), "memory limit, such as 512m", metavar="SIZE"),
    Flag(("--memory-reservation",), "memory that it keeps when the machine runs short", metavar="SIZE"),
    Flag(("--memory-swap",), "memory and swap together, or -1 for any; twice the memory by default", metavar="SIZE"),
    Flag(("--cpus",), "number of CPUs, such as 0.5", metavar="NUMBER"),
    Flag(("--cpu-period",), "length of a CPU period in microseconds", metavar="NUMBER"),
    Flag(("--cpu-quota",), "CPU time in each period in microseconds", metavar="NUMBER"),
    Flag(("-c", "--cpu-shares"), "weight among others, of which 1024 is one share", metavar="NUMBER"),
    Flag(("--cpuset-cpus",), "CPUs that it may use, such as 0-2,4", metavar="LIST"),
    Flag(("--cpuset-mems",), "memory nodes that it may use, such as 0,1", metavar="LIST"),
    Flag(("--pids-limit",), "most processes and threads, -1 for any number", metavar="NUMBER"),
    Flag(("--blkio-weight",), "weight among others for block devices, 10 to 1000", metavar="NUMBER"),
)
RESOURCE_FLAGS = (
    *UPDATE_FLAGS,
    Flag(("--memory-swappiness",), "how readily it is swapped out, 0 to 100 (control groups of version 1)", metavar="NUMBER"),
    Flag(("--kernel-memory",), "taken and discarded: Linux has no such limit any more", metavar="SIZE"),
    Flag(("--oom-kill-disable",), "do not kill it for lack of memory (control groups of version 1)", "switch"),
    Flag(("--blkio-weight-device",), "weight for one block device PATH:WEIGHT; repeatable", "list", "PATH:WEIGHT"),
    Flag(("--device-read-bps",), "most bytes in a second read from a block device PATH:SIZE; repeatable", "list", "PATH:SIZE"),
    Flag(("--device-write-bps",), "most bytes in a second written to a block device PATH:SIZE; repeatable", "list", "PATH:SIZE"),
    Flag(("--device-read-iops",), "most reads in a second from a block device PATH:NUMBER; repeatable", "list", "PATH:NUMBER"),
    Flag(("--device-write-iops",), "most writes in a second to a block device PATH:NUMBER; repeatable", "list", "PATH:NUMBER"),
    Flag(("--ulimit",), "limit of its processes NAME=SOFT[:HARD], such as nofile=1024:2048; repeatable", "list", "NAME=SOFT[:HARD]"),
    Flag(("--oom-score-adj",), "how readily it is killed when the machine lacks memory, -1000 to 1000", metavar="NUMBER"),
    Flag(("--shm-size",), "size of /dev/shm, 64m by default", metavar="SIZE"),
    Flag(("--sysctl",), "kernel parameter of its own namespaces NAME=VALUE; repeatable", "list", "NAME=VALUE"),
)


def update_keywords(call: Invocation) -> dict[str, Any]:
    """UPDATE_FLAGS as keywords of the engine."""
    return {
        "mem_limit": call.memory,
        "mem_reservation": call.memory_reservation,
        "memswap_limit": call.memory_swap,
        "cpus": call.cpus,
        "cpu_period": call.cpu_period,
        "cpu_quota": call.cpu_quota,
        "cpu_shares": call.cpu_shares,
        "cpuset_cpus": call.cpuset_cpus,
        "cpuset_mems": call.cpuset_mems,
        "pids_limit": call.pids_limit,
        "blkio_weight": call.blkio_weight,
    }


def resource_keywords(call: Invocation) -> dict[str, Any]:
    """RESOURCE_FLAGS as keywords of the engine."""
    return {
        **update_keywords(call),
        "mem_swappiness": call.memory_swappiness,
        "kernel_memory": call.kernel_memory,
        "oom_kill_disable": call.oom_kill_disable or None,
        "blkio_weight_device": call.blkio_weight_device or None,
        "device_read_bps": call.device_read_bps or None,
        "device_write_bps": call.device_write_bps or None,
        "device_read_iops": call.device_read_iops or None,
        "device_write_iops": call.device_write_iops or None,
        "ulimits": call.ulimit or None,
        "oom_score_adj": call.oom_score_adj,
        "shm_size": call.shm_size,
        "sysctls": call.sysctl or None,
    }
