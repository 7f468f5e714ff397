"""Control groups made ahead of need, with a process that waits in them, where entering a group is slow (version 1).

It must not know containers: who starts one takes a group here, and gets the ordinary way when none is ready.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from itertools import count

from labcontainers.kernel.cgroups import Cgroup, Hierarchy
from labcontainers.runtime.handshake import start_time
from labcontainers.runtime.process import LauncherProcess

_PREFIX = "spare-"
_QUIET_S = 0.015


class SpareGroups:
    """At most one spare group of this engine. `start_thread(role, work)` runs work in a thread of the engine. Thread-safe."""

    def __init__(
        self, hierarchy: Callable[[], Hierarchy], launcher: LauncherProcess, start_thread: Callable[[str, Callable[[], object]], None]
    ) -> None:
        self._hierarchy = hierarchy
        self._launcher = launcher
        self._start_thread = start_thread
        self._lock = threading.Lock()
        self._owner = f"{_PREFIX}{os.getpid()}-{start_time(os.getpid())}-{secrets.token_hex(4)}-"
        self._numbers = count()
        self._ready = ""
        self._filling = False
        self._last_use = 0.0
        self._closing = threading.Event()

    def take(self, group_id: str, *, cpuset: bool = False) -> tuple[Cgroup, str]:
        """The group of a new container, with `cpuset` one where CPUs are chosen; and the token of the cradle in it or "".

        Raises as Hierarchy.create().
        """
        with self._lock:
            spare, self._ready = self._ready, ""
            self._last_use = time.monotonic()
        return self._hierarchy().create(group_id, cpuset=cpuset, spare=spare), spare

    def refill(self) -> None:
        """A start is over: make the next spare soon, in the background, if this host has a use for one and none is there."""
        if not self._hierarchy().renames:
            return
        with self._lock:
            self._last_use = time.monotonic()
            if self._ready or self._filling or self._closing.is_set():
                return
            self._filling = True
        self._start_thread("spare-group", self._fill)

    def _fill(self) -> None:
        """Wait for a quiet moment, since entering a group holds every other cgroup operation of the machine up; then make the spare."""
        try:
            while (rest_s := self._last_use + _QUIET_S - time.monotonic()) > 0:
                if self._closing.wait(rest_s):
                    return
            name = f"{self._owner}{next(self._numbers)}"
            group = self._hierarchy().create_spare(name)
            self._launcher.prepare(name, group.procs, self._hierarchy().parents)
            with self._lock:
                self._ready = name
        finally:
            with self._lock:
                self._filling = False

    def sweep(self) -> None:
        """Remove the spares of engines that were killed."""
        for name in self._hierarchy().list():
            pid, _, rest = name.removeprefix(_PREFIX).partition("-")
            if name.startswith(_PREFIX) and pid.isdigit() and str(start_time(int(pid))) != rest.partition("-")[0]:
                group = self._hierarchy().find(name)
                if group is not None:
                    group.remove(timeout_s=0)

    def close(self) -> None:
        """Make no more; the launcher removes the one that is there as it ends."""
        self._closing.set()
