"""The fields of `docker inspect` on what a container may use, and on its process and log.

It must not read anything: all it needs is given. Source: the Docker Engine API's HostConfig (version 1.51).
"""

from __future__ import annotations

from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.logs import inspect_config
from labcontainers.containers.options.process import RUNTIME
from labcontainers.containers.options.resources import DeviceValues
from labcontainers.runtime.spec import DEFAULT_SHM_BYTES


def resources(options: ContainerOptions) -> dict[str, Any]:
    """Fields of HostConfig; 0 is no limit, as in Docker."""
    memory = options.memory_bytes or 0
    return {
        "Memory": memory,
        "MemoryReservation": options.memory_reservation_bytes or 0,
        "MemorySwap": options.memory_swap_bytes or 2 * memory,
        "MemorySwappiness": options.memory_swappiness,
        "OomKillDisable": options.oom_kill_disable,
        "OomScoreAdj": options.oom_score_adj or 0,
        "NanoCpus": round((options.cpus or 0) * 1e9),
        "CpuPeriod": options.cpu_period_us or 0,
        "CpuQuota": options.cpu_quota_us or 0,
        "CpuShares": options.cpu_shares or 0,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": options.cpuset_cpus or "",
        "CpusetMems": options.cpuset_mems or "",
        "PidsLimit": options.pids_limit,
        "BlkioWeight": options.blkio_weight or 0,
        "BlkioWeightDevice": _devices(options.blkio_weight_devices, "Weight"),
        "BlkioDeviceReadBps": _devices(options.device_read_bps, "Rate"),
        "BlkioDeviceWriteBps": _devices(options.device_write_bps, "Rate"),
        "BlkioDeviceReadIOps": _devices(options.device_read_iops, "Rate"),
        "BlkioDeviceWriteIOps": _devices(options.device_write_iops, "Rate"),
        "CgroupParent": "",
        "Ulimits": [{"Name": name, "Hard": hard, "Soft": soft} for name, soft, hard in options.ulimits],
        "ShmSize": options.shm_bytes or DEFAULT_SHM_BYTES,
        **({"Sysctls": dict(options.sysctls)} if options.sysctls else {}),
        # of Windows
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def process(options: ContainerOptions) -> dict[str, Any]:
    """Fields of HostConfig on how the process is run."""
    return {
        "GroupAdd": list(options.groups) or None,
        **({"Init": True} if options.init else {}),
        **({"Annotations": dict(options.annotations)} if options.annotations else {}),
        # a terminal's first size is told to it by whoever attaches
        "ConsoleSize": [0, 0],
        "Cgroup": "",
        "ContainerIDFile": options.cidfile or "",
        "Isolation": options.isolation,
        "Runtime": RUNTIME,
        "LogConfig": inspect_config(options.log_driver, options.log_max_bytes, options.log_max_files),
    }


def _devices(values: DeviceValues, key: str) -> list[dict[str, Any]]:
    return [{"Path": path, key: value} for path, value in values]
