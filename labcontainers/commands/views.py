"""The subcommands that show what runs in a container and what that may use: processes, cgroup; it must not know widgets."""

from __future__ import annotations

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER
from labcontainers.containers.usage.control_group import ControlGroup
from labcontainers.containers.usage.process_tree import ProcessTree


def processes(call: Invocation) -> ProcessTree:
    tree: ProcessTree = call.engine.containers.get(call.container).processes()
    return tree


def cgroup(call: Invocation) -> ControlGroup:
    group: ControlGroup = call.engine.containers.get(call.container).cgroup()
    return group


COMMANDS = (
    Command("processes", "Show the tree of a container's processes: both pids, threads, namespaces, ports", processes, (), (CONTAINER,)),
    Command("cgroup", "Show a container's control groups: limits, what is used of them, pressure, every file", cgroup, (), (CONTAINER,)),
)
