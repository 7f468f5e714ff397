"""Control groups, version 2, version 1 and both at once (cgroups(7)): made, limited, read and removed by plain files.

It must not know containers: a group has an id, limits and numbers. Units are in the names.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labcontainers.errors import KernelFailed

_PARENT = "labcontainers"
_V1 = ("cpu", "cpuacct", "memory", "pids", "freezer", "blkio")
_V2 = ("cpu", "memory", "pids", "io", "cpuset")
_PERIOD_US = 100_000
_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may use; None is no limit. `cpus` counts whole CPUs, `cpu_shares` is Docker's relative weight (1024 is one share)."""

    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """What a group has used; None where the host does not tell."""

    cpu_ns: int | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where this process may make groups: `mode` is "v2", "hybrid", "v1" or "none"; then `reason` says why.

    `v1` maps a controller to the directory beneath which groups are made, `unified` is that of version 2; `controllers` are
    those of version 2 that can be delegated to a group.
    """

    mode: str
    v1: Mapping[str, str] = field(default_factory=dict)
    unified: str | None = None
    controllers: tuple[str, ...] = ()
    reason: str = ""

    def create(self, group_id: str) -> Cgroup:
        """Make the group `labcontainers/<id>` in every hierarchy; raises KernelFailed, and then nothing of it is left."""
        made: dict[str, str] = {}
        unified: str | None = None
        try:
            if self.unified is not None:
                unified = f"{self.unified}/{_PARENT}/{group_id}"
                self._make_v2(unified)
            for controller, directory in self.v1.items():
                path = f"{directory}/{_PARENT}/{group_id}"
                if path not in made.values():
                    _make(path)
                made[controller] = path
        except OSError as error:
            Cgroup(unified, made, self.reason).remove()
            raise KernelFailed("mkdir", error.errno or 0, str(error.filename or ""), "`doctor` tells which control groups work") from error
        return Cgroup(unified, made, self.reason)

    def _make_v2(self, path: str) -> None:
        try:
            os.mkdir(path)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            with contextlib.suppress(FileExistsError):
                os.mkdir(parent)
            os.mkdir(path)
            for directory in (os.path.dirname(parent), parent):
                for controller in self.controllers:
                    with contextlib.suppress(OSError):
                        _write(f"{directory}/cgroup.subtree_control", f"+{controller}")


def _make(path: str) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(path))
        os.mkdir(path)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def _number(path: str) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.strip().isdigit() else None


def _table(path: str) -> dict[str, int]:
    """A flat keyed file: `key value` on each line."""
    rows = [line.split() for line in (_read(path) or "").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group: its directory in version 2, and in each hierarchy of version 1."""

    unified: str | None
    v1: Mapping[str, str]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the shim and the record."""
        return {"unified": self.unified, "v1": dict(self.v1)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Cgroup:
        """From plain values."""
        return cls(value.get("unified"), dict(value.get("v1") or {}))

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory of the group, once."""
        return tuple(dict.fromkeys([*([self.unified] if self.unified else []), *self.v1.values()]))

    def apply(self, limits: Limits) -> tuple[str, ...]:
        """Write the limits; the warnings name those that this host cannot enforce."""
        settings = _v2_settings(limits) if not self.v1 else _v1_settings(limits)
        warnings = []
        for what, controller, writes in settings:
            directory = self.v1.get(controller) if self.v1 else self.unified
            if directory is None:
                warnings.append(f"{what} is not enforced: {self.reason or 'no control group for ' + controller}")
                continue
            for name, value, needed in writes:
                try:
                    _write(f"{directory}/{name}", value)
                except OSError as error:
                    if needed:
                        warnings.append(f"{what} is not enforced: {controller}: {os.strerror(error.errno or 0).lower()}")
                        break
        return tuple(warnings)

    def read(self) -> CgroupUsage:
        """What the group has used so far."""
        return self._read_v1() if self.v1 else self._read_v2() if self.unified else CgroupUsage()

    def _read_v1(self) -> CgroupUsage:
        memory, blkio = self.v1.get("memory", ""), self.v1.get("blkio", "")
        limit = _number(f"{memory}/memory.limit_in_bytes")
        usage = _number(f"{memory}/memory.usage_in_bytes")
        cache = _table(f"{memory}/memory.stat").get("total_inactive_file", 0)
        served = _read(f"{blkio}/blkio.throttle.io_service_bytes")
        return CgroupUsage(
            cpu_ns=_number(f"{self.v1.get('cpuacct', '')}/cpuacct.usage"),
            memory_bytes=None if usage is None else max(usage - cache, 0),
            memory_limit_bytes=None if limit is None or limit >= 1 << 62 else limit,
            pids=_number(f"{self.v1.get('pids', '')}/pids.current"),
            block_read_bytes=_sum_operations(served, "Read"),
            block_write_bytes=_sum_operations(served, "Write"),
            oom_kills=_table(f"{memory}/memory.oom_control").get("oom_kill"),
        )

    def _read_v2(self) -> CgroupUsage:
        cpu = _table(f"{self.unified}/cpu.stat").get("usage_usec")
        usage = _number(f"{self.unified}/memory.current")
        cache = _table(f"{self.unified}/memory.stat").get("inactive_file", 0)
        io = _read(f"{self.unified}/io.stat")
        return CgroupUsage(
            cpu_ns=None if cpu is None else cpu * 1000,
            memory_bytes=None if usage is None else max(usage - cache, 0),
            memory_limit_bytes=_number(f"{self.unified}/memory.max"),
            pids=_number(f"{self.unified}/pids.current"),
            block_read_bytes=_sum_keys(io, "rbytes"),
            block_write_bytes=_sum_keys(io, "wbytes"),
            oom_kills=_table(f"{self.unified}/memory.events").get("oom_kill"),
        )

    def processes(self) -> tuple[int, ...]:
        """The pids in the group."""
        for directory in self.directories:
            text = _read(f"{directory}/cgroup.procs")
            if text:
                return tuple(map(int, text.split()))
        return ()

    def kill(self) -> None:
        """SIGKILL for every process in it: cgroup.kill (Linux 5.14), or one by one."""
        if self.unified is not None:
            with contextlib.suppress(OSError):
                _write(f"{self.unified}/cgroup.kill", "1")
                return
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def freeze(self) -> None:
        """Stop every process of the group (freezer)."""
        self._set_frozen("FROZEN", "1")

    def thaw(self) -> None:
        """Let them go on."""
        self._set_frozen("THAWED", "0")

    def _set_frozen(self, v1: str, v2: str) -> None:
        path, value = (f"{self.v1['freezer']}/freezer.state", v1) if "freezer" in self.v1 else (f"{self.unified}/cgroup.freeze", v2)
        try:
            _write(path, value)
        except OSError as error:
            raise KernelFailed("write", error.errno or 0, path) from error

    def remove(self) -> None:
        """Remove the group; a dying process may keep it busy for a moment. Idempotent."""
        for directory in self.directories:
            for attempt in range(40):
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    pass
                except OSError:
                    time.sleep(0.001 * (attempt + 1))
                    continue
                break


