"""The subcommands that show what separates containers: compare, namespaces; it must not know widgets."""

from __future__ import annotations

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.parser import Argument
from labcontainers.containers.isolation.comparison import Comparison
from labcontainers.containers.isolation.namespace_map import NamespaceMap


def compare(call: Invocation) -> Comparison:
    return call.engine.compare(call.first, call.second)


def namespaces(call: Invocation) -> NamespaceMap:
    return call.engine.namespace_map()


COMMANDS = (
    Command(
        "compare",
        "Show two containers, or one and `host`, side by side: what separates them",
        compare,
        (),
        (Argument("first", "a running container, or host", "1", "container"), Argument("second", "the other one", "1", "container")),
    ),
    Command("namespaces", "Show which containers and processes share which namespaces", namespaces),
)
