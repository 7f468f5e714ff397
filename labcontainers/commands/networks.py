"""The subcommands of `network`; it must not know widgets: each returns a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import documents_of, format_rows, is_table
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.inspect.network import network_document, network_id
from labcontainers.errors import InvalidArgument
from labcontainers.networks.network import Network

_FILTERS: dict[str, Callable[[Network, str], bool]] = {
    "name": lambda network, text: text in network.name,
    "id": lambda network, text: network_id(network).startswith(text),
    "driver": lambda network, text: text == network.driver,
    "scope": lambda network, text: text == "local",
    "type": lambda network, text: text == "builtin",
}


def list_networks(call: Invocation) -> Any:
    """The networks as a table, as ids, or as --format says."""
    networks = _found(call)

    def id_of(network: Network) -> str:
        return network_id(network) if call.no_trunc else network_id(network)[:12]

    if call.quiet and is_table(call.format):
        return Text("\n".join(map(id_of, networks)))
    columns = {
        "NETWORK ID": id_of,
        "NAME": lambda network: network.name,
        "DRIVER": lambda network: network.driver,
        "SCOPE": lambda network: "local",
    }
    fields: Mapping[str, Any] = {
        "ID": id_of,
        "Name": lambda network: network.name,
        "Driver": lambda network: network.driver,
        "Scope": lambda network: "local",
        "IPv4": lambda network: "true",
        "IPv6": lambda network: "false",
        "Internal": lambda network: "false",
        "Labels": lambda network: "",
        "Label": lambda network: lambda key: "",
    }
    return format_rows(networks, columns, fields, call.format)


def _found(call: Invocation) -> list[Network]:
    wanted = filters_of(call.filter)
    for key in wanted:
        if key not in _FILTERS:
            raise InvalidArgument(f"--filter: unknown filter {key!r}", f"filters are {', '.join(_FILTERS)}")
    networks = sorted(call.engine.networks.list(), key=lambda network: network.name)
    return [each for each in networks if all(any(_FILTERS[key](each, text) for text in texts) for key, texts in wanted.items())]


def inspect(call: Invocation) -> Any:
    """The documents of the networks; of those that are there, when others are not."""
    return documents_of(call, call.networks, lambda name: document_of(call, name))


def document_of(call: Invocation, name: str) -> dict[str, Any]:
    """The document of a network, by name or by the beginning of its id. Raises NotFound."""
    networks = call.engine.networks
    found = [each for each in networks.list() if name == each.name or (each.id and len(name) >= 4 and each.id.startswith(name))]
    network = found[0] if found else networks.get(name)
    inside = [container for container in call.engine.containers.list() if container.network == network.name]
    return network_document(network, [(each.id, each.name, networks.find_endpoint(each.id)) for each in inside])


# Docker's words after `network` -> the commands below
WORDS = {"ls": "ls", "list": "ls", "inspect": "inspect"}

COMMANDS = (
    Command(
        "network ls",
        "List networks",
        list_networks,
        (
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("--no-trunc",), "whole ids", "switch"),
            Flag(("-f", "--filter"), f"KEY=VALUE with {', '.join(_FILTERS)}; repeatable", "list", "KEY=VALUE"),
            Flag(("--format",), "table, json, or such as {{.Name}} {{.Driver}}", metavar="TEMPLATE"),
        ),
    ),
    Command(
        "network inspect",
        "Show all that is known of networks",
        inspect,
        (Flag(("-f", "--format"), "json, or such as {{.Driver}}", metavar="TEMPLATE"),),
        (Argument("networks", "names or ids", "+", "network"),),
    ),
)