def _sum_operations(text: str | None, operation: str) -> int | None:
    if text is None:
        return None
    rows = [line.split() for line in text.splitlines()]
    return sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == operation)


def _sum_keys(text: str | None, key: str) -> int | None:
    if text is None:
        return None
    pairs = [word.partition("=") for line in text.splitlines() for word in line.split()[1:]]
    return sum(int(value) for name, _, value in pairs if name == key)


Setting = tuple[str, str, list[tuple[str, str, bool]]]


def _v1_settings(limits: Limits) -> list[Setting]:
    """(what, controller, [(file, value, whether the limit fails without it)]) for version 1."""
    settings: list[Setting] = []
    if limits.memory_bytes is not None:
        swap = limits.memory_swap_bytes if limits.memory_swap_bytes is not None else limits.memory_bytes
        writes = [("memory.limit_in_bytes", str(limits.memory_bytes), True), ("memory.memsw.limit_in_bytes", str(swap), False)]
        settings.append(("the memory limit", "memory", writes))
    if limits.cpus is not None:
        writes = [("cpu.cfs_period_us", str(_PERIOD_US), True), ("cpu.cfs_quota_us", str(int(limits.cpus * _PERIOD_US)), True)]
        settings.append(("the CPU limit", "cpu", writes))
    if limits.cpu_shares is not None:
        settings.append(("the CPU weight", "cpu", [("cpu.shares", str(limits.cpu_shares), True)]))
    if limits.pids is not None:
        settings.append(("the limit of processes", "pids", [("pids.max", str(limits.pids), True)]))
    if limits.cpuset_cpus is not None:
        settings.append(("the set of CPUs", "cpuset", [("cpuset.cpus", limits.cpuset_cpus, True)]))
    return settings


