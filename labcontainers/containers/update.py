"""`update`: change what a container may use, at once where it runs, and in its record for every later start.

It must not know how options are written: it takes docker-py's keywords, and each topic's converter checks its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.container import ContainerOptions, converted
from labcontainers.containers.planning.limits import changed_limits, told_of_watchdog, watched
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_start
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.runtime.handshake import write_file

KEYWORDS = frozenset(
    "blkio_weight cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset_cpus cpuset_mems kernel_memory mem_limit "
    "mem_reservation memswap_limit nano_cpus pids_limit restart restart_policy".split()
)
# Of these, "none" is a wish of its own; of all others a value such as 0 leaves things as they are, as in Docker.
_TAKEN_AWAY = ("pids_limit", "cpu_quota_us")


def update(lifecycle: Lifecycle, record: Record, keywords: Mapping[str, Any]) -> tuple[Record, tuple[str, ...]]:
    """Change these options of a container; its new record, and warnings of what this host cannot enforce.

    Raises InvalidArgument, Unsupported, NotFound; KernelFailed where the kernel refuses a value for what runs now, such as a memory
    limit below what is in use: then the record stays as it was.
    """
    fields = _fields(keywords)
    with lifecycle.store.locks.hold(lifecycle.store.container_lock(record.row.id)):
        current = lifecycle.find(record.row.id)
        if current is None:
            raise NotFound(f"no such container: {record.row.name}", "`ps -a` lists all containers")
        options = replace(current.options, **fields)
        options.check()
        warnings = _apply(lifecycle, current, options, fields)
        changed = lifecycle.rewrite(current, options)
    lifecycle.tell(changed, "update")
    return changed, warnings


def _fields(keywords: Mapping[str, Any]) -> dict[str, Any]:
    for key in keywords:
        if key not in KEYWORDS:
            raise InvalidArgument(f"{key!r} cannot be updated", f"options are {', '.join(sorted(KEYWORDS))}")
    fields = converted(keywords)
    if not any(value is not None for value in keywords.values()):
        raise InvalidArgument("nothing to update", "give at least one option, such as memory")
    return {name: value for name, value in fields.items() if value is not None or name in _TAKEN_AWAY}


def _apply(lifecycle: Lifecycle, record: Record, options: ContainerOptions, fields: Iterable[str]) -> tuple[str, ...]:
    """Write the limits of a running container, and tell its shim of a new restart policy; nothing for one that does not run."""
    start = read_start(record.directory)
    if not lifecycle.state(record).running or not start:
        return ()
    limits = changed_limits(options, fields)
    hierarchy = lifecycle.hierarchy()
    group = replace(Cgroup.from_json(start["cgroups"]), reason=hierarchy.reason)
    if limits.cpuset:
        grown = hierarchy.add_cpuset(group, record.row.id)
        if grown != group:
            _keep_group(lifecycle, record, start, grown)
        group = grown
    warnings = told_of_watchdog(group.apply(limits, strict=True))
    if watched(warnings) and not _ask(lifecycle, record, {"memory_watch": options.memory_bytes}, "memory_watch").get("memory_watch"):
        warnings = (*warnings, "the watchdog begins to look with the container's next start")
    if "restart" in fields:
        _ask(lifecycle, record, {"restart": options.restart}, "restart")
    return warnings


def _keep_group(lifecycle: Lifecycle, record: Record, start: dict[str, Any], group: Cgroup) -> None:
    """Who removes the group, and who enters it by exec, learns of its new directory."""
    start["cgroups"] = group.to_json()
    _ask(lifecycle, record, {"cgroups": start["cgroups"]}, "cgroups")
    write_file(str(record.directory / "start.json"), json.dumps(start, separators=(",", ":")))


def _ask(lifecycle: Lifecycle, record: Record, message: dict[str, Any], about: str) -> dict[str, Any]:
    try:
        with lifecycle.client(record) as client:
            return client.ask(message, about)
    except Conflict:
        # It has ended meanwhile: the record alone counts.
        return {about: True}
