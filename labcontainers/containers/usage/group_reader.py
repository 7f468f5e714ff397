"""Reads the control groups of a container, or where there are none the limits of its first process.

It must not know containers, nor keep a thread. Sources: cgroups(7), proc_pid_limits(5), getrlimit(2), proc_pressure (accounting/psi.rst).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from labcontainers.containers.usage.control_group import ControlGroup, Gauge, GroupFile, Pressure
from labcontainers.containers.usage.stats import StatsSample, sample
from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel import cgroup_manual as manual
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.units import format_memory

_LONGEST = 4000
# Version 1 writes "no limit" as the largest multiple of a page below 2^63.
_NO_LIMIT = 1 << 62
_LIMIT_LINE = re.compile(r"^Max (.+?)\s{2,}(\S+)\s+(\S+)\s*(\S*)")
_BYTES_V1 = ("limit", "usage", "max_usage", "soft_limit", "memsw.limit", "memsw.usage")
_BYTES_V2 = ("max", "high", "low", "current", "peak", "swap.max", "swap.current")
_BYTES = frozenset((*(f"memory.{name}_in_bytes" for name in _BYTES_V1), *(f"memory.{name}" for name in _BYTES_V2)))
_OF_PROCESSES = {
    "processes": ("RLIMIT_NPROC", "The most processes and threads of its user, wherever they are."),
    "open files": ("RLIMIT_NOFILE", "The most open files of one process."),
    "address space": ("RLIMIT_AS", "The most memory that one process may reserve."),
    "data size": ("RLIMIT_DATA", "The most memory for the data of one process."),
    "stack size": ("RLIMIT_STACK", "The largest stack of one process."),
    "cpu time": ("RLIMIT_CPU", "The most CPU time of one process; then it gets SIGXCPU."),
    "file size": ("RLIMIT_FSIZE", "The largest file that one process may write."),
    "core file size": ("RLIMIT_CORE", "The largest core dump; 0 writes none."),
    "locked memory": ("RLIMIT_MEMLOCK", "The most memory that may be kept from swap."),
}


def read_group(
    name: str, init: int, group: Cgroup, previous: ControlGroup | None = None, *, network: bool, proc: str = "/proc"
) -> ControlGroup:
    """The groups of the container `name` whose first process is `init`. What cannot be read is left out."""
    taken = sample(group, init, previous.sample if previous is not None else None, network=network, proc=proc)
    found = tuple(_files(group))
    pressure, of = _pressures(group, proc)
    versions = [version for version, there in (("v1", bool(group.v1)), ("v2", group.unified is not None)) if there]
    return ControlGroup(
        name=name,
        version=" and ".join(versions) if found else "none",
        directories=group.directories if found else (),
        reason=group.reason,
        gauges=tuple(_gauges({file.name: file.value for file in found}, taken)),
        files=found or tuple(_limits(init, proc)),
        pressure=pressure,
        pressure_of=of,
        sample=taken,
    )


def _memory(size: int) -> str:
    """Bytes with the unit apart, as widgets write them."""
    return re.sub(r"(?<=\d)(?=[A-Z])", " ", format_memory(size))


def _files(group: Cgroup) -> Iterator[GroupFile]:
    """All that the manual tells of and that is there; a controller is in one of the versions alone."""
    for version in (1, 2):
        for entry in manual.entries(version):
            directory = group.v1.get(entry.controller) if version == 1 else group.unified
            if directory is None or (version == 2 and entry.controller in group.v1):
                continue
            path = f"{directory}/{entry.name}"
            text = files.read(path)
            if text is not None:
                value = text.strip()[:_LONGEST]
                plain = _plain(entry.name, value)
                yield GroupFile(entry.name, entry.controller, entry.kind, path, value, plain, entry.note, entry.source)


def _plain(name: str, value: str) -> str:
    """Bytes and quotas as people read them, "no limit" for what is none; "" where the value says it."""
    if name in _BYTES and value.isdigit():
        return "no limit" if int(value) >= _NO_LIMIT else _memory(int(value))
    if not value:
        return "none"
    quota, _, period = value.partition(" ")
    if name == "cpu.max" and quota.isdigit() and period.isdigit() and int(period):
        return f"{int(quota) / int(period):g} CPUs"
    return "no limit" if value in ("max", "-1") or (name == "cpu.max" and quota == "max") else ""


def _gauges(values: Mapping[str, str], taken: StatsSample) -> Iterator[Gauge]:
    """CPU, memory, swap and processes, as far as they are known."""
    cpus, used = _cpus(values), taken.cpu_percent / 100
    machine = float(os.cpu_count() or 1)
    of = f"{cpus:g} allowed" if cpus is not None else f"{machine:g} of this machine"
    yield Gauge("CPUs", used, cpus or machine, cpus is not None, f"{used:.2f} of {of}{_held_back(values)}")
    limit = next((_number(values.get(name)) for name in ("memory.limit_in_bytes", "memory.max") if name in values), None)
    of = f"{_memory(limit)} allowed" if limit else f"{_memory(taken.memory_limit_bytes or 0)} of this machine"
    text = f"{_memory(taken.memory_bytes)} of {of}"
    peak = next((_number(values.get(name)) for name in ("memory.max_usage_in_bytes", "memory.peak") if name in values), None)
    text += f", at most {_memory(peak)} so far" if peak else ""
    yield Gauge("memory", taken.memory_bytes, limit or taken.memory_limit_bytes, limit is not None, text)
    swap = _number(values.get("memory.swap.current"))
    if swap is not None:
        most = _number(values.get("memory.swap.max"))
        yield Gauge("swap", swap, most, most is not None, f"{_memory(swap)}" + (f" of {_memory(most)}" if most else ""))
    if taken.pids is not None:
        most = _number(values.get("pids.max"))
        told = f"{taken.pids} of {most} allowed" if most else f"{taken.pids}, no limit"
        yield Gauge("processes and threads", taken.pids, most, most is not None, told)


def _number(text: str | None) -> int | None:
    """None for what is no limit as well."""
    return int(text) if text is not None and text.isdigit() and int(text) < _NO_LIMIT else None


def _cpus(values: Mapping[str, str]) -> float | None:
    """How many CPUs its quota is worth."""
    quota, period = values.get("cpu.cfs_quota_us", ""), values.get("cpu.cfs_period_us", "")
    if "cpu.max" in values:
        quota, _, period = values["cpu.max"].partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _held_back(values: Mapping[str, str]) -> str:
    """In how many of its periods the quota was used up."""
    rows = dict(line.split(None, 1) for line in values.get("cpu.stat", "").splitlines() if len(line.split()) == 2)
    periods, throttled = rows.get("nr_periods", "0"), rows.get("nr_throttled", "0")
    return f", held back in {throttled} of {periods} periods" if throttled.isdigit() and int(throttled) else ""


def _pressures(group: Cgroup, proc: str) -> tuple[tuple[Pressure, ...], str]:
    """Of the group where it is told (version 2), else of the whole machine."""
    for directory, form, of in ((group.unified, "{}/{}.pressure", "container"), (proc, "{}/pressure/{}", "machine")):
        found = [
            pressure
            for resource, note in manual.PRESSURES.items()
            if directory is not None and (pressure := _pressure(resource, note, files.read(form.format(directory, resource)))) is not None
        ]
        if found:
            return tuple(found), of
    return (), ""


def _pressure(resource: str, note: str, text: str | None) -> Pressure | None:
    """Lines such as `some avg10=0.00 avg60=0.12 avg300=0.05 total=1234`."""
    rows: dict[str, tuple[float, float, float]] = {}
    for line in (text or "").splitlines():
        kind, *pairs = line.split()
        values = dict(pair.partition("=")[::2] for pair in pairs)
        try:
            rows[kind] = float(values["avg10"]), float(values["avg60"]), float(values["avg300"])
        except (KeyError, ValueError):
            continue
    # of interrupts only `full` is told
    some = rows.get("some", rows.get("full"))
    return None if some is None else Pressure(resource, some, rows.get("full") if "some" in rows else None, note)


def _limits(pid: int, proc: str) -> Iterator[GroupFile]:
    """The limits of a process; where the hard one is higher, both."""
    for line in (files.read(f"{proc}/{pid}/limits") or "").splitlines()[1:]:
        match = _LIMIT_LINE.match(line)
        if match is None or match[1] not in _OF_PROCESSES:
            continue
        title, note = _OF_PROCESSES[match[1]]
        soft, hard, unit = match[2], match[3], match[4]
        value = soft if soft == hard else f"{soft}, can be raised to {hard}"
        plain = _memory(int(soft)) if unit == "bytes" and soft.isdigit() else "no limit" if soft == "unlimited" else ""
        yield GroupFile(title, "each process", manual.LIMIT, "", value, plain, note, "getrlimit(2)")