def _v2_settings(limits: Limits) -> list[Setting]:
    """The same for version 2; the weight is converted as the OCI runtime spec's implementations agree (2…262144 to 1…10000)."""
    settings: list[Setting] = []
    if limits.memory_bytes is not None:
        swap = max((limits.memory_swap_bytes or limits.memory_bytes) - limits.memory_bytes, 0)
        writes = [("memory.max", str(limits.memory_bytes), True), ("memory.swap.max", str(swap), False)]
        settings.append(("the memory limit", "memory", writes))
    if limits.cpus is not None:
        settings.append(("the CPU limit", "cpu", [("cpu.max", f"{int(limits.cpus * _PERIOD_US)} {_PERIOD_US}", True)]))
    if limits.cpu_shares is not None:
        weight = 1 + (max(limits.cpu_shares, 2) - 2) * 9999 // 262142
        settings.append(("the CPU weight", "cpu", [("cpu.weight", str(weight), True)]))
    if limits.pids is not None:
        settings.append(("the limit of processes", "pids", [("pids.max", str(limits.pids), True)]))
    if limits.cpuset_cpus is not None:
        settings.append(("the set of CPUs", "cpuset", [("cpuset.cpus", limits.cpuset_cpus, True)]))
    return settings


def detect(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup"), euid: int | None = None) -> Hierarchy:
    """What this process may use, tried by what it may write. Reads only."""
    uid = os.geteuid() if euid is None else euid
    own = {}
    for line in (_read(str(membership)) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    if (root / "cgroup.controllers").exists():
        return _detect_v2(root, own.get("", "/"), uid)
    v1 = {name: str(root / name) for name in _V1 if os.access(root / name / "cgroup.procs", os.W_OK)}
    if not v1:
        why = "an ordinary user may not make groups of version 1" if uid else "no control group file system is mounted and writable"
        return Hierarchy("none", reason=why)
    unified = root / "unified"
    usable = (unified / "cgroup.procs").exists() and os.access(unified / "cgroup.procs", os.W_OK)
    return Hierarchy("hybrid" if usable else "v1", v1, str(unified) if usable else None)


def _detect_v2(root: Path, own: str, uid: int) -> Hierarchy:
    """Root uses the top; an ordinary user the nearest group above its own that was delegated to it (systemd's user@.service)."""
    if uid == 0 and os.access(root / "cgroup.subtree_control", os.W_OK):
        return Hierarchy("v2", {}, str(root), _controllers(root))
    candidate = root / own.lstrip("/")
    while candidate != root:
        if os.access(candidate / "cgroup.subtree_control", os.W_OK) and not (_read(str(candidate / "cgroup.procs")) or "").strip():
            return Hierarchy("v2", {}, str(candidate), _controllers(candidate))
        candidate = candidate.parent
    return Hierarchy("none", reason="no control group is delegated to this user (systemd: Delegate=yes for user@.service)")


def _controllers(directory: Path) -> tuple[str, ...]:
    available = (_read(str(directory / "cgroup.controllers")) or "").split()
    return tuple(name for name in _V2 if name in available)
