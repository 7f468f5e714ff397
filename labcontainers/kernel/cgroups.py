"""Control groups, version 2, version 1 and both at once (cgroups(7)): made, limited, frozen, killed and removed by plain files.

It must not know containers: a group has an id, limits and numbers. A group is `<parent>/labcontainers/<id>` in every hierarchy; the
empty `labcontainers` directories stay, so that making a group is one mkdir(2) for each hierarchy and removing it one rmdir(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, InvalidArgument, KernelFailed, Unsupported
from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel.cgroup_limits import Limits, settings
from labcontainers.kernel.cgroup_usage import CgroupUsage, read_usage

__all__ = ["Cgroup", "CgroupUsage", "Hierarchy", "Limits", "detect"]

PARENT = "labcontainers"
_V1 = ("cpu", "cpuacct", "memory", "pids", "freezer", "blkio", "cpuset")
_V2 = ("cpu", "memory", "pids", "io", "cpuset")
_REMOVE_S = 0.5
_FREEZE_S = 2.0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where this process may make groups: `mode` is "v2", "hybrid", "v1" or "none".

    `v1` maps a controller to the directory beneath which groups are made, `unified` is that of version 2, `controllers` are
    those of version 2 that can be handed on to a group. `reason` says why some or all of it is missing.
    """

    mode: str
    v1: Mapping[str, str] = field(default_factory=dict)
    unified: str | None = None
    controllers: tuple[str, ...] = ()
    reason: str = ""

    @property
    def renames(self) -> bool:
        """Whether a group can be made ahead of time and be renamed when it is needed: in version 1 (cgroup1_rename)."""
        return bool(self.v1)

    def create_spare(self, name: str) -> Cgroup:
        """Make a group in the hierarchies of version 1 only, for a later `create(…, spare=name)`. Raises as create()."""
        return replace(self, unified=None).create(name)

    def create(self, group_id: str, *, cpuset: bool = False, spare: str = "") -> Cgroup:
        """Make the group `labcontainers/<id>` in every hierarchy; with `cpuset` also where CPUs are chosen.

        With `spare` that group is renamed, together with the processes in it, as far as it is there.

        Of several processes that make the same id, one gets it and the others Conflict. Raises KernelFailed. After an error
        nothing of it is left.
        """
        if not group_id or "/" in group_id or group_id.startswith("."):
            raise InvalidArgument(f"not the id of a control group: {group_id!r}")
        group = self._group(group_id, cpuset)
        made: list[str] = []
        try:
            for path in group.directories:
                if path == group.unified:
                    self._hand_on([name for name in self.controllers if cpuset or name != "cpuset"])
                _make(path, spare)
                made.append(path)
            if "cpuset" in group.v1:
                _inherit_cpuset(group.v1["cpuset"])
        except BaseException as error:
            for path in reversed(made):
                files.remove(path)
            if isinstance(error, FileExistsError):
                raise Conflict(f"there is a control group for {group_id} already", "remove it, or what runs in it, first") from None
            if isinstance(error, OSError):
                hint = "`doctor` tells which control groups work"
                raise KernelFailed("mkdir", error.errno or 0, str(error.filename or ""), hint) from error
            raise
        return group

    def find(self, group_id: str) -> Cgroup | None:
        """The group with this id, as far as it is there; None when nothing is."""
        group = self._group(group_id, True)
        there = {name: path for name, path in group.v1.items() if os.path.isdir(path)}
        unified = group.unified if group.unified and os.path.isdir(group.unified) else None
        return Cgroup(unified, there, self.reason) if unified or there else None

    def list(self) -> tuple[str, ...]:
        """The ids of all groups, in whichever hierarchy: also those that a crash left."""
        found: set[str] = set()
        for parent in {self.unified, *self.v1.values()} - {None}:
            with contextlib.suppress(OSError), os.scandir(f"{parent}/{PARENT}") as entries:
                found.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return tuple(sorted(found))

    def _group(self, group_id: str, cpuset: bool) -> Cgroup:
        v1 = {name: f"{parent}/{PARENT}/{group_id}" for name, parent in self.v1.items() if cpuset or name != "cpuset"}
        return Cgroup(f"{self.unified}/{PARENT}/{group_id}" if self.unified else None, v1, self.reason)

    def _hand_on(self, controllers: Iterable[str]) -> None:
        """Enable controllers for our groups, at every level on the way; what cannot be enabled is told by Cgroup.apply."""
        parent = f"{self.unified}/{PARENT}"
        missing = [name for name in controllers if name not in files.words(f"{parent}/cgroup.subtree_control")]
        if not missing:
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(parent)
        for directory in (self.unified, parent):
            for name in missing:
                with contextlib.suppress(OSError):
                    files.write(f"{directory}/cgroup.subtree_control", f"+{name}")


