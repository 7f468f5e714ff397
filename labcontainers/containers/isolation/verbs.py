"""The verb of a container that tells what holds it back; it must not know notebooks."""

from __future__ import annotations

import os

from labcontainers.containers.isolation.confinement import read_confinement
from labcontainers.containers.isolation.process_facts import read_process
from labcontainers.containers.isolation.security import SecurityReport
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.errors import Conflict


class IsolationVerbs:
    """What Container has of them."""

    _lifecycle: Lifecycle
    _record: Record

    @property
    def level(self) -> str:
        """What holds containers of this user on this machine, and what it lacks: `kernel.levels` tells what it means."""
        return self._lifecycle.level

    def security(self) -> SecurityReport:
        """What holds its first process back, read from the kernel, beside the defaults. Raises Conflict when it does not run."""
        name, pid = self._record.row.name, self._lifecycle.state(self._record).pid
        try:
            if not pid:
                raise ProcessLookupError
            return SecurityReport(name, read_confinement(pid), read_process(os.getpid()))
        except ProcessLookupError:
            raise Conflict(f"container {name} is not running", "start it first: what is looked at is its process") from None
