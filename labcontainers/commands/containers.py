"""The subcommands on containers that exist; it must not know widgets: each returns a value."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from labcontainers.commands.asking import FORCE, agreed
from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.formatting import format_rows, is_table
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.commands.policy_flags import RESTART_POLICIES
from labcontainers.commands.ports import ports_shown
from labcontainers.commands.resource_flags import UPDATE_FLAGS, update_keywords
from labcontainers.containers.container import Container
from labcontainers.containers.filters import prune_filters
from labcontainers.containers.options.container import converted
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import shown
from labcontainers.containers.options.process import signal_number
from labcontainers.containers.result import Pruned
from labcontainers.containers.waiting import CONDITIONS, check_condition
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.frames import moment
from labcontainers.units import format_age, format_bytes, parse_duration_s

CONTAINER = Argument("container", "name or id", "1", "container")
CONTAINERS = Argument("containers", "names or ids", "+", "container")
_CREATED = "%Y-%m-%d %H:%M:%S %z %Z"


def _ports(container: Container) -> str:
    """Of one that runs in a network of its own."""
    inside = container.network == "bridge" and container.state.running
    return ports_shown(container.ports, container.exposed_ports) if inside else ""


def _labels(container: Container) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(container.labels.items()))


def _size(container: Container) -> str:
    """The writable layer, and with the image's layers below it."""
    own_bytes, all_bytes = container.sizes()
    return f"{format_bytes(own_bytes)} (virtual {format_bytes(all_bytes)})"


_VALUES: Mapping[str, Any] = {
    "id": lambda container: container.id,
    "name": lambda container: container.name,
    "image": lambda container: container.image,
    "command": lambda container: " ".join(container.command or ()),
    "created": lambda container: moment(container.created_at),
    "status": lambda container: container.status,
    "ports": lambda container: _ports(container),
    "labels": lambda container: dict(container.labels),
    "level": lambda container: container.level,
}


def ps(call: Invocation) -> Any:
    """The containers as a table, as ids, or as --format says."""
    last = _last(call)
    containers = call.engine.containers.list(all=call.all or last is not None, filters=filters_of(call.filter))[:last]
    if call.quiet:
        if not is_table(call.format):
            call.on_output(2, b"warning: --format is ignored, since --quiet was given as well\n")
        return Text("\n".join(container.id if call.no_trunc else container.short_id for container in containers))
    now = time.time()

    def id_of(container: Container) -> str:
        return container.id if call.no_trunc else container.short_id

    def command(container: Container) -> str:
        program, *arguments = container.command or ("",)
        text = " ".join([program, *(f"'{argument}'" if " " in argument else argument for argument in arguments)])
        return json.dumps(text if call.no_trunc or len(text) <= 20 else text[:19] + "…", ensure_ascii=False)

    def age(container: Container) -> str:
        return f"{format_age(now - container.created_at)} ago"

    columns = {
        "CONTAINER ID": id_of,
        "IMAGE": lambda container: container.image,
        "COMMAND": command,
        "CREATED": age,
        "STATUS": Container.summary,
        "PORTS": _ports,
        "NAMES": lambda container: container.name,
        **({"SIZE": _size} if call.size else {}),
    }
    fields: Mapping[str, Any] = {
        "ID": id_of,
        "Names": lambda container: container.name,
        "Image": lambda container: container.image,
        "Command": command,
        "CreatedAt": lambda container: time.strftime(_CREATED, time.localtime(container.created_at)),
        "RunningFor": age,
        "Ports": _ports,
        "State": lambda container: container.status,
        "Status": Container.summary,
        "Labels": _labels,
        "Label": lambda container: lambda key: container.labels.get(key, ""),
        "Mounts": lambda container: ",".join(_mount_name(mount, call.no_trunc) for mount in container.mounts),
        "LocalVolumes": lambda container: str(sum(mount["Type"] == "volume" for mount in container.mounts)),
        "Networks": lambda container: container.network,
        # `json` alone measures nothing; any other template that has it does
        "Size": _size if call.size or call.format != "json" else lambda container: "0B",
        # of images for several platforms, which there are none of
        "Platform": lambda container: None,
        # found by trying, and nothing that Docker has: for who asks for it
        **({"Level": lambda container: container.level} if "Level" in (call.format or "") else {}),
    }
    return format_rows(containers, columns, fields, call.format, values=_VALUES)