def _make(path: str, spare: str = "") -> None:
    if spare:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{os.path.dirname(path)}/{spare}", path)
            return
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):
            os.mkdir(path)
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(path))
    os.mkdir(path)


def _inherit_cpuset(path: str) -> None:
    """A new cpuset of version 1 has neither CPUs nor memory nodes, and takes no process before it has."""
    parent = os.path.dirname(path)
    for directory in (parent, path):
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not (files.read(f"{directory}/{name}") or "").strip():
                files.write(f"{directory}/{name}", (files.read(f"{os.path.dirname(directory)}/{name}") or "").strip())


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group: its directory in version 2, and in each hierarchy of version 1 by controller; both empty where groups are missing."""

    unified: str | None
    v1: Mapping[str, str]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the shim and the record; who has only these removes the group by rmdir(2) of each path."""
        return {"unified": self.unified, "v1": dict(self.v1)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Cgroup:
        """From plain values."""
        return cls(value.get("unified"), dict(value.get("v1") or {}))

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory of the group, once: controllers may share one."""
        return tuple(dict.fromkeys([*([self.unified] if self.unified else []), *self.v1.values()]))

    @property
    def procs(self) -> tuple[str, ...]:
        """The cgroup.procs files of version 1, which a process enters one by one; version 2 is entered by CLONE_INTO_CGROUP."""
        return tuple(f"{path}/cgroup.procs" for path in dict.fromkeys(self.v1.values()))

    def apply(self, limits: Limits) -> tuple[str, ...]:
        """Write the limits; the warnings name those that this host cannot enforce, and why."""
        warnings = []
        for setting in settings(limits):
            directory = self.v1.get(setting.controller, self.unified)
            if directory is None:
                why = self.reason or f"this host has no control groups for {setting.controller}"
            else:
                why = self._write(directory, setting.controller, setting.v1 if setting.controller in self.v1 else setting.v2)
            if why and setting.required:
                warnings.append(f"{setting.what} is not enforced: {why}")
        return tuple(warnings)

    def _write(self, directory: str, controller: str, writes: Iterable[tuple[str, str]]) -> str:
        """Write files of the group; why it failed, or ""."""
        for name, value in writes:
            try:
                files.write(f"{directory}/{name}", value)
            except FileNotFoundError:
                return self.reason or f"the controller {controller} is not enabled for this user's control groups, or has no {name}"
            except OSError as error:
                if error.errno == errno.EINVAL and name == "memory.limit_in_bytes" and self._raise_memory(directory, value):
                    continue
                return f"{name}={value}: {os.strerror(error.errno or 0).lower()}"
        return ""

    @staticmethod
    def _raise_memory(directory: str, value: str) -> bool:
        """Version 1 refuses a memory limit above that of memory and swap together: raise the latter first."""
        try:
            files.write(f"{directory}/memory.memsw.limit_in_bytes", value)
            files.write(f"{directory}/memory.limit_in_bytes", value)
        except OSError:
            return False
        return True

    def read(self) -> CgroupUsage:
        """What the group has used so far."""
        return read_usage(self.v1, self.unified)

    def processes(self) -> tuple[int, ...]:
        """The pids in the group and in the groups in it."""
        return next((found for directory in self.directories if (found := files.pids(directory))), ())

    def kill(self) -> None:
        """SIGKILL for every process in it: cgroup.kill (Linux 5.14), or one by one until none is left. Does not wait for the end."""
        if self.unified is not None:
            with contextlib.suppress(OSError):
                files.write(f"{self.unified}/cgroup.kill", "1")
                return
        for attempt in range(50):
            pids = self.processes()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            if not pids:
                return
            if attempt == 0 and self.frozen:
                self.thaw()
            time.sleep(0.001)

    @property
    def frozen(self) -> bool:
        """Whether every process of the group is stopped by freeze()."""
        if self._freezes_in_v2:
            return files.table(f"{self.unified}/cgroup.events").get("frozen") == 1
        return "freezer" in self.v1 and (files.read(f"{self.v1['freezer']}/freezer.state") or "").strip() == "FROZEN"

    @property
    def _freezes_in_v2(self) -> bool:
        # A process that version 2 has frozen can be killed; one that version 1 has frozen cannot.
        return self.unified is not None and os.path.exists(f"{self.unified}/cgroup.freeze")

    def freeze(self) -> None:
        """Stop every process of the group and wait until they are; raises KernelFailed, or Unsupported, and then they go on."""
        self._set_frozen(True)
        deadline = time.monotonic() + _FREEZE_S
        while not self.frozen:
            if time.monotonic() > deadline:
                self.thaw()
                raise KernelFailed("freeze", errno.EBUSY, self.unified or self.v1["freezer"], "a process waits for a device; try again")
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let them go on; raises KernelFailed, or Unsupported."""
        self._set_frozen(False)

    def _set_frozen(self, wanted: bool) -> None:
        if self._freezes_in_v2:
            path, value = f"{self.unified}/cgroup.freeze", "1" if wanted else "0"
        elif "freezer" in self.v1:
            path, value = f"{self.v1['freezer']}/freezer.state", "FROZEN" if wanted else "THAWED"
        else:
            raise Unsupported("this host has no control group that can pause a container", "`doctor` tells which control groups work")
        try:
            files.write(path, value)
        except OSError as error:
            raise KernelFailed("write", error.errno or 0, path) from error

    def remove(self, timeout_s: float = _REMOVE_S) -> tuple[str, ...]:
        """Remove the group; dying processes may keep it busy for a moment. Idempotent; returns the directories that are still in use."""
        left = [directory for directory in self.directories if not files.remove(directory)]
        deadline, pause_s = time.monotonic() + timeout_s, 0.0005
        while left and time.monotonic() < deadline:
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.02)
            left = [directory for directory in left if not files.remove(directory)]
        return tuple(left)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK)


