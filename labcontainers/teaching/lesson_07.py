"""Lesson 7, namespaces from scratch: what its exercises ask for, read from /proc of the processes that students made.

It must not make a namespace; whoever made it, the engine or a student by hand, is the same to it.
"""

from __future__ import annotations

from labcontainers.containers.container import Container
from labcontainers.errors import Conflict
from labcontainers.teaching.machine import Machine
from labcontainers.teaching.outcome import Outcome, not_yet, passed

_HERE = Machine()
_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def separated(pid: int, kinds: str, *, machine: Machine = _HERE) -> Outcome:
    """A process that shares none of these namespaces, such as "uts pid", with this notebook."""
    wanted = kinds.split()
    unknown = [kind for kind in wanted if kind not in _KINDS]
    if unknown or not wanted:
        return not_yet(f"{kinds!r} names no namespaces.", f"kinds are {', '.join(_KINDS)}")
    shared = [kind for kind in wanted if machine.namespace(pid, kind) == machine.namespace("self", kind)]
    if shared:
        found = f"Process {pid} is in the notebook's own {_and(shared)} namespace{'s' * (len(shared) > 1)}."
        return not_yet(found, f"add {' and '.join(f'CLONE_NEW{_FLAGS[kind]}' for kind in shared)} to its flags")
    return passed(f"Process {pid} has {_and(wanted)} namespaces of its own.")


_FLAGS = {"cgroup": "CGROUP", "ipc": "IPC", "mnt": "NS", "net": "NET", "pid": "PID", "time": "TIME", "user": "USER", "uts": "UTS"}


def first(pid: int, *, machine: Machine = _HERE) -> Outcome:
    """A process that is number 1 of a process namespace."""
    numbers = machine.status(pid).get("NSpid", str(pid)).split()
    if len(numbers) < 2:
        return not_yet(
            f"Process {pid} has one number only, as every process of this notebook.", "unshare CLONE_NEWPID, and fork: children enter"
        )
    if numbers[-1] != "1":
        found = f"Process {numbers[0]} is number {numbers[-1]} in its namespace."
        return not_yet(found, "the first child after unshare is number 1; what that one starts is not")
    return passed(f"Process {numbers[0]} out here is number 1 in its own namespace.")


def root(pid: int, *, machine: Machine = _HERE) -> Outcome:
    """A process whose root folder is another file system, and that has none of the notebook's other mounts."""
    if machine.namespace(pid, "mnt") == machine.namespace("self", "mnt"):
        return not_yet(f"Process {pid} sees the notebook's own mounts.", "it needs CLONE_NEWNS before anything is mounted")
    theirs, ours = machine.mounts(pid), machine.mounts("self")
    left = sorted(set(theirs) & set(ours) - {"/", "/proc", "/dev", "/sys", "/tmp"})
    if left or len(theirs) > 10:
        found = f"Process {pid} still has {len(theirs)} mounts, {left[0] if left else 'more than ten'} among them."
        return not_yet(found, "after pivot_root(new, old), umount2(old, MNT_DETACH) lets go of everything that was")
    return passed(f"All that process {pid} has are these mounts: {', '.join(sorted(theirs))}.")


def mapped(pid: int, *, machine: Machine = _HERE) -> Outcome:
    """A process that is root in a user namespace of its own."""
    if machine.namespace(pid, "user") == machine.namespace("self", "user"):
        return not_yet(f"Process {pid} is in the notebook's own user namespace.", "it needs CLONE_NEWUSER")
    rows = machine.uid_map(pid)
    row = next((row for row in rows if row[0] == 0), None)
    if row is None:
        found = "Nobody is mapped into its user namespace." if not rows else f"The map begins at {rows[0][0]}, so that nobody is root."
        return not_yet(found, "write `0 YOUR-ID 1` into its uid_map")
    uid = machine.status(pid).get("Uid", "").split()
    return passed(f"Who is 0 in there is {row[1]} out here; process {pid} belongs to {uid[1] if len(uid) > 1 else '?'} out here.")


def shared(one: Container, other: Container, *, machine: Machine = _HERE) -> Outcome:
    """Two running containers with one network between them, and all else apart."""
    if one.id == other.id:
        return not_yet("These are one and the same container.", "start two")
    pids = [_pid(one), _pid(other)]
    networks = {machine.namespace(pid, "net") for pid in pids}
    if len(networks) > 1:
        found = f"{one.name} has {machine.namespace(pids[0], 'net')}, and {other.name} {machine.namespace(pids[1], 'net')}."
        return not_yet(found, f"start the second one with `--network container:{one.name}`")
    also = [kind for kind in ("mnt", "pid") if machine.namespace(pids[0], kind) == machine.namespace(pids[1], kind)]
    if also:
        return not_yet(f"They share {_and(also)} as well.", "the exercise asks for the network alone")
    return passed(f"Both are in {networks.pop()}, and neither sees the other's processes or files.")


def _pid(container: Container) -> int:
    state = container.state
    if not state.running or not state.pid:
        raise Conflict(f"{container.name} is {state.status}", "start it with `-d`, and ask while it runs")
    return state.pid


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