def _mount_name(mount: Mapping[str, Any], whole: bool) -> str:
    """A volume by its name, all else by its source, as `ps` has it: 15 characters unless it shall be `whole`."""
    name = str(mount.get("Name") or mount["Source"])
    return name if whole or len(name) <= 15 else name[:14] + "…"


def _last(call: Invocation) -> int | None:
    """How many of the containers created last are wanted; None, or below 0 in Docker's words, for no such wish."""
    if call.last is None:
        return 1 if call.latest else None
    try:
        number = int(call.last)
    except ValueError:
        raise InvalidArgument(f"--last: not a number: {shown(call.last)}", "write --last 5") from None
    return number if number >= 0 else None


def filters_of(texts: list[str]) -> dict[str, list[str]]:
    """`KEY=VALUE` texts by key; an empty one says nothing, as in Docker."""
    filters: dict[str, list[str]] = {}
    for text in filter(None, texts):
        key, separator, value = text.partition("=")
        if not separator:
            raise InvalidArgument(f"--filter: not KEY=VALUE: {shown(text)}", "write KEY=VALUE, such as status=exited")
        filters.setdefault(key, []).append(value)
    return filters


def _wishes(call: Invocation) -> tuple[float | None, str | None]:
    """--timeout in seconds, -1 to wait for ever, or None for the container's own; and --signal. Raises InvalidArgument."""
    with about("--timeout"):
        timeout_s = None if call.timeout is None else -1.0 if call.timeout == "-1" else parse_duration_s(call.timeout)
    return timeout_s, _signal(call)


def _signal(call: Invocation) -> str | None:
    if call.signal:
        with about("--signal"):
            signal_number(call.signal)
    signal: str | None = call.signal or None
    return signal


def stop(call: Invocation) -> Text:
    timeout_s, signal = _wishes(call)
    return _each(call, lambda container: container.stop(timeout_s, signal))


def start(call: Invocation) -> Text:
    return _each(call, Container.start)


def restart(call: Invocation) -> Text:
    timeout_s, signal = _wishes(call)
    return _each(call, lambda container: container.restart(timeout_s, signal))


def kill(call: Invocation) -> Text:
    signal = _signal(call) or "KILL"
    return _each(call, lambda container: container.kill(signal))


def pause(call: Invocation) -> Text:
    return _each(call, Container.pause)


def unpause(call: Invocation) -> Text:
    return _each(call, Container.unpause)


def remove(call: Invocation) -> Text:
    """Remove them; with --force, one that is gone already is told of and is no failure."""

    def act(name: str) -> str | None:
        try:
            call.engine.containers.get(name).remove(force=call.force, v=call.volumes)
        except NotFound as error:
            if not call.force:
                raise
            call.on_output(2, f"{error.message}\n".encode())
            return ""
        return None

    return Text("\n".join(for_each(call, call.containers, act)))


def update(call: Invocation) -> Text:
    """Change them; what this host cannot enforce is told for each."""
    wanted = {**update_keywords(call), "restart": call.restart}
    converted(wanted)  # what is wrong for all is told once

    def change(container: Container) -> None:
        for warning in container.update(**wanted)["Warnings"]:
            call.on_output(2, f"warning: {container.name}: {warning}\n".encode())

    return _each(call, change)


def wait(call: Invocation) -> Text:
    check_condition(call.condition)

    def code(name: str) -> str:
        return str(call.engine.containers.get(name).wait(condition=call.condition))

    return Text("\n".join(for_each(call, call.containers, code)))


def rename(call: Invocation) -> None:
    call.engine.containers.get(call.container).rename(call.new_name)


def top(call: Invocation) -> Any:
    return call.engine.containers.get(call.container).top(call.options)


def port(call: Invocation) -> Text:
    """Every published port, or where the one that is named leads to."""
    container = call.engine.containers.get(call.container)
    bindings = container.ports if container.state.running else ()
    if call.port is None:
        return Text("\n".join(f"{item.container_port}/{item.protocol} -> {item.host}" for item in bindings))
    number, _, protocol = call.port.partition("/")
    found = [item.host for item in bindings if str(item.container_port) == number and item.protocol == (protocol or "tcp")]
    if not found:
        raise NotFound(f"no public port {number}/{protocol or 'tcp'} published for {container.name}", "`port NAME` lists all that are")
    return Text("\n".join(found))


