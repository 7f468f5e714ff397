"""What a control group has used, read from version 1 where the controller is there, else from version 2; it must not keep rates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from labcontainers.kernel import block_counts
from labcontainers.kernel import cgroup_files as files

# Version 1 writes "no limit" as the largest multiple of a page below 2^63.
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """What a group has used; None where the host does not tell. `memory_bytes` is without the cache that can be dropped, as in Docker."""

    cpu_ns: int | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None


def read_usage(v1: Mapping[str, str], unified: str | None) -> CgroupUsage:
    """The usage of the group at these directories. Never raises: a group that is gone has None everywhere."""
    memory, limit = _memory(v1["memory"]) if "memory" in v1 else _memory_v2(unified)
    read, written = _block_v1(v1["blkio"]) if "blkio" in v1 else _block_v2(unified)
    pids = v1.get("pids", unified)
    return CgroupUsage(
        cpu_ns=_cpu(v1, unified),
        memory_bytes=memory,
        memory_limit_bytes=limit,
        pids=files.number(f"{pids}/pids.current") if pids else None,
        block_read_bytes=read,
        block_write_bytes=written,
    )


def _cpu(v1: Mapping[str, str], unified: str | None) -> int | None:
    if "cpuacct" in v1:
        return files.number(f"{v1['cpuacct']}/cpuacct.usage")
    used_us = files.value(f"{unified}/cpu.stat", "usage_usec") if unified else None
    return None if used_us is None else used_us * 1000


def _memory(directory: str) -> tuple[int | None, int | None]:
    usage = files.number(f"{directory}/memory.usage_in_bytes")
    cache, limit = files.values(f"{directory}/memory.stat", "total_inactive_file", "hierarchical_memory_limit")
    return _without(usage, cache or 0), None if limit is None or limit >= _NO_LIMIT else limit


def _memory_v2(directory: str | None) -> tuple[int | None, int | None]:
    if directory is None:
        return None, None
    usage = files.number(f"{directory}/memory.current")
    cache = files.value(f"{directory}/memory.stat", "inactive_file") or 0
    return _without(usage, cache), files.number(f"{directory}/memory.max")


def _without(usage: int | None, cache: int) -> int | None:
    return None if usage is None else max(usage - cache, 0)


def _block_v1(directory: str) -> tuple[int | None, int | None]:
    """Lines `8:0 Read 4096`, for each device; the recursive file counts the groups in this one too (Linux 4.18).

    A group without such a line has used no device, or nothing is counted at all (kernel.block_counts).
    """
    text = files.read(f"{directory}/{block_counts.COUNTS}_recursive")
    if text is None:
        text = files.read(f"{directory}/{block_counts.COUNTS}")
    if text is None:
        return None, None
    rows = [row for row in map(str.split, text.splitlines()) if len(row) == 3]
    if not rows and not _counts(os.path.dirname(os.path.dirname(directory))):
        return None, None
    read, written = (sum(int(row[2]) for row in rows if row[1] == kind) for kind in ("Read", "Write"))
    return read, written


@cache
def _counts(top: str) -> bool:
    """Whether some device is counted in the group that ours are made in; it stays so as long as this process lives."""
    return bool(block_counts.counted(top))


def _block_v2(directory: str | None) -> tuple[int | None, int | None]:
    """Lines `8:0 rbytes=4096 wbytes=0 …`, for each device."""
    text = files.read(f"{directory}/io.stat") if directory else None
    if text is None:
        return None, None
    pairs = [word.partition("=") for line in text.splitlines() for word in line.split()[1:]]
    read, written = (sum(int(value) for name, _, value in pairs if name == key and value.isdigit()) for key in ("rbytes", "wbytes"))
    return read, written
