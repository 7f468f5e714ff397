"""Lesson 6, limits and control groups: what its exercises ask for, read from the files of the containers' groups.

It must not set a limit; a container without groups of its own is told as something that this host does not allow.
"""

from __future__ import annotations

from labcontainers.containers.container import Container
from labcontainers.teaching.machine import Group, Machine
from labcontainers.teaching.outcome import Outcome, not_here, not_yet, passed
from labcontainers.units import format_memory

_HERE = Machine()
_MIB = 1 << 20


def memory(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container that may hold at most 64 MiB."""
    group = _group(container, "memory", machine)
    if isinstance(group, Outcome):
        return group
    limit = group.memory_limit_bytes
    if limit is None:
        return not_yet(
            f"The memory of {container.name} has no limit in {group.directory}.", "give `-m` to `run`, or `mem_limit=` in Python"
        )
    if limit > 64 * _MIB:
        return not_yet(f"{container.name} may hold {format_memory(limit)}: too much.", "at most 64 MiB are asked for: `-m 64m`")
    return passed(f"The kernel holds {container.name} to {format_memory(limit)}.")


def oom(container: Container) -> Outcome:
    """A container whose program the kernel killed for lack of memory."""
    state = container.state
    if container.warnings:
        return not_here(_sentence(container.warnings[0]))
    if state.running:
        return not_yet(f"{container.name} is still {state.status}.", "let it want more memory than it may have, and wait for its end")
    if not state.oom_killed:
        found = f"{container.name} ended with exit code {state.exit_code}, and not for lack of memory."
        return not_yet(found, "give it less memory than its program wants, and leave out `--rm` so that it can be asked afterwards")
    return passed(f"{container.name} was killed for lack of memory; its exit code is {state.exit_code}.")


def cpu(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container that may use at most a quarter of a processor."""
    group = _group(container, "cpu", machine)
    if isinstance(group, Outcome):
        return group
    cpus = group.cpus
    if cpus is None:
        return not_yet(f"{container.name} may use all processors.", "`--cpus` says how much it may use: half a processor is 0.5")
    if cpus > 0.25:
        return not_yet(f"{container.name} may use {cpus:g} of a processor.", "the exercise asks for a quarter: 0.25")
    return passed(f"{container.name} gets {cpus * 100:g} ms of each 100 ms.")


def pids(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container with at most 20 processes, which has tried to make more."""
    group = _group(container, "pids", machine)
    if isinstance(group, Outcome):
        return group
    limit = group.pids_limit
    if limit is None or limit > 20:
        found = f"{container.name} may have {'any number of' if limit is None else limit} processes."
        return not_yet(found, "`--pids-limit 20` lets it have twenty")
    if not group.forks_refused:
        found = f"{container.name} may have {limit} processes, and never wanted more."
        return not_yet(found, "let a shell in it start thirty: `for i in $(seq 30); do sleep 60 > /dev/null 2>&1 & done`")
    return passed(f"{container.name} may have {limit} processes, and {group.forks_refused} more were refused.")


def updated(container: Container, *, machine: Machine = _HERE) -> Outcome:
    """A running container whose memory limit is twice what it started with, or more."""
    group = _group(container, "memory", machine)
    if isinstance(group, Outcome):
        return group
    first = _first_limit(container)
    if first is None:
        return not_yet(f"{container.name} was started without a limit of memory.", "start one with `-m 32m`, then raise it")
    limit = group.memory_limit_bytes
    if limit is not None and limit < 2 * first:
        found = f"{container.name} started with {format_memory(first)} and may hold {format_memory(limit)} now."
        return not_yet(found, "`%container update -m …` changes it while it runs; twice the first limit is asked for")
    now = "has no limit" if limit is None else f"may hold {format_memory(limit)}"
    return passed(f"{container.name} started with {format_memory(first)} and {now} now, without a new start.")


def _group(container: Container, controller: str, machine: Machine) -> Group | Outcome:
    """The container's own group of that controller, or why there is none to look at."""
    state = container.state
    if not state.running or not state.pid:
        return not_yet(
            f"{container.name} is {state.status}, and a group lives as long as its processes.", "start it with `-d`, and ask while it runs"
        )
    group = machine.group(state.pid, controller)
    if group is None or group.directory.name != container.id:
        reason = container.warnings[0] if container.warnings else f"{container.name} has no control group for {controller} of its own here"
        return not_here(_sentence(reason))
    if not group.directory.is_dir():
        return not_here(f"{group.directory} cannot be seen from here.")
    return group


def _first_limit(container: Container) -> int | None:
    """The memory limit in bytes that was written at the last start."""
    for operation in container.explain():
        path = str(operation.values.get("path", ""))
        if operation.name == "limit" and path.endswith(("memory.limit_in_bytes", "memory.max")):
            return int(operation.values["value"])
    return None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
