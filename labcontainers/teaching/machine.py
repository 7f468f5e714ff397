"""What /proc tells of a process: its namespaces, status, id maps, mounts and control groups. It must not know lessons or containers.

Sources: proc(5), namespaces(7), user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Version 1 writes "no limit" as the largest multiple of a page below 2^63.
_NO_LIMIT: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Group:
    """A control group: its directory, and the version of control groups that its controller is in."""

    directory: Path
    version: int

    def read(self, name: str) -> str:
        """The text of a file of the group, without the last newline; raises FileNotFoundError."""
        return (self.directory / name).read_text().strip()

    @property
    def memory_limit_bytes(self) -> int | None:
        """None is no limit."""
        text = self.read("memory.limit_in_bytes" if self.version == 1 else "memory.max")
        return None if text == "max" or int(text) >= _NO_LIMIT else int(text)

    @property
    def cpus(self) -> float | None:
        """How many processors' time it may use: quota by period; None is no limit."""
        if self.version == 1:
            quota, period = self.read("cpu.cfs_quota_us"), self.read("cpu.cfs_period_us")
        else:
            quota, period = self.read("cpu.max").split()
        return None if quota in ("max", "-1") else int(quota) / int(period)

    @property
    def pids_limit(self) -> int | None:
        """None is no limit."""
        text = self.read("pids.max")
        return None if text == "max" else int(text)

    @property
    def forks_refused(self) -> int:
        """How often a new process was refused for the limit: pids.events."""
        rows = dict(line.split() for line in self.read("pids.events").splitlines())
        return int(rows.get("max", 0))


@dataclass(frozen=True, slots=True)
class Machine:
    """Reads below `proc`; every method raises OSError for a process that is gone or that is not this user's."""

    proc: Path = Path("/proc")

    def namespace(self, pid: int | str, kind: str) -> str:
        """Such as "uts:[4026531838]"; two processes with the same text are in the same namespace."""
        return os.readlink(self.proc / str(pid) / "ns" / kind)

    def status(self, pid: int) -> dict[str, str]:
        """The fields of /proc/PID/status."""
        lines = (self.proc / str(pid) / "status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def uid_map(self, pid: int) -> tuple[tuple[int, int, int], ...]:
        """Rows of (id inside, id outside, how many), the latter as this process sees them."""
        lines = (self.proc / str(pid) / "uid_map").read_text().splitlines()
        return tuple((int(inside), int(outside), int(count)) for inside, outside, count in map(str.split, lines))

    def mounts(self, pid: int | str) -> dict[str, str]:
        """Mount point to its options; of two mounts at one place the upper one."""
        rows = [line.split() for line in (self.proc / str(pid) / "mountinfo").read_text().splitlines()]
        return {row[4]: row[5] for row in rows}

    def group(self, pid: int, controller: str) -> Group | None:
        """The control group of that controller that the process is in, None where it is not mounted here.

        A controller that no hierarchy of version 1 has is in version 2.
        """
        rows = [line.split(":", 2) for line in (self.proc / str(pid) / "cgroup").read_text().splitlines()]
        old = next((path for _, names, path in rows if controller in names.split(",")), None)
        path = old if old is not None else next((path for number, _, path in rows if number == "0"), None)
        place = self._hierarchy(controller if old is not None else "")
        if path is None or place is None:
            return None
        mount_point, top = place
        below = path.removeprefix(top) if top != "/" else path
        return Group(Path(mount_point + "/" + below.lstrip("/")), 1 if old is not None else 2)

    def _hierarchy(self, controller: str) -> tuple[str, str] | None:
        """(mount point, which group is at its top) of a controller of version 1, or of version 2 with ""."""
        for line in (self.proc / "self" / "mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            words = options.split(",")
            if (kind == "cgroup2" and not controller) or (kind == "cgroup" and controller in words):
                return before.split()[4], before.split()[3]
        return None
