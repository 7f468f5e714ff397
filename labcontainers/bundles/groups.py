"""The control groups of a bundle: one in each hierarchy of this host, at the bundle's own path (cgroups(7)).

It must not know what is limited: bundles.resources does. It imports no more than it must, since each container starts with it.
"""

from __future__ import annotations

import os
import time

from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from labcontainers.oci.runtime_spec import Document

HOME = "labcontainers-oci"
_REMOVE_S = 2.0


def hierarchies(mountinfo: str = "/proc/self/mountinfo") -> list[dict[str, str]]:
    """What is mounted: `name` ("" for version 2, else as the mount point says), `fstype`, `data` for mount(2), `point`, no `path` yet."""
    found: list[dict[str, str]] = []
    for line in (files.read(mountinfo) or "").splitlines():
        before, _, after = line.partition(" - ")
        fstype, _, options = after.split(" ", 2) if after.count(" ") >= 2 else ("", "", "")
        if fstype not in ("cgroup", "cgroup2"):
            continue
        point = before.split(" ")[4]
        if any(one["point"] == point for one in found) or not point.startswith("/sys/fs/cgroup"):
            continue
        if fstype == "cgroup2":
            found.append({"name": "", "fstype": fstype, "data": "", "point": point, "path": ""})
            continue
        words = [word for word in options.split(",") if word not in _NO_CONTROLLERS and not word.startswith("release_agent")]
        named = [word for word in words if word.startswith("name=")]
        data = "none," + named[0] if named and len(words) == 1 else ",".join(words)
        found.append({"name": os.path.basename(point), "fstype": fstype, "data": data, "point": point, "path": ""})
    return found


_NO_CONTROLLERS = ("rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods")