def _each(call: Invocation, action: Any) -> Text:
    def act(name: str) -> None:
        action(call.engine.containers.get(name))

    return Text("\n".join(for_each(call, call.containers, act)))


def explain(call: Invocation) -> Any:
    return call.engine.containers.get(call.container).explain()


def prune(call: Invocation) -> Pruned | None:
    filters = filters_of(call.filter)
    prune_filters(filters)  # what is wrong is told before anything is asked
    return call.engine.containers.prune(filters) if agreed(call, "This will remove all stopped containers.") else None


_TIMEOUT = Flag(("-t", "--timeout", "--time"), "seconds before SIGKILL, -1 for never; the container's own, or 10", metavar="SECONDS")
_STOP_FLAGS = (
    _TIMEOUT,
    Flag(("-s", "--signal"), "this signal instead of the container's stop signal", metavar="SIGNAL", completes="signal"),
)

COMMANDS = (
    Command("stop", "Stop running containers", stop, _STOP_FLAGS, (CONTAINERS,)),
    Command("restart", "Stop containers and start them again", restart, _STOP_FLAGS, (CONTAINERS,)),
    Command("pause", "Freeze all processes of containers", pause, (), (CONTAINERS,)),
    Command("unpause", "Let paused containers go on", unpause, (), (CONTAINERS,)),
    Command(
        "kill",
        "Send a signal to containers",
        kill,
        (Flag(("-s", "--signal"), "the signal", metavar="SIGNAL", default="KILL", completes="signal"),),
        (CONTAINERS,),
    ),
    Command(
        "rm",
        "Remove containers",
        remove,
        (
            Flag(("-f", "--force"), "running ones, too", "switch"),
            Flag(("-v", "--volumes"), "with its anonymous volumes", "switch"),
        ),
        (CONTAINERS,),
        ("remove",),
    ),
    Command(
        "update",
        "Change limits of containers, at once where they run",
        update,
        (
            *UPDATE_FLAGS,
            Flag(
                ("--restart",),
                "restart policy: no, always, unless-stopped or on-failure[:MOST]",
                metavar="POLICY",
                choices=RESTART_POLICIES,
            ),
        ),
        (CONTAINERS,),
    ),
    Command(
        "wait",
        "Wait until containers end, and print their exit codes",
        wait,
        (Flag(("--condition",), "not-running, next-exit or removed", metavar="CONDITION", default="not-running", choices=CONDITIONS),),
        (CONTAINERS,),
    ),
    Command("rename", "Give a container another name", rename, (), (CONTAINER, Argument("new_name", "the new name"))),
    Command(
        "top",
        "Show the processes of a container, with this machine's pids",
        top,
        (),
        (CONTAINER, Argument("options", "options of ps, such as -o pid,cmd", "rest")),
    ),
    Command(
        "port",
        "Show the published ports of a container",
        port,
        (),
        (CONTAINER, Argument("port", "port inside, such as 80 or 80/tcp", "?")),
    ),
    Command(
        "ps",
        "List containers",
        ps,
        (
            Flag(("-a", "--all"), "those that do not run, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("-n", "--last"), "the last created ones, whatever their state", metavar="NUMBER"),
            Flag(("-l", "--latest"), "the one created last, whatever its state", "switch"),
            Flag(("-s", "--size"), "with the sizes of the writable layers", "switch"),
            Flag(("--no-trunc",), "whole ids and commands", "switch"),
            Flag(
                ("-f", "--filter"),
                "KEY=VALUE with id, name, status, exited, label, network, ancestor, before, since, expose, publish, volume or health; "
                "repeatable",
                "list",
                "KEY=VALUE",
            ),
            Flag(("--format",), "table, json, or such as {{.Names}} {{.Status}} {{.Level}}", metavar="TEMPLATE"),
        ),
        (),
        ("ls", "list"),
    ),
    Command("explain", "List the kernel operations that made a container", explain, (), (CONTAINER,)),
    Command(
        "prune",
        "Remove every container that does not run",
        prune,
        (
            FORCE,
            Flag(("--filter",), "KEY=VALUE with label, label! or until; repeatable", "list", "KEY=VALUE"),
        ),
    ),
)
