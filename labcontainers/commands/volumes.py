"""The subcommands of `volume`; it must not know widgets: each returns a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainers.commands.asking import FORCE, agreed
from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.formatting import documents_of, format_rows, is_table
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import pairs, shown
from labcontainers.errors import InvalidArgument
from labcontainers.volumes.driver import backing_of, check_driver, check_name
from labcontainers.volumes.filters import wanted_of
from labcontainers.volumes.volume import Volume
from labcontainers.volumes.volumes import PRUNE_FILTERS, PrunedVolumes

_FILTERS = "KEY=VALUE with {}; repeatable"


def create(call: Invocation) -> Any:
    """The volume; a terminal is told its name alone, as by Docker."""
    options: dict[str, str] = {}
    for text in call.opt:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise InvalidArgument(f"--opt: not KEY=VALUE: {shown(text)}", "write KEY=VALUE, such as type=tmpfs")
        options[key] = value
    with about("--opt"):
        backing_of(options)
    with about("--driver"):
        check_driver(call.driver)
    with about("--label"):
        labels = dict(pairs(call.label, "KEY=VALUE"))
    if call.name and call.volume:
        raise InvalidArgument("conflicting options: --name and a name", "leave one of them out")
    if call.name:
        with about("--name"):
            check_name(call.name)
    volume = call.engine.volumes.create(call.volume or call.name, call.driver, labels, options)
    return Text(volume.name) if call.live else volume


def list_volumes(call: Invocation) -> Any:
    """The volumes as a table, as names, or as --format says."""
    with about("--filter"):
        volumes = call.engine.volumes.list(_filters(call))
    if call.quiet and is_table(call.format):
        return Text("\n".join(volume.name for volume in volumes))
    columns = {"DRIVER": lambda volume: volume.driver, "VOLUME NAME": lambda volume: volume.name}
    fields: Mapping[str, Any] = {
        "Name": lambda volume: volume.name,
        "Driver": lambda volume: volume.driver,
        "Scope": lambda volume: "local",
        "Mountpoint": lambda volume: str(volume.mountpoint),
        "Labels": _labels,
        "Label": lambda volume: lambda key: volume.labels.get(key, ""),
        # Docker measures these for `system df` alone
        "Links": lambda volume: "N/A",
        "Size": lambda volume: "N/A",
        "Availability": lambda volume: "N/A",
        "Group": lambda volume: "N/A",
        "Status": lambda volume: "N/A",
    }
    return format_rows(volumes, columns, fields, call.format)


def _labels(volume: Volume) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items()))


def _filters(call: Invocation) -> dict[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for text in filter(None, call.filter):
        key, separator, value = text.partition("=")
        if not separator:
            raise InvalidArgument(f"--filter: not KEY=VALUE: {shown(text)}", "write KEY=VALUE, such as dangling=true")
        filters.setdefault(key, []).append(value)
    return filters


def inspect(call: Invocation) -> Any:
    return documents_of(call, call.volumes, lambda name: call.engine.volumes.get(name).attrs)


def remove(call: Invocation) -> Text:
    return Text("\n".join(for_each(call, call.volumes, lambda name: call.engine.volumes.remove(name, force=call.force))))


def prune(call: Invocation) -> PrunedVolumes | None:
    with about("--filter"):
        filters = _filters(call)
        wanted_of(filters, PRUNE_FILTERS)  # what is wrong is told before anything is asked
    which = "all local volumes" if call.all else "anonymous local volumes"
    agrees = agreed(call, f"This will remove {which} not used by at least one container.")
    return call.engine.volumes.prune(filters, all=call.all) if agrees else None


_VOLUMES = Argument("volumes", "names", "+", "volume")

# Docker's words after `volume` -> the commands below
WORDS = {"create": "create", "ls": "ls", "list": "ls", "inspect": "inspect", "rm": "rm", "remove": "rm", "prune": "prune"}

COMMANDS = (
    Command(
        "volume create",
        "Create a volume",
        create,
        (
            Flag(("-d", "--driver"), "driver: local", metavar="DRIVER", default="local"),
            Flag(("--label",), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
            Flag(("--name",), "name of the volume, as without the flag", metavar="NAME"),
            Flag(("-o", "--opt"), "option of the driver: type=tmpfs, or o=bind with device=FOLDER; repeatable", "list", "KEY=VALUE"),
        ),
        (Argument("volume", "name of the volume; without one it is anonymous", "?"),),
    ),
    Command(
        "volume ls",
        "List volumes",
        list_volumes,
        (
            Flag(("-q", "--quiet"), "only names", "switch"),
            Flag(("-f", "--filter"), _FILTERS.format("name, label, driver or dangling"), "list", "KEY=VALUE"),
            Flag(("--format",), "table, json, or such as {{.Name}} {{.Mountpoint}}", metavar="TEMPLATE"),
        ),
    ),
    Command(
        "volume inspect",
        "Show all that is known of volumes",
        inspect,
        (Flag(("-f", "--format"), "json, or such as {{.Mountpoint}}", metavar="TEMPLATE"),),
        (_VOLUMES,),
    ),
    Command(
        "volume rm",
        "Remove volumes with their files",
        remove,
        (Flag(("-f", "--force"), "it is no error when there is no such volume", "switch"),),
        (_VOLUMES,),
    ),
    Command(
        "volume prune",
        "Remove the anonymous volumes that no container has",
        prune,
        (
            Flag(("-a", "--all"), "named ones, too", "switch"),
            FORCE,
            Flag(("--filter",), _FILTERS.format("label or label!"), "list", "KEY=VALUE"),
        ),
    ),
)
