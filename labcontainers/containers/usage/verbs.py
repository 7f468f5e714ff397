"""The verbs of a container that tell what runs in it and what that may use; it must not change anything but the list of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.forms import split_command
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_start
from labcontainers.containers.usage import top
from labcontainers.containers.usage.control_group import ControlGroup
from labcontainers.containers.usage.group_reader import read_group
from labcontainers.containers.usage.process_reader import read_tree
from labcontainers.containers.usage.process_tree import ProcessTree
from labcontainers.errors import Conflict
from labcontainers.kernel.cgroups import Cgroup


class UsageVerbs:
    """What Container has of them; each raises Conflict when it does not run, NotFound when it is gone."""

    _lifecycle: Lifecycle
    _record: Record

    def top(self, ps_args: str | Sequence[str] = ()) -> top.Processes:
        """Its processes with this machine's pids, as `docker top`; `ps_args` as for ps(1)."""
        found = top.processes(self._first_process(), split_command(ps_args))
        self._lifecycle.tell(self._record, "top")
        return found

    def processes(self) -> ProcessTree:
        """Its processes as a tree: both pids, users, state, CPU, memory, threads, namespaces of their own, ports, command.

        In a notebook it is live.
        """
        return self._look_at_processes(None)

    def cgroup(self) -> ControlGroup:
        """Its control groups: files with notes, what is used of which limit, pressure; without any, the limits of its processes.

        In a notebook it is live.
        """
        return self._look_at_group(None)

    def _first_process(self) -> int:
        state = self._lifecycle.state(self._record)
        if not state.running:
            raise Conflict(f"container {self._record.row.name} is not running", "start it first")
        return state.pid

    def _look_at_processes(self, previous: ProcessTree | None) -> ProcessTree:
        row = self._record.row
        return replace(read_tree(row.name, self._first_process(), previous), id=row.id, look=self._look_at_processes)

    def _look_at_group(self, previous: ControlGroup | None) -> ControlGroup:
        init = self._first_process()
        group = Cgroup.from_json(read_start(self._record.directory).get("cgroups", {}))
        group = replace(group, reason=self._lifecycle.hierarchy().reason)
        row, network = self._record.row, self._record.options.network != "none"
        return replace(read_group(row.name, init, group, previous, network=network), id=row.id, look=self._look_at_group)