class Groups:
    """The groups of one container; `to_json` is what its state keeps of them. `made` are the directories that this runtime made."""

    def __init__(self, hierarchies: list[dict[str, str]], made: list[str] | None = None) -> None:
        self.hierarchies = hierarchies
        self.made: list[str] = made or []

    def to_json(self) -> Document:
        """Plain values."""
        return {"hierarchies": [one for one in self.hierarchies if one["path"]], "made": self.made}

    @classmethod
    def from_json(cls, value: Document) -> Groups:
        """The groups that a state tells of."""
        return cls(value["hierarchies"], value["made"])

    @property
    def unified(self) -> str:
        """The group of version 2, or ""."""
        return next((one["path"] for one in self.hierarchies if one["fstype"] == "cgroup2"), "")

    @property
    def v1(self) -> dict[str, str]:
        """Controller -> group of version 1."""
        return {
            controller: one["path"]
            for one in self.hierarchies
            if one["fstype"] == "cgroup" and one["path"]
            for controller in one["data"].split(",")
        }

    def below(self, wanted: list[str]) -> Groups:
        """The same, but for groups within that exist, each of `wanted` as PATH or CONTROLLER,…:PATH; raises InvalidArgument."""
        found = [dict(one) for one in self.hierarchies if one["path"]]
        for text in wanted:
            names, colon, path = text.rpartition(":")
            if ".." in path.split("/"):
                _invalid(f"--cgroup: {path} is not a sub cgroup path")
            asked = set(names.split(",")) if colon else set()
            if unknown := asked - {name for one in found for name in _names(one)}:
                _invalid(f"--cgroup: unknown controller {min(unknown)}")
            for one in found:
                if not colon or asked & _names(one):
                    one["path"] = f"{one['path']}/{path.strip('/')}".rstrip("/")
                    if not os.path.isdir(one["path"]):
                        _invalid(f"--cgroup: {one['path']}/cgroup.procs: no such file or directory")
        return Groups(found, self.made)

    @property
    def frozen(self) -> bool:
        """Whether whoever enters one of them is stopped there."""
        v1 = files.read(f"{self.v1['freezer']}/freezer.state") if "freezer" in self.v1 else None
        return (v1 or "THAWED").strip() != "THAWED" or (files.read(f"{self.unified}/cgroup.freeze") or "").strip() == "1"

    def create_own(self, name: str) -> None:
        """As create, at a path of which nobody else has made use: containers of other roots may have the same id."""
        points = [one["point"] for one in self.hierarchies]
        free = (suffix for suffix in range(1 << 16) if not any(os.path.exists(_own(point, name, suffix)) for point in points))
        self.create(_own("", name, next(free)))

    def create(self, path: str) -> None:
        """Make the group `path` in every hierarchy, or take what is there; raises OSError, and then nothing of it is left."""
        try:
            for one in self.hierarchies:
                group = one["point"] + path
                if one["fstype"] == "cgroup2":
                    self._hand_on(one["point"], path)
                self._make(one["point"], path)
                one["path"] = group
                if not os.access(f"{group}/cgroup.procs", os.W_OK):
                    raise PermissionError(13, "permission denied", group)
                if "cpuset" in one["data"].split(","):
                    inherit_cpuset(one["point"], group)
        except OSError:
            self.remove()
            for one in self.hierarchies:
                one["path"] = ""
            raise

    def _make(self, point: str, path: str) -> None:
        """Make the group with those above it, which another container that just ends may take away meanwhile."""
        parts = path.strip("/").split("/")
        for attempt in range(5):
            try:
                for depth in range(1, len(parts) + 1):
                    self._make_one("/".join([point, *parts[:depth]]))
                return
            except FileNotFoundError:
                if attempt == 4:
                    raise

    def _make_one(self, directory: str) -> None:
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            return
        if directory not in self.made:
            self.made.append(directory)

    def _hand_on(self, point: str, path: str) -> None:
        """Version 2 gives a group the controllers that each group above it hands on."""
        at = point
        for part in path.strip("/").split("/"):
            there = files.words(f"{at}/cgroup.controllers")
            for controller in sorted(there - files.words(f"{at}/cgroup.subtree_control")):
                try:
                    files.write(f"{at}/cgroup.subtree_control", f"+{controller}")
                except OSError:
                    pass  # one that cannot be handed on is missed by whoever asks for its limits
            at = f"{at}/{part}"
            self._make_one(at)

    @property
    def entries(self) -> list[str]:
        """The cgroup.procs files by which a process enters all of them."""
        return [f"{one['path']}/cgroup.procs" for one in self.hierarchies if one["path"]]

    def pids(self) -> tuple[int, ...]:
        """The processes in the groups, those of groups within included."""
        for one in self.hierarchies:
            if one["path"] and os.path.isdir(one["path"]):
                return files.pids(one["path"])
        return ()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to every process; SIGKILL all at once where the kernel can (cgroup.kill, Linux 5.14)."""
        if number == signal.SIGKILL and self.unified:
            try:
                files.write(f"{self.unified}/cgroup.kill", "1")
                return
            except OSError:
                pass
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def remove(self) -> None:
        """Kill what is left inside, and remove the directories that were made here; those above are kept while others use them."""
        own = {one["path"] for one in self.hierarchies if one["path"]}
        deadline = time.monotonic() + _REMOVE_S
        left = [path for path in self.made if path in own]
        # each of them until the end: on a busy machine one alone may take all of the time
        while (left := [path for path in left if not files.remove(path)]) and time.monotonic() < deadline:
            for pid in {pid for path in left for pid in files.pids(path)} - {os.getpid()}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.002)
        homes = [f"{one['point']}/{HOME}" for one in self.hierarchies if one["path"].startswith(f"{one['point']}/{HOME}/")]
        for directory in [*sorted((path for path in self.made if path not in own), key=len, reverse=True), *homes]:
            try:
                os.rmdir(directory)
            except OSError:
                pass  # in use by others, or gone already


def _names(hierarchy: dict[str, str]) -> set[str]:
    """By which words --cgroup may mean this hierarchy."""
    return {hierarchy["name"], *hierarchy["data"].removeprefix("none,").split(",")} - {""}


def _invalid(message: str) -> NoReturn:
    from labcontainers.errors import InvalidArgument

    raise InvalidArgument(message)


def _own(point: str, name: str, suffix: int) -> str:
    return f"{point}/{HOME}/{name}" + (f".{suffix}" if suffix else "")


def inherit_cpuset(point: str, path: str) -> None:
    """New cpusets of version 1 have neither CPUs nor memory nodes, and take no process before they have those of the group above."""
    above = [path[: len(point)]]
    for part in path[len(point) :].strip("/").split("/"):
        directory = f"{above[-1]}/{part}"
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not (files.read(f"{directory}/{name}") or "").strip():
                files.write(f"{directory}/{name}", (files.read(f"{above[-1]}/{name}") or "").strip())
        above.append(directory)