def detect(
    root: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
    euid: int | None = None,
    may_write: Callable[[Path], bool] = _may_write,
) -> Hierarchy:
    """What this process may use, told by what it may write. Reads only.

    `root` is where the hierarchies are mounted, `membership` says which groups this process is in.
    """
    uid = os.geteuid() if euid is None else euid
    own = "/"
    for line in (files.read(str(membership)) or "").splitlines():
        if line.startswith("0::"):
            own = line[3:]
    if (root / "cgroup.controllers").exists():
        return _detect_v2(root, own, uid, may_write)
    v1 = _detect_v1(root, may_write)
    unified = root / "unified"
    below = _detect_v2(unified, own, uid, may_write) if (unified / "cgroup.procs").exists() else None
    if below is not None and below.unified is not None:
        controllers = tuple(name for name in below.controllers if name not in v1)
        reason = "" if v1 or controllers else "an ordinary user may not make control groups of version 1, which hold the limits here"
        return Hierarchy("hybrid", v1, below.unified, controllers, reason)
    if v1:
        return Hierarchy("v1", v1)
    if uid:
        return Hierarchy("none", reason="an ordinary user may not make control groups of version 1")
    return Hierarchy("none", reason=f"no control group file system at {root} is mounted and writable")


def _detect_v1(root: Path, may_write: Callable[[Path], bool]) -> dict[str, str]:
    """Controller -> directory; several may be mounted together as `cpu,cpuacct`, with symbolic links or without."""
    found: dict[str, str] = {}
    entries = sorted(root.iterdir()) if root.is_dir() else []
    for entry in entries:
        for name in entry.name.split(","):
            if name in _V1 and (entry / "cgroup.procs").exists() and may_write(entry) and may_write(entry / "cgroup.procs"):
                found[name] = os.path.realpath(entry)
    return {name: found[name] for name in _V1 if name in found}


def _detect_v2(root: Path, own: str, uid: int, may_write: Callable[[Path], bool]) -> Hierarchy:
    """Root uses the top; an ordinary user the nearest group above its own that was delegated to it (systemd's user@.service).

    A group that has processes of its own cannot hand its controllers on, unless it is the top of the whole machine.
    """
    start = root / own.lstrip("/")
    ways = [root] if uid == 0 or not start.is_relative_to(root) else [start, *start.parents]
    fallback: Hierarchy | None = None
    for candidate in ways[: ways.index(root) + 1]:
        if not (may_write(candidate) and may_write(candidate / "cgroup.procs")):
            continue
        available = files.words(f"{candidate}/cgroup.controllers")
        enabled = files.words(f"{candidate}/cgroup.subtree_control")
        free = not (candidate / "cgroup.type").exists() or not (files.read(f"{candidate}/cgroup.procs") or "").strip()
        controllers = tuple(name for name in _V2 if name in (available if free else enabled))
        if controllers and may_write(candidate / "cgroup.subtree_control"):
            return Hierarchy("v2", {}, str(candidate), controllers)
        why = f"the control group {candidate} " + ("has processes of its own" if available and not free else "was given no controllers")
        fallback = fallback or Hierarchy("v2", {}, str(candidate), (), f"{why}, so limits cannot be set below it")
    return fallback or Hierarchy("none", reason="no control group is delegated to this user (systemd: Delegate=yes for user@.service)")
