"""Options on what a container may use: memory, CPU, processes, block devices; it must not know control groups.

Source: docs.docker.com "docker run", runtime constraints on resources; the daemon's own checks of the same options.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.containers.options.forms import Converters, flag, refused, shown, whole_number
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel.cpu_lists import online_cpus, online_memory_nodes, parse_list
from labcontainers.units import parse_cpus, parse_memory_bytes

if TYPE_CHECKING:
    from labcontainers.containers.options.container import ContainerOptions

_LEAST_MEMORY_BYTES = 6 << 20
_LARGEST = 2**63 - 1
_DEVICE_RATE = re.compile(r"(/[^:]*):([^:]+)")

# A device's path, and its weight, or bytes or operations in a second.
DeviceValues = tuple[tuple[str, int], ...]


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidArgument(f"not a size: {shown(value)}", "write a number with b, k, m or g, such as 512m")
    size = parse_memory_bytes(value)
    if size > _LARGEST:
        raise InvalidArgument(f"{shown(value)} is out of range", "write a number with b, k, m or g, such as 512m")
    return size


def _memory(value: object) -> int | None:
    size = _size(value)
    if size != 0 and size < _LEAST_MEMORY_BYTES:
        raise InvalidArgument(f"{shown(value)} is too small", "the least is 6m")
    return size or None


def _memory_swap(value: object) -> int | None:
    """Memory and swap together; -1 is as much swap as there is, 0 the default: twice the memory."""
    if value in (-1, "-1"):
        return -1
    size = _size(value)
    if size < 0:
        raise InvalidArgument(f"invalid value {shown(value)}", "write a size above that of --memory, or -1 for any amount")
    return size or None


def _kernel_memory(value: object) -> int | None:
    """Any size: Docker takes it for the sake of older callers, and does nothing with it."""
    size = _size(value)
    if size < 0:
        raise InvalidArgument(f"invalid value {shown(value)}", "leave it out: it is discarded anyway")
    return size or None


def _swappiness(value: object) -> int | None:
    number = whole_number(0, 100, also=(-1,))(value)
    return None if number == -1 else number


def _cpus(value: object) -> float | None:
    if value in (0, "0") and not isinstance(value, bool):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidArgument(f"not a number of CPUs: {shown(value)}", "write a number above 0, such as 0.5 or 2")
    cpus = parse_cpus(value)
    count = os.cpu_count() or 1
    if not 0.01 <= cpus <= count:
        raise InvalidArgument(f"{shown(value)} is out of range", f"this machine has {count}: use 0.01 to {count}")
    return cpus


def _nano_cpus(value: object) -> float | None:
    try:
        return _cpus(int(str(value)) / 1e9)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"not a whole number of billionths: {shown(value)}", "use cpus, such as 0.5") from None


def _quota(value: object) -> int | None:
    number = whole_number(1_000, _LARGEST, also=(-1,), zero=True)(value)
    return None if number == -1 else number


def _pids(value: object) -> int | None:
    number = whole_number(0, 2**22, also=(-1,))(value)
    return number if number is not None and number > 0 else None


def _set_of(what: str, available: Any) -> Any:
    def convert(value: object) -> str | None:
        if value == "":
            return None
        try:
            wanted = parse_list(str(value))
        except ValueError:
            raise InvalidArgument(f"not a list of {what}: {shown(value)}", f"write {what} such as 0-2,4") from None
        there = available()
        if not wanted <= parse_list(there):
            raise InvalidArgument(f"requested {what} are not available: {shown(value)}", f"this machine has {there}")
        return str(value)

    return convert


def block_device(path: str) -> str:
    """The numbers of a block device as MAJOR:MINOR; raises InvalidArgument for what is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "not a path"
        raise InvalidArgument(f"device {shown(path)}: {reason}", "name a block device, such as /dev/sda") from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgument(f"{shown(path)} is not a block device", "name one, such as /dev/sda")
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _device_values(unit: str, key: str, parse: Any) -> Any:
    """PATH:VALUE texts, or docker-py's `{"Path": PATH, KEY: VALUE}`."""

    def entry(item: object) -> tuple[str, int]:
        if isinstance(item, Mapping) and isinstance(item.get("Path"), str) and key in item:
            path, value = item["Path"], item[key]
        elif isinstance(item, str) and (found := _DEVICE_RATE.fullmatch(item)):
            path, value = found[1], found[2]
        else:
            raise InvalidArgument(
                f"not PATH:{unit}: {shown(item)}", f"write PATH:{unit}, such as /dev/sda:{'300' if unit == 'WEIGHT' else '1mb'}"
            )
        number = parse(value)
        block_device(path)
        return path, number

    def convert(value: object) -> DeviceValues:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(map(entry, items))

    return convert


