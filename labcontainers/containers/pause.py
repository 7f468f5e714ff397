"""Stopping all processes of a container for a while, and letting them go on; its shim does it and writes it down.

It must not know control group versions: the shim has the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labcontainers.containers.state import ContainerState, read_start
from labcontainers.errors import Conflict, Failed, Unsupported
from labcontainers.kernel.cgroups import Cgroup

if TYPE_CHECKING:
    from labcontainers.containers.lifecycle import Lifecycle
    from labcontainers.containers.register import Record


def pause(lifecycle: Lifecycle, record: Record) -> None:
    """Freeze the container: none of its processes runs until unpause(), nor notices it.

    Raises Conflict when it does not run or is paused already, Unsupported where its processes are in no control group that freezes.
    """
    state = lifecycle.state(record)
    refuse_restarting(record, state)
    if state.status == "paused":
        raise Conflict(f"container {record.row.name} is already paused", "unpause it first")
    with lifecycle.client(record) as client:
        if not Cgroup.from_json(read_start(record.directory).get("cgroups", {})).freezer:
            reason = lifecycle.hierarchy().reason
            message = "a container cannot be paused here: it is in no control group with a freezer"
            raise Unsupported(
                f"{message} ({reason})" if reason else message, "`doctor` tells which control groups work and how to get them"
            )
        _check(record, client.ask({"pause": True}, "paused"))


def unpause(lifecycle: Lifecycle, record: Record) -> None:
    """Let a paused container go on; raises Conflict when it does not run or is not paused."""
    if lifecycle.state(record).status != "paused":
        raise Conflict(f"container {record.row.name} is not paused", "pause it first")
    with lifecycle.client(record) as client:
        _check(record, client.ask({"pause": False}, "paused"))


def refuse_restarting(record: Record, state: ContainerState) -> None:
    """Raises Conflict for a container that waits for its next start."""
    if state.status == "restarting":
        raise Conflict(f"container {record.row.name} is restarting", "wait until the container is running")


def _check(record: Record, answer: dict[str, object]) -> None:
    if "conflict" in answer:
        raise Conflict(f"container {record.row.name} {answer['conflict']}", "`ps -a` tells its state")
    if "failed" in answer:
        raise Failed(f"container {record.row.name} was not paused: {answer['failed']}", "a process may wait for a device: try again")
