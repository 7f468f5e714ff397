"""What an engine does about containers that lost their shim, or whose machine was restarted: bury, clear away, and start again.

It must not start one that somebody else is at work on: everything happens under the container's lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from labcontainers.containers.state import ContainerState, read_start, settle, shim_alive, write_failure
from labcontainers.errors import Conflict, LabError, NotFound, Unavailable
from labcontainers.runtime.restart import Restarts, should_restart

if TYPE_CHECKING:
    from labcontainers.containers.lifecycle import Lifecycle
    from labcontainers.containers.register import Record

StartThread = Callable[[str, Callable[[], object]], None]
# The file in a build step's scratch directory that names its control group and its place in the network.
STEP_NOTE = "step"


class Recovery:
    """For one engine; `start_thread(role, work)` runs work in a thread of the engine. Thread-safe."""

    def __init__(self, lifecycle: Lifecycle, start_thread: StartThread) -> None:
        self._lifecycle = lifecycle
        self._start_thread = start_thread
        self._lock = threading.Lock()
        self._reviving: set[str] = set()

    def adopt(self) -> None:
        """Take over what engines and shims that died have left: detached containers go on, all else is ended and cleared away.

        Those that a restart policy wants are started again in the background. Quick when there is nothing to do; safe beside other
        engines, whose containers are left alone.
        """
        lifecycle = self._lifecycle
        for row in lifecycle.store.records.list_containers():
            with (
                contextlib.suppress(Unavailable, NotFound),
                lifecycle.store.locks.hold(lifecycle.store.container_lock(row.id), timeout_s=0),
            ):
                record = lifecycle.find(row.id)
                if record is None or shim_alive(record.directory):
                    continue
                lifecycle.state(record)
                lifecycle.clear_cgroup(row.id)
                lifecycle.networks.disconnect(row.id)
                if record.options.remove and read_start(record.directory):
                    lifecycle.delete(record)
        for note in lifecycle.store.paths.trash.glob(f"*/{STEP_NOTE}"):
            with contextlib.suppress(FileNotFoundError):
                step_id = note.read_text()
                lifecycle.clear_cgroup(step_id)
                lifecycle.networks.disconnect(step_id)
                note.unlink()
        lifecycle.networks.adopt()

    def look_at(self, record: Record, state: ContainerState) -> None:
        """Somebody has read this state: start the container again, in the background, if its policy wants that and nobody else does it."""
        if not is_due(record.options.restart, state):
            return
        with self._lock:
            if record.row.id in self._reviving:
                return
            self._reviving.add(record.row.id)
        self._start_thread("revive", lambda: self._revive(record.row.id))

    def _revive(self, container_id: str) -> None:
        lifecycle = self._lifecycle
        try:
            # Whoever holds it starts or removes the container, or only looks: worth waiting for.
            with lifecycle.store.locks.hold(lifecycle.store.container_lock(container_id), timeout_s=30):
                record = lifecycle.find(container_id)
                if record is None or not is_due(record.options.restart, settle(record.directory, record.row.name)):
                    return
                try:
                    lifecycle.start_again(record)
                except LabError as error:
                    # Whatever the reason, it is told once and not tried over and over.
                    write_failure(record.directory, error.message)
        except (Unavailable, NotFound, Conflict):
            return
        finally:
            with self._lock:
                self._reviving.discard(container_id)


def is_due(policy: str, state: ContainerState) -> bool:
    """Whether a container that ended unattended is to be started again, by the rules of Docker's daemon when it starts.

    "always" holds also for one that was stopped by hand before; one that was never started stays as it is.
    """
    if policy == "no" or not state.unattended or state.status != "exited":
        return False
    parsed = Restarts(policy)
    return should_restart(parsed.policy, parsed.most, state.restart_count, state.exit_code, state.stopped_by_hand)
