"""Stopping every process of a control group and letting them go on: the freezers of version 2 and version 1 (cgroups(7)).

It must not import anything but `os time`, since shims load it.
"""

from __future__ import annotations

import os
import time

from labcontainers.kernel.lean import Mapping

_FREEZE_S = 2.0


class Freezer:
    """The freezer of one group; `unified` is its directory in version 2 or "", `v1` those of version 1 by controller.

    Version 2 comes first, since a process that it has frozen can be killed, while one of version 1 dies only once it is let go.
    Sources: Linux' Documentation/admin-guide/cgroup-v2.rst (cgroup.freeze) and cgroup-v1/freezer-subsystem.rst.
    """

    __slots__ = ("_directory", "_freeze", "_thaw", "path")

    def __init__(self, unified: str | None, v1: Mapping[str, str]) -> None:
        self.path, self._freeze, self._thaw, self._directory = "", b"", b"", ""
        if unified and os.path.exists(f"{unified}/cgroup.freeze"):
            self.path, self._freeze, self._thaw, self._directory = f"{unified}/cgroup.freeze", b"1", b"0", unified
        elif "freezer" in v1:
            self.path, self._freeze, self._thaw = f"{v1['freezer']}/freezer.state", b"FROZEN", b"THAWED"

    def __bool__(self) -> bool:
        """Whether this group can be frozen at all."""
        return self.path != ""

    @property
    def frozen(self) -> bool:
        """Whether every process of the group is stopped."""
        if self._directory:
            return b"frozen 1" in _read(f"{self._directory}/cgroup.events")
        return bool(self.path) and _read(self.path).strip() == b"FROZEN"

    def freeze(self, timeout_s: float = _FREEZE_S) -> None:
        """Stop every process and wait until they are; raises TimeoutError or OSError, and then they go on."""
        deadline = time.monotonic() + timeout_s
        self._write(self._freeze)
        while not self.frozen:
            if time.monotonic() > deadline:
                self.thaw()
                raise TimeoutError
            time.sleep(0.001)
            if not self._directory:
                # Version 1 may stay at FREEZING while processes are forked: asking again makes it look at the new ones.
                self._write(self._freeze)

    def thaw(self) -> None:
        """Let them go on. Raises OSError."""
        self._write(self._thaw)

    def _write(self, text: bytes) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)