def _bytes_per_second(value: object) -> int:
    size = _size(value)
    if size < 0:
        raise InvalidArgument(f"invalid value {shown(value)}", "write a size for each second, such as 1mb; 0 is no limit")
    return size


_BYTES = _device_values("RATE", "Rate", _bytes_per_second)
_OPERATIONS = _device_values("RATE", "Rate", whole_number(0, 2**32 - 1))


def _cgroup_parent(value: object) -> None:
    if value != "":
        problem = f"{shown(value)} is not supported: groups are made below labcontainers, where they are found again"
        raise Unsupported(problem, "leave it out")


def check(options: ContainerOptions) -> None:
    """Options that do not go together; raises InvalidArgument with the names of both."""
    memory, swap, reservation = options.memory_bytes, options.memory_swap_bytes, options.memory_reservation_bytes
    if swap is not None and swap > 0:
        if memory is None:
            raise InvalidArgument(
                f"conflicting options: --memory-swap {swap} without --memory", "give --memory together with --memory-swap"
            )
        if swap < memory:
            problem = f"conflicting options: --memory-swap {swap} is smaller than --memory {memory}"
            raise InvalidArgument(problem, "--memory-swap is memory and swap together: make it larger, or leave it out")
    if memory is not None and reservation is not None and reservation > memory:
        problem = f"conflicting options: --memory-reservation {reservation} is larger than --memory {memory}"
        raise InvalidArgument(problem, "a reservation is a part of the limit: make it smaller")
    if options.cpus is not None:
        other = "--cpu-period" if options.cpu_period_us is not None else "--cpu-quota" if options.cpu_quota_us is not None else ""
        if other:
            raise InvalidArgument(f"conflicting options: --cpus and {other}", "give one of them: --cpus is a quota of a period of 100 ms")


_REAL_TIME = "control groups have no real-time scheduling on most kernels, and none in version 2"
_WINDOWS = "it exists on Windows only"

CONVERTERS: Converters = {
    "mem_limit": ("memory_bytes", _memory),
    "mem_reservation": ("memory_reservation_bytes", _memory),
    "memswap_limit": ("memory_swap_bytes", _memory_swap),
    "mem_swappiness": ("memory_swappiness", _swappiness),
    "oom_kill_disable": ("oom_kill_disable", flag("oom_kill_disable")),
    "kernel_memory": ("kernel_memory_bytes", _kernel_memory),
    "cpus": ("cpus", _cpus),
    "nano_cpus": ("cpus", _nano_cpus),
    "cpu_period": ("cpu_period_us", whole_number(1_000, 1_000_000, zero=True)),
    "cpu_quota": ("cpu_quota_us", _quota),
    "cpu_shares": ("cpu_shares", whole_number(2, 262_144, zero=True)),
    "cpuset_cpus": ("cpuset_cpus", _set_of("CPUs", online_cpus)),
    "cpuset_mems": ("cpuset_mems", _set_of("memory nodes", online_memory_nodes)),
    "cpu_rt_period": ("", refused(_REAL_TIME, unset=(0, "0"))),
    "cpu_rt_runtime": ("", refused(_REAL_TIME, unset=(0, "0"))),
    "cpu_count": ("", refused(_WINDOWS, unset=(0, "0"))),
    "cpu_percent": ("", refused(_WINDOWS, unset=(0, "0"))),
    "pids_limit": ("pids_limit", _pids),
    "blkio_weight": ("blkio_weight", whole_number(10, 1000, zero=True)),
    "blkio_weight_device": (
        "blkio_weight_devices",
        _device_values("WEIGHT", "Weight", whole_number(10, 1000)),
    ),
    "device_read_bps": ("device_read_bps", _BYTES),
    "device_write_bps": ("device_write_bps", _BYTES),
    "device_read_iops": ("device_read_iops", _OPERATIONS),
    "device_write_iops": ("device_write_iops", _OPERATIONS),
    "cgroup_parent": ("", _cgroup_parent),
    "storage_opt": ("", refused("an overlay's upper directory has no quota of its own", unset=({}, []))),
}
