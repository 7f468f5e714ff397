"""The subcommands on containers that exist; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.formatting import format_document, format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.container import Container
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.units import format_age, parse_duration_s

CONTAINER = Argument("container", "name or id", "1", "container")
CONTAINERS = Argument("containers", "names or ids", "+", "container")
_CREATED = "%Y-%m-%d %H:%M:%S %z %Z"


def _ports(container: Container) -> str:
    return ", ".join(map(str, container.ports)) if container.status == "running" else ""


def _labels(container: Container) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(container.labels.items()))


def ps(call: Invocation) -> Any:
    """The containers as a table, as ids, or as --format says."""
    last = _last(call)
    containers = call.engine.containers.list(all=call.all or last is not None, filters=filters_of(call.filter))[:last]
    if call.quiet and call.format is None:
        return Text("\n".join(container.id if call.no_trunc else container.short_id for container in containers))
    now = time.time()

    def id_of(container: Container) -> str:
        return container.id if call.no_trunc else container.short_id

    def command(container: Container) -> str:
        text = '"' + " ".join(container.command).replace("\n", " ") + '"'
        return text if call.no_trunc or len(text) <= 24 else text[:22] + '…"'

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
        "Mounts": lambda container: ",".join(mount["Source"] for mount in container.inspect()["Mounts"]),
        "Networks": lambda container: container.network,
    }
    return format_rows(containers, columns, fields, call.format)


def _last(call: Invocation) -> int | None:
    """How many of the containers created last are wanted; None, or below 0 in Docker's words, for no such wish."""
    if call.last is None:
        return 1 if call.latest else None
    try:
        number = int(call.last)
    except ValueError:
        raise InvalidArgument(f"--last is a number, not {call.last!r}", "write --last 5") from None
    return number if number >= 0 else None


def filters_of(texts: list[str]) -> dict[str, list[str]]:
    """`KEY=VALUE` texts by key."""
    filters: dict[str, list[str]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise InvalidArgument(f"invalid filter {text!r}", "write KEY=VALUE, such as status=exited")
        filters.setdefault(key, []).append(value)
    return filters


def _timeout(call: Invocation) -> float | None:
    """Seconds, or None to wait for ever, which Docker writes as -1."""
    return None if call.timeout == "-1" else parse_duration_s(call.timeout)


def stop(call: Invocation) -> Text:
    return _each(call, lambda container: container.stop(_timeout(call), call.signal))


def start(call: Invocation) -> Text:
    return _each(call, Container.start)


def restart(call: Invocation) -> Text:
    return _each(call, lambda container: container.restart(_timeout(call), call.signal))


def kill(call: Invocation) -> Text:
    return _each(call, lambda container: container.kill(call.signal))


def remove(call: Invocation) -> Text:
    return _each(call, lambda container: container.remove(force=call.force))


def wait(call: Invocation) -> Text:
    return Text("\n".join(for_each(call, call.containers, lambda name: str(call.engine.containers.get(name).wait()))))


def _each(call: Invocation, action: Any) -> Text:
    def act(name: str) -> None:
        action(call.engine.containers.get(name))

    return Text("\n".join(for_each(call, call.containers, act)))


def inspect(call: Invocation) -> Any:
    """The documents of containers and images; a container comes before an image of the same name, as in Docker."""
    if call.type not in (None, "container", "image"):
        raise InvalidArgument(f"inspect: cannot inspect a {call.type!r}", "--type is container or image")
    documents: list[dict[str, Any]] = []
    for name in call.names:
        try:
            documents.append(_document(call, name))
        except NotFound:
            if documents:
                call.on_output(1, f"{format_document(documents, call.format)}\n".encode())
            raise
    return format_document(documents, call.format)


def _document(call: Invocation, name: str) -> dict[str, Any]:
    if call.type != "image":
        try:
            return call.engine.containers.get(name).inspect()
        except NotFound:
            if call.type == "container":
                raise
    try:
        image = call.engine.images.find(name)
    except InvalidArgument:
        image = None
    if image is None:
        what = "image" if call.type == "image" else "container or image"
        raise NotFound(f"no such {what}: {name}", "`ps -a` and `images` list what there is")
    return image.inspect()


def explain(call: Invocation) -> Any:
    return call.engine.containers.get(call.container).explain()


def prune(call: Invocation) -> Text:
    removed = call.engine.containers.prune()
    return Text("\n".join(["Deleted containers:", *removed]) if removed else "no container to delete")


_TIMEOUT = Flag(("-t", "--timeout", "--time"), "seconds before SIGKILL, -1 for never", metavar="SECONDS", default="10")
_STOP_FLAGS = (_TIMEOUT, Flag(("-s", "--signal"), "this signal instead of the container's stop signal", metavar="SIGNAL"))

COMMANDS = (
    Command("start", "Start containers that do not run", start, (), (CONTAINERS,)),
    Command("stop", "Stop running containers", stop, _STOP_FLAGS, (CONTAINERS,)),
    Command("restart", "Stop containers and start them again", restart, _STOP_FLAGS, (CONTAINERS,)),
    Command(
        "kill",
        "Send a signal to containers",
        kill,
        (Flag(("-s", "--signal"), "the signal", metavar="SIGNAL", default="KILL"),),
        (CONTAINERS,),
    ),
    Command(
        "rm",
        "Remove containers",
        remove,
        (
            Flag(("-f", "--force"), "running ones, too", "switch"),
            Flag(("-v", "--volumes"), "with anonymous volumes, of which there are none yet", "switch"),
        ),
        (CONTAINERS,),
        ("remove",),
    ),
    Command("wait", "Wait until containers end, and print their exit codes", wait, (), (CONTAINERS,)),
    Command(
        "ps",
        "List containers",
        ps,
        (
            Flag(("-a", "--all"), "those that do not run, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("-n", "--last"), "the last created ones, whatever their state", metavar="NUMBER"),
            Flag(("-l", "--latest"), "the one created last, whatever its state", "switch"),
            Flag(("--no-trunc",), "whole ids and commands", "switch"),
            Flag(
                ("-f", "--filter"), "KEY=VALUE with id, name, status, exited, label, network or ancestor; repeatable", "list", "KEY=VALUE"
            ),
            Flag(("--format",), "table, json, or such as {{.Names}} {{.Status}}", metavar="TEMPLATE"),
        ),
        (),
        ("ls", "list"),
    ),
    Command(
        "inspect",
        "Show all that is known of containers or images",
        inspect,
        (
            Flag(("-f", "--format"), "json, or such as {{.State.Status}} or {{json .Config}}", metavar="TEMPLATE"),
            Flag(("--type",), "only a container, or only an image", metavar="TYPE"),
        ),
        (Argument("names", "names or ids", "+", "container image"),),
    ),
    Command("explain", "List the kernel operations that made a container", explain, (), (CONTAINER,)),
    Command(
        "prune",
        "Remove every container that does not run",
        prune,
        (Flag(("-f", "--force"), "do not ask, which it never does", "switch"),),
    ),
)
