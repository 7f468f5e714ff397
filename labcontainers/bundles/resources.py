"""`linux.resources` of a bundle -> what is written into which file of its control groups, for both versions; and the writing.

It must not know containers. Sources: OCI runtime specification, config-linux.md "Control groups"; cgroups(7), Linux
Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import os

from labcontainers.bundles.groups import Groups
from labcontainers.kernel import cgroup_files as files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from labcontainers.oci.runtime_spec import Document

    # What of the document, controller of version 1, writes of version 1 and of version 2: alternatives, of which one must succeed.
    Setting = tuple[str, str, list[tuple[str, str]], list[tuple[str, str]]]

_MAX = "max"


class NotPossible(Exception):
    """A limit that this host cannot keep; the message is for the user."""


def settings(resources: Document) -> Iterator[Setting]:
    """All that is asked for but devices, in the order in which the kernel takes it. Pure."""
    if resources["memory"] is not None:
        yield from _memory(resources["memory"])
    if resources["cpu"] is not None:
        yield from _cpu(resources["cpu"])
    if resources["pids"] is not None and resources["pids"]["limit"] is not None:
        limit = resources["pids"]["limit"]
        most = [("pids.max", str(limit) if limit > 0 else _MAX)]
        yield "pids.limit", "pids", most, most
    if resources["blockIO"] is not None:
        yield from _block(resources["blockIO"])
    for entry in resources["hugepageLimits"]:
        size, text = entry["pageSize"], str(entry["limit"])
        v1 = [(f"hugetlb.{size}.limit_in_bytes", text)]
        yield f"hugepageLimits ({size})", "hugetlb", v1, [(f"hugetlb.{size}.max", text)]
    if resources["network"] is not None:
        network = resources["network"]
        if network["classID"] is not None:
            yield "network.classID", "net_cls", [("net_cls.classid", str(network["classID"]))], []
        for entry in network["priorities"]:
            yield "network.priorities", "net_prio", [("net_prio.ifpriomap", f"{entry['name']} {entry['priority']}")], []
    for name, entry in resources["rdma"].items():
        parts = [f"hca_handle={entry['hcaHandles']}"] * (entry["hcaHandles"] is not None)
        parts += [f"hca_object={entry['hcaObjects']}"] * (entry["hcaObjects"] is not None)
        text = " ".join([name, *parts])
        yield f"rdma.{name}", "rdma", [("rdma.max", text)], [("rdma.max", text)]


def _bytes(value: int) -> str:
    return _MAX if value < 0 else str(value)


def _memory(memory: Document) -> Iterator[Setting]:
    limit, swap = memory["limit"], memory["swap"]
    both: list[Setting] = []
    if limit is not None and limit != 0:
        both.append(("memory.limit", "memory", [("memory.limit_in_bytes", str(limit))], [("memory.max", _bytes(limit))]))
    if swap is not None and swap != 0:
        # Version 1 counts memory and swap together, version 2 swap alone.
        alone = _MAX if swap < 0 else str(max(swap - max(limit or 0, 0), 0))
        v2 = [("memory.swap.max", alone)] if swap < 0 or limit is not None else []
        both.append(("memory.swap", "memory", [("memory.memsw.limit_in_bytes", str(swap))], v2))
    elif limit == -1:
        # A limit of both would go on to limit the one; the alternatives are for a kernel that does not count swap.
        v1 = [("memory.memsw.limit_in_bytes", "-1"), ("memory.limit_in_bytes", "-1")]
        both.append(("memory.swap", "memory", v1, [("memory.swap.max", _MAX), ("memory.max", _MAX)]))
    yield from both
    if memory["reservation"]:
        value = memory["reservation"]
        v1 = [("memory.soft_limit_in_bytes", str(value))]
        yield "memory.reservation", "memory", v1, [("memory.low", _bytes(value))]
    if memory["kernelTCP"]:
        yield "memory.kernelTCP", "memory", [("memory.kmem.tcp.limit_in_bytes", str(memory["kernelTCP"]))], []
    if memory["swappiness"] is not None:
        yield "memory.swappiness", "memory", [("memory.swappiness", str(memory["swappiness"]))], []
    if memory["disableOOMKiller"]:
        yield "memory.disableOOMKiller", "memory", [("memory.oom_control", "1")], []
    if memory["useHierarchy"]:
        yield "memory.useHierarchy", "memory", [("memory.use_hierarchy", "1")], []


def _cpu(cpu: Document) -> Iterator[Setting]:
    for name in ("cpus", "mems"):
        if cpu[name]:
            write = [(f"cpuset.{name}", cpu[name])]
            yield f"cpu.{name}", "cpuset", write, write
    if cpu["shares"]:
        from labcontainers.kernel.cgroup_limits import weight

        shares = min(max(cpu["shares"], 2), 262144)
        yield "cpu.shares", "cpu", [("cpu.shares", str(shares))], [("cpu.weight", str(weight(shares)))]
    period, quota = cpu["period"], cpu["quota"] or 0
    # Version 2 has both in one file, and keeps a period that is not written.
    most = [("cpu.max", " ".join([str(quota) if quota > 0 else _MAX, *([str(period)] if period else [])]))]
    if period:
        yield "cpu.period", "cpu", [("cpu.cfs_period_us", str(period))], most
    if quota:
        yield "cpu.quota", "cpu", [("cpu.cfs_quota_us", str(quota))], most
    if cpu["burst"] is not None:
        yield "cpu.burst", "cpu", [("cpu.cfs_burst_us", str(cpu["burst"]))], [("cpu.max.burst", str(cpu["burst"]))]
    if cpu["realtimePeriod"]:
        yield "cpu.realtimePeriod", "cpu", [("cpu.rt_period_us", str(cpu["realtimePeriod"]))], []
    if cpu["realtimeRuntime"]:
        yield "cpu.realtimeRuntime", "cpu", [("cpu.rt_runtime_us", str(cpu["realtimeRuntime"]))], []
    if cpu["idle"] is not None:
        write = [("cpu.idle", str(cpu["idle"]))]
        yield "cpu.idle", "cpu", write, write


def _block(block: Document) -> Iterator[Setting]:
    from labcontainers.kernel.cgroup_limits import block_weight

    if block["weight"]:
        value = block["weight"]
        v1 = [("blkio.weight", str(value)), ("blkio.bfq.weight", str(value))]
        yield "blockIO.weight", "blkio", v1, [("io.bfq.weight", str(value)), ("io.weight", f"default {block_weight(value)}")]
    if block["leafWeight"]:
        yield "blockIO.leafWeight", "blkio", [("blkio.leaf_weight", str(block["leafWeight"]))], []
    for entry in block["weightDevice"]:
        device = f"{entry['major']}:{entry['minor']}"
        if entry["weight"]:
            value = entry["weight"]
            v1 = [("blkio.weight_device", f"{device} {value}"), ("blkio.bfq.weight_device", f"{device} {value}")]
            v2 = [("io.bfq.weight", f"{device} {value}"), ("io.weight", f"{device} {block_weight(value)}")]
            yield f"blockIO.weightDevice ({device})", "blkio", v1, v2
        if entry["leafWeight"]:
            yield f"blockIO.weightDevice ({device})", "blkio", [("blkio.leaf_weight_device", f"{device} {entry['leafWeight']}")], []
    for key, name, short in (
        ("throttleReadBpsDevice", "read_bps", "rbps"),
        ("throttleWriteBpsDevice", "write_bps", "wbps"),
        ("throttleReadIOPSDevice", "read_iops", "riops"),
        ("throttleWriteIOPSDevice", "write_iops", "wiops"),
    ):
        for entry in block[key]:
            device, rate = f"{entry['major']}:{entry['minor']}", entry["rate"] or 0
            v1 = [(f"blkio.throttle.{name}_device", f"{device} {rate}")]
            yield f"blockIO.{key} ({device})", "blkio", v1, [("io.max", f"{device} {short}={rate or _MAX}")]


def apply(groups: Groups, resources: Document, *, rules: bool = True) -> None:
    """Write all that is asked for, or what of it differs from now; `rules` for devices too. Raises NotPossible at the first that fails."""
    v1, unified = groups.v1, groups.unified
    memory = resources["memory"]
    if memory is not None and memory["checkBeforeUpdate"] and memory["limit"]:
        _check_usage(v1, unified, memory["limit"])
    cpu = resources["cpu"]
    if cpu is not None and cpu["period"] and not cpu["quota"] and unified and "cpu" not in v1:
        now = (files.read(f"{unified}/cpu.max") or _MAX).split()[0]
        resources = {**resources, "cpu": {**cpu, "quota": int(now) if now.isdigit() else -1}}
    for what, controller, first, second in _in_order(list(settings(resources)), v1):
        group, writes = (v1[controller], first) if controller in v1 else (unified, second)
        if not group:
            raise NotPossible(f"linux.resources.{what}: there is no control group of {controller} here for this user")
        if not writes:
            raise NotPossible(f"linux.resources.{what}: version {1 if controller in v1 else 2} of control groups cannot do that")
        _write_one(what, group, writes)
    for name, value in resources["unified"].items():
        if "/" in name or not unified:
            raise NotPossible(f"linux.resources.unified.{name}: there is no such file of version 2 here")
        for line in value.splitlines() or [value]:
            _write_one(f"unified.{name}", unified, [(name, line)])
    if rules and resources["devices"]:
        _devices(groups, resources["devices"])


def _in_order(found: list[Setting], v1: dict[str, str]) -> list[Setting]:
    """The order that version 1 takes: of memory the limit with swap must never be below that without, so to grow it is first."""
    names = [setting[0] for setting in found]
    if "memory.limit" in names and "memory.swap" in names and "memory" in v1:
        now = files.number(f"{v1['memory']}/memory.memsw.limit_in_bytes")
        at = names.index("memory.limit")
        wanted = int(found[at][2][0][1])
        if now is not None and (wanted < 0 or wanted > now):
            found[at], found[at + 1] = found[at + 1], found[at]
    if "cpu.period" in names and "cpu.quota" in names and "cpu" in v1:
        # The quota is held against those of the groups above with each write: that of the shorter period fits into the longer one.
        now, at = files.number(f"{v1['cpu']}/cpu.cfs_period_us"), names.index("cpu.period")
        if now is not None and int(found[at][2][0][1]) < now:
            found[at], found[at + 1] = found[at + 1], found[at]
    return found


def _check_usage(v1: dict[str, str], unified: str, limit: int) -> None:
    path = f"{v1['memory']}/memory.usage_in_bytes" if "memory" in v1 else f"{unified}/memory.current"
    used = files.number(path)
    if used is not None and 0 < limit < used:
        raise NotPossible(f"linux.resources.memory.limit: {limit} is less than the {used} bytes in use")


def _write_one(what: str, group: str, writes: list[tuple[str, str]]) -> None:
    failed: OSError | None = None
    for name, text in writes:
        try:
            files.write(f"{group}/{name}", text)
            return
        except OSError as error:
            if failed is None or failed.errno == 2:
                failed = error
    assert failed is not None
    why = os.strerror(failed.errno or 0).lower()
    raise NotPossible(f"linux.resources.{what}: {writes[0][1]!r} cannot be written to {group}/{writes[0][0]}: {why}")


def _devices(groups: Groups, rules: list[Document]) -> None:
    """Version 1 takes the rules one by one; for version 2 they become a program."""
    rows = [(rule["allow"], rule["type"] or "a", rule["major"], rule["minor"], rule["access"] or "rwm") for rule in rules]
    group = groups.v1.get("devices")
    if group:
        for allow, kind, major, minor, access in rows:
            numbers = ":".join("*" if number is None or number < 0 else str(number) for number in (major, minor))
            text = "a" if kind == "a" and numbers == "*:*" and set(access) == set("rwm") else f"{kind} {numbers} {access}"
            _write_one("devices", group, [("devices.allow" if allow else "devices.deny", text)])
        return
    if groups.unified:
        from labcontainers.kernel import device_filter

        wanted = [device_filter.DeviceRule(kind, _any(major), _any(minor), access, allow) for allow, kind, major, minor, access in rows]
        try:
            device_filter.attach_ordered(groups.unified, wanted)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise NotPossible(f"linux.resources.devices: the kernel does not take the filter of devices: {why}") from None


def _any(number: int | None) -> int | None:
    return None if number is None or number < 0 else number


# The specification's default devices, and terminals, which a container may use whatever its rules say; any node may be made.
DEFAULT_RULES = tuple(
    {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    for kind, major, minor, access in (
        ("b", None, None, "m"), ("c", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"), ("c", 1, 7, "rwm"), ("c", 1, 8, "rwm"),
        ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"), ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"),
    )
)  # fmt: skip
