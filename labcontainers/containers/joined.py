"""Which namespaces a container shares, and the processes of the other containers that own them, held by descriptor.

It must not start anything. An owner is known by pid, start time and boot (proc_pid_stat(5)): a pid that is used again is not joined.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.namespaces import owner_of
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_state, read_values
from labcontainers.errors import Conflict
from labcontainers.kernel import syscalls
from labcontainers.runtime.handshake import boot_id, start_time
from labcontainers.runtime.spec import OWN_NAMESPACES, Namespaces

_FLAGS = {"pid": syscalls.CLONE_NEWPID, "ipc": syscalls.CLONE_NEWIPC, "network": syscalls.CLONE_NEWNET}


@dataclass(frozen=True, slots=True)
class Joined:
    """What a start needs: the kinds of namespaces, the network's, and what the shim joins (runtime.joining) with the descriptors.

    `network_owner` is the container whose network and whose files of /etc this one shares. `by_joiner` is whether init must be
    cloned by a process of its own.
    """

    namespaces: Namespaces
    network: str
    joins: tuple[dict[str, Any], ...] = ()
    pidfds: tuple[int, ...] = ()
    network_owner: Record | None = None

    @property
    def by_joiner(self) -> bool:
        return bool(self.joins) or self.namespaces.pid == "host"


def shares(options: ContainerOptions) -> bool:
    """Whether any namespace is not the container's own, the network aside where it is the host's."""
    return bool(options.pid_mode or options.ipc_mode or options.uts_mode or options.cgroupns or owner_of(options.network))


def check_owners(options: ContainerOptions, find: Callable[[str], Record]) -> None:
    """Raises Conflict for an ipc namespace that its owner does not share."""
    if owner := owner_of(options.ipc_mode):
        _check_shareable(find(owner))


def open_joined(options: ContainerOptions, find: Callable[[str], Record], keep: ExitStack) -> Joined:
    """Open what `options` share; the descriptors are closed with `keep`. Raises NotFound, and Conflict for an owner that does not run."""
    if not shares(options):
        return Joined(OWN_NAMESPACES, options.network)
    modes = {"pid": options.pid_mode, "ipc": options.ipc_mode, "network": options.network}
    kinds: dict[str, str] = {}
    flags: dict[str, int] = {}
    owners: dict[str, Record] = {}
    for kind, mode in modes.items():
        owner = owner_of(mode)
        if not owner:
            kinds[kind] = {"": "private", "shareable": "private"}.get(mode, mode)
            continue
        record = owners.setdefault(owner, find(owner))
        if kind == "ipc":
            _check_shareable(record)
        kinds[kind] = "host" if _mode(record, kind) == "host" else "joined"
        _pid(record, kind)
        if kinds[kind] == "joined":
            flags[owner] = flags.get(owner, 0) | _FLAGS[kind]
    joins, pidfds = [], []
    for owner, wanted in flags.items():
        shm = kinds["ipc"] == "joined" and owner_of(options.ipc_mode) == owner
        pidfds.append(_open(owners[owner], keep))
        joins.append({"flags": wanted, "shm": shm, "owner": owners[owner].row.name})
    namespaces = Namespaces(kinds["pid"], kinds["ipc"], options.uts_mode or "private", options.cgroupns or "private")
    network_owner = owners.get(owner_of(options.network))
    return Joined(namespaces, kinds["network"], tuple(joins), tuple(pidfds), network_owner)


def etc_owner(record: Record, find: Callable[[str], Record]) -> Record:
    """The container that the files of /etc belong to: the first one of a chain that has a network of its own."""
    while owner := owner_of(record.options.network):
        record = find(owner)
    return record


def _mode(record: Record, kind: str) -> str:
    return {"pid": record.options.pid_mode, "ipc": record.options.ipc_mode, "network": record.options.network}[kind]


def _check_shareable(record: Record) -> None:
    mode = record.options.ipc_mode
    if mode not in ("shareable", "host") and not owner_of(mode):
        problem = f"failed to join IPC namespace: container {record.row.name}: non-shareable IPC"
        raise Conflict(problem, "create the donor container with --ipc shareable")


def _pid(record: Record, kind: str = "") -> dict[str, Any]:
    """The values of state.json that name the container's first process; raises Conflict when it does not run."""
    state = read_state(record.directory, record.row.name)
    if not state.running:
        what = f"the {kind} namespace" if kind else "a namespace"
        problem = f"cannot join {what} of a non running container: container {record.row.name} is {state.status}"
        raise Conflict(problem, f"start {record.row.name} first")
    return read_values(record.directory, record.row.name)


def _open(record: Record, keep: ExitStack) -> int:
    values = _pid(record)
    pid = int(values["pid"])
    try:
        pidfd = syscalls.pidfd_open(pid)
    except OSError:
        pidfd = -1
    if pidfd >= 0:
        keep.callback(os.close, pidfd)
    # The descriptor stays with its process; only now does its identity tell which one that is.
    if pidfd < 0 or values["boot_id"] != boot_id() or start_time(pid) != values["pid_start"]:
        problem = f"cannot join a namespace of a non running container: container {record.row.name} has just ended"
        raise Conflict(problem, f"start {record.row.name} first")
    return pidfd
