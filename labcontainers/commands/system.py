"""The subcommands on the engine itself; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from typing import Any

from labcontainers.commands.command import Argument, Command, Flag, Invocation
from labcontainers.commands.formatting import format_document
from labcontainers.commands.listing import Listing, Text
from labcontainers.errors import InvalidArgument
from labcontainers.networks.network import Network
from labcontainers.units import parse_duration_s


def version(call: Invocation) -> Any:
    return Text(str(call.engine.version()))


def info(call: Invocation) -> Any:
    return format_document([call.engine.info()], call.format)


def doctor(call: Invocation) -> Any:
    return call.engine.doctor()


def events(call: Invocation) -> Any:
    since = None if call.since is None else time.time() - parse_duration_s(call.since)
    if call.follow:
        for event in call.engine.events.follow():
            call.on_output(1, (_line(event) + "\n").encode())
        return None
    return Text("\n".join(map(_line, call.engine.events.read(since))))


def _line(event: Any) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.at))
    attributes = ", ".join(f"{key}={value}" for key, value in event.attributes.items())
    return f"{at}Z {event.type} {event.action} {event.name or event.id[:12]}" + (f" ({attributes})" if attributes else "")


def network(call: Invocation) -> Any:
    if call.action == "ls":
        columns: dict[str, Any] = {
            "NAME": lambda row: row.name,
            "DRIVER": lambda row: row.driver,
            "SUBNET": lambda row: row.subnet,
        }
        return Listing[Network](call.engine.networks.list(), columns)
    if call.action == "inspect" and call.names:
        return format_document([_network_document(call.engine.networks.get(name)) for name in call.names], None)
    raise InvalidArgument(f"network: cannot {call.action!r}", "use network ls, or network inspect NAME")


def _network_document(item: Network) -> dict[str, Any]:
    return {"Name": item.name, "Driver": item.driver, "IPAM": {"Config": [{"Subnet": item.subnet, "Gateway": item.gateway}]}}


COMMANDS = (
    Command("version", "Show the versions in play", version),
    Command(
        "info",
        "Show where things are and what this host gives",
        info,
        (Flag(("-f", "--format"), "a path such as {{.DockerRootDir}}", metavar="TEMPLATE"),),
    ),
    Command("doctor", "Try everything that containers need on this host, and tell how to mend what fails", doctor),
    Command(
        "events",
        "Show what happened to containers and images",
        events,
        (
            Flag(("-f", "--follow"), "go on with what happens next", "switch"),
            Flag(("--since",), "only the last while, such as 10m", metavar="DURATION"),
        ),
    ),
    Command(
        "network",
        "List or show networks",
        network,
        (),
        (Argument("action", "ls or inspect"), Argument("names", "networks", "*", "network")),
    ),
)
