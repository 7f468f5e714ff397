"""`events`: what a container uses, from its control groups, and whenever a process of it was killed for lack of memory.

It must not change anything. The form is that of runc's events, which engines read: one JSON object of `type`, `id` and `data`; bytes,
nanoseconds, and -1 for no limit. Sources: Linux Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import os
import select
import time

from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document

# Version 1 tells nobody of a lack of memory but who asks, or has an eventfd(2) for each group.
_LOOK_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


def watch(state: State, interval_s: float) -> Iterator[Document]:
    """Its numbers every `interval_s` seconds and each lack of memory, until its first process ends; raises Conflict as `numbers`."""
    _check(state)
    pidfd = syscalls.pidfd_open(state.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        kills, due = _kills(state), time.monotonic() + interval_s
        while True:
            ended = poll.poll(1000 * min(_LOOK_S, max(due - time.monotonic(), 0)))
            now = _kills(state)
            if now > kills:
                yield {"type": "oom", "id": state.id}
            kills = now
            if ended:
                return
            if time.monotonic() >= due:
                yield numbers(state)
                due += interval_s
    finally:
        os.close(pidfd)


def numbers(state: State) -> Document:
    """What it uses now; raises Conflict when it does not run."""
    _check(state)
    v1, unified = state.groups.v1, state.groups.unified
    data = {
        "cpu": _cpu(v1, unified),
        "memory": _memory(v1["memory"]) if "memory" in v1 else _memory_v2(unified),
        "pids": _pids(v1.get("pids") or unified),
        "blkio": _block(v1["blkio"]) if "blkio" in v1 else _block_v2(unified),
    }
    return {"type": "stats", "id": state.id, "data": data}


def _check(state: State) -> None:
    if not state.pid:
        from labcontainers.errors import Conflict

        raise Conflict(f"container {state.id!r} does not run, so it uses nothing", "`list` tells which do")


def _kills(state: State) -> int:
    v1, unified = state.groups.v1, state.groups.unified
    path = f"{v1['memory']}/memory.oom_control" if "memory" in v1 else f"{unified}/memory.events"
    return files.value(path, "oom_kill") or 0


def _cpu(v1: dict[str, str], unified: str) -> Document:
    if "cpuacct" in v1:
        group = v1["cpuacct"]
        ticks = files.table(f"{group}/cpuacct.stat")
        shares = (files.read(f"{group}/cpuacct.usage_percpu") or "").split()
        usage = {
            "total": files.number(f"{group}/cpuacct.usage") or 0,
            "percpu": [int(share) for share in shares],
            "kernel": ticks.get("system", 0) * 10**9 // _TICKS,
            "user": ticks.get("user", 0) * 10**9 // _TICKS,
        }
        held = files.table(f"{v1.get('cpu', group)}/cpu.stat")
        waited = held.get("throttled_time", 0)
    else:
        held = files.table(f"{unified}/cpu.stat")
        usage = {name: held.get(f"{key}_usec", 0) * 1000 for name, key in (("total", "usage"), ("kernel", "system"), ("user", "user"))}
        waited = held.get("throttled_usec", 0) * 1000
    return {
        "usage": usage,
        "throttling": {"periods": held.get("nr_periods", 0), "throttledPeriods": held.get("nr_throttled", 0), "throttledTime": waited},
    }


def _memory(group: str) -> Document:
    found: Document = {
        name: {
            "limit": files.number(f"{group}/{prefix}.limit_in_bytes"),
            "usage": files.number(f"{group}/{prefix}.usage_in_bytes"),
            "max": files.number(f"{group}/{prefix}.max_usage_in_bytes"),
            "failcnt": files.number(f"{group}/{prefix}.failcnt"),
        }
        for name, prefix in (("usage", "memory"), ("swap", "memory.memsw"), ("kernel", "memory.kmem"), ("kernelTCP", "memory.kmem.tcp"))
    }
    raw = files.table(f"{group}/memory.stat")
    return {"cache": raw.get("cache", 0), **{name: _known(entry) for name, entry in found.items()}, "raw": raw}


def _memory_v2(group: str) -> Document:
    found = {
        name: _known({
            "limit": _limit(f"{group}/{prefix}.max"),
            "usage": files.number(f"{group}/{prefix}.current"),
            "max": files.number(f"{group}/{prefix}.peak"),
            "failcnt": files.value(f"{group}/{prefix}.events", "max"),
        })
        for name, prefix in (("usage", "memory"), ("swap", "memory.swap"))
    }  # fmt: skip
    raw = files.table(f"{group}/memory.stat")
    return {"cache": raw.get("file", 0), **found, "raw": raw}


def _known(entry: dict[str, int | None]) -> Document:
    return {name: value or 0 for name, value in entry.items()}


def _limit(path: str) -> int:
    found = files.number(path)
    return -1 if found is None else found


def _pids(group: str) -> Document:
    return {"current": files.number(f"{group}/pids.current") or 0, "limit": _limit(f"{group}/pids.max")}


def _block(group: str) -> Document:
    names = (("ioServiceBytesRecursive", "io_service_bytes"), ("ioServicedRecursive", "io_serviced"))
    return {name: list(_rows(files.read(f"{group}/blkio.throttle.{file}_recursive") or "")) for name, file in names}


def _rows(text: str) -> Iterator[Document]:
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        operation, _, value = rest.partition(" ")
        if value.isdigit() and ":" in device:
            yield _row(device, operation, value)


def _row(device: str, operation: str, value: str) -> Document:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}


def _block_v2(group: str) -> Document:
    found: Document = {"ioServiceBytesRecursive": [], "ioServicedRecursive": []}
    for line in (files.read(f"{group}/io.stat") or "").splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for name, suffix in (("ioServiceBytesRecursive", "bytes"), ("ioServicedRecursive", "ios")):
            for operation, letter in (("Read", "r"), ("Write", "w")):
                if (value := values.get(letter + suffix, "")).isdigit():
                    found[name].append(_row(device, operation, value))
    return found
