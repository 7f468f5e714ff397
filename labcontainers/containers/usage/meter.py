"""One container's samples, one after the other: where to look is found out once, and again when it was started anew.

It must not keep a thread or a history (see containers.usage.sampler). Thread-safe for one caller at a time.
"""

from __future__ import annotations

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_start
from labcontainers.containers.usage.proc_usage import Census
from labcontainers.containers.usage.stats import StatsSample, sample
from labcontainers.errors import Conflict
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.runtime.handshake import start_time


class Meter:
    """Takes samples; a process is known by pid and start time, since pids are used again."""

    def __init__(self, lifecycle: Lifecycle, record: Record) -> None:
        self._lifecycle = lifecycle
        self._record = record
        self._pid = 0
        self._started = 0
        self._cgroup: Cgroup | None = None
        self._network = record.options.network != "none"
        # Whether the control group alone tells that it runs, and the process need not be looked at.
        self._told_by_group = False

    def sample(self, previous: StatsSample | None = None, census: Census | None = None) -> StatsSample:
        """One sample whose CPU rate is since `previous`; a `census` of this moment spares a look at all processes.

        Raises Conflict when the container does not run, NotFound when it is gone.
        """
        if self._cgroup is not None and self._told_by_group:
            taken = sample(self._cgroup, self._pid, previous, network=False)
            if taken.pids:
                return taken
        if self._cgroup is None or start_time(self._pid) != self._started:
            self._look()
        assert self._cgroup is not None
        return sample(self._cgroup, self._pid, previous, network=self._network, census=census)

    def _look(self) -> None:
        state = self._lifecycle.state(self._record)
        start = read_start(self._record.directory)
        if not state.running or not start:
            self._cgroup = None
            raise Conflict(f"container {self._record.row.name} is not running", "start it first")
        self._pid, self._started = state.pid, start_time(state.pid)
        self._cgroup = Cgroup.from_json(start["cgroups"])
        self._told_by_group = not self._network and self._cgroup.read().pids is not None
