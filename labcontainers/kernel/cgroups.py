"""Control groups, version 2, version 1 and both at once (cgroups(7)): made, limited, frozen, killed and removed by plain files.

It must not know containers: a group has an id, limits and numbers. A group is `<parent>/labcontainers/<id>` in every hierarchy; the
empty `labcontainers` directories stay, so that making a group is one mkdir(2) for each hierarchy and removing it one rmdir(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, InvalidArgument, KernelFailed, Unsupported
from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel.cgroup_limits import Limits, Setting, Writes, settings
from labcontainers.kernel.cgroup_usage import CgroupUsage, read_usage
from labcontainers.kernel.freezer import Freezer
from labcontainers.kernel.notes import Notes

__all__ = ["Cgroup", "CgroupUsage", "Hierarchy", "Limits", "detect"]

PARENT = "labcontainers"
_V1 = ("cpu", "cpuacct", "memory", "pids", "freezer", "blkio", "cpuset")
_V2 = ("cpu", "memory", "pids", "io", "cpuset")
_REMOVE_S = 0.5


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
                wanted = [name for name in self.controllers if cpuset or name != "cpuset"] if path == group.unified else []
                self._hand_on(wanted)
                files.make(path, spare)
                made.append(path)
                if wanted and not files.words(f"{path}/cgroup.controllers") >= set(wanted):
                    # Whoever left last took the parent away just before: `make` made it anew, and it hands nothing on yet.
                    self._hand_on(wanted)
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

    def add_cpuset(self, group: Cgroup, group_id: str) -> Cgroup:
        """The group with a place where CPUs are chosen, for one that was made without; its processes move there. Raises KernelFailed.

        In version 2 that is a controller more; in version 1 a directory more, which belongs to the group from then on.
        """
        parent = self.v1.get("cpuset")
        try:
            if parent is None or "cpuset" in group.v1:
                if self.unified and "cpuset" in self.controllers:
                    self._hand_on(["cpuset"])
                return group
            path = f"{parent}/{PARENT}/{group_id}"
            with contextlib.suppress(FileExistsError):
                files.make(path)
            _inherit_cpuset(path)
            for pid in group.settled_processes(path):
                # one that has ended meanwhile needs no place
                with contextlib.suppress(ProcessLookupError):
                    files.write(f"{path}/cgroup.procs", str(pid))
        except OSError as error:
            raise KernelFailed("write", error.errno or 0, str(error.filename or ""), "`doctor` tells which control groups work") from error
        return replace(group, v1={**group.v1, "cpuset": path})

    def planned(self, group_id: str, cpuset: bool) -> Cgroup:
        """The group that `create` would make; nothing is made."""
        return self._group(group_id, cpuset)

    def find(self, group_id: str) -> Cgroup | None:
        """The group with this id, as far as it is there; None when nothing is."""
        group = self._group(group_id, True)
        there = {name: path for name, path in group.v1.items() if os.path.isdir(path)}
        unified = group.unified if group.unified and os.path.isdir(group.unified) else None
        return Cgroup(unified, there, self.reason) if unified or there else None

    def tidy(self) -> None:
        """Remove the parent of all groups in every hierarchy where no group is left; others may be made meanwhile."""
        for parent in self.parents:
            with contextlib.suppress(OSError):
                os.rmdir(parent)

    @property
    def parents(self) -> tuple[str, ...]:
        """The directory of all groups in each hierarchy."""
        return tuple(f"{mount}/{PARENT}" for mount in dict.fromkeys([self.unified, *self.v1.values()]) if mount)

    def list(self) -> tuple[str, ...]:
        """The ids of all groups, in whichever hierarchy: also those that a crash left."""
        found: set[str] = set()
        for parent in self.parents:
            with contextlib.suppress(OSError), os.scandir(parent) as entries:
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

    def apply(self, limits: Limits, *, strict: bool = False, notes: Notes | None = None) -> tuple[str, ...]:
        """Write the limits; the warnings name those that this host cannot enforce, and why.

        With `strict` a value that the kernel refuses raises KernelFailed instead, such as a limit below what is in use. `notes` are told.
        """
        warnings, told = [], notes or Notes()
        for setting in settings(limits):
            directory = self.v1.get(setting.controller, self.unified)
            ways = (setting.v1, setting.else_v1) if setting.controller in self.v1 else (setting.v2, setting.else_v2)
            why = self.reason or f"this host has no control groups for {setting.controller}"
            if directory is not None:
                why = self._write(directory, setting, ways, strict, told)
            if why and setting.required:
                warnings.append(f"{setting.what} is not enforced: {why}")
        return tuple(warnings)

    def writes(self, limits: Limits) -> list[tuple[str, str]]:
        """What `apply` would write: (path, value). Pure."""
        found = []
        for setting in settings(limits):
            directory = self.v1.get(setting.controller, self.unified)
            if directory is not None:
                found += [(f"{directory}/{name}", value) for name, value in (setting.v1 if setting.controller in self.v1 else setting.v2)]
        return found

    def _write(self, directory: str, setting: Setting, ways: tuple[Writes, Writes], strict: bool, notes: Notes) -> str:
        """Write files of the group; why it failed, or ""."""
        writes = ways[0]
        if ways[1] and not os.path.exists(f"{directory}/{writes[0][0]}"):
            writes = ways[1]
        if not writes:
            return setting.why
        for name, value in writes:
            try:
                _write_noted(f"{directory}/{name}", value, notes)
            except FileNotFoundError:
                return self.reason or f"the controller {setting.controller} is not enabled for this user's control groups, or has no {name}"
            except OSError as error:
                if error.errno == errno.EINVAL and name == "memory.limit_in_bytes" and self._raise_memory(directory, value, notes):
                    continue
                if strict and setting.required:
                    raise KernelFailed("write", error.errno or 0, f"{name}={value}") from error
                return f"{name}={value}: {os.strerror(error.errno or 0).lower()}"
        return ""

    @staticmethod
    def _raise_memory(directory: str, value: str, notes: Notes) -> bool:
        """Version 1 refuses a memory limit above that of memory and swap together: raise the latter first."""
        try:
            _write_noted(f"{directory}/memory.memsw.limit_in_bytes", value, notes)
            _write_noted(f"{directory}/memory.limit_in_bytes", value, notes)
        except OSError:
            return False
        return True

    def read(self) -> CgroupUsage:
        """What the group has used so far."""
        return read_usage(self.v1, self.unified)

    def processes(self) -> tuple[int, ...]:
        """The pids in the group and in the groups in it."""
        return next((found for directory in self.directories if (found := files.pids(directory))), ())

    def settled_processes(self, directory: str) -> Iterator[int]:
        """The pids of the group that are not in `directory` yet, asked again until a round has found no new one: they may fork."""
        for _ in range(1000):
            left = set(self.processes()) - set(files.pids(directory))
            yield from left
            if not left:
                return

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
    def freezer(self) -> Freezer:
        """What stops the group's processes; it is false where this host has none."""
        return Freezer(self.unified, self.v1)

    @property
    def frozen(self) -> bool:
        """Whether every process of the group is stopped by freeze()."""
        return self.freezer.frozen

    def freeze(self) -> None:
        """Stop every process of the group and wait until they are; raises KernelFailed, or Unsupported, and then they go on."""
        freezer = self._able_freezer()
        try:
            freezer.freeze()
        except TimeoutError:
            raise KernelFailed("freeze", errno.EBUSY, freezer.path, "a process waits for a device; try again") from None
        except OSError as error:
            raise KernelFailed("write", error.errno or 0, freezer.path) from error

    def thaw(self) -> None:
        """Let them go on; raises KernelFailed, or Unsupported."""
        freezer = self._able_freezer()
        try:
            freezer.thaw()
        except OSError as error:
            raise KernelFailed("write", error.errno or 0, freezer.path) from error

    def _able_freezer(self) -> Freezer:
        freezer = self.freezer
        if not freezer:
            raise Unsupported("this host has no control group that can pause a container", "`doctor` tells which control groups work")
        return freezer

    def remove(self, timeout_s: float = _REMOVE_S) -> tuple[str, ...]:
        """Remove the group; dying processes may keep it busy for a moment. Idempotent; returns the directories that are still in use."""
        left = [directory for directory in self.directories if not files.remove(directory)]
        deadline, pause_s = time.monotonic() + timeout_s, 0.0005
        while left and time.monotonic() < deadline:
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.02)
            left = [directory for directory in left if not files.remove(directory)]
        return tuple(left)


def _write_noted(path: str, value: str, notes: Notes) -> None:
    with notes.timed("limit", path=path, value=value):
        files.write(path, value)


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
