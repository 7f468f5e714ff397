"""The subcommands on containers; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from typing import Any

from labcontainers.commands.command import Argument, Command, Flag, Invocation
from labcontainers.commands.formatting import format_document
from labcontainers.commands.listing import Listing, Text
from labcontainers.containers.container import Container
from labcontainers.errors import InvalidArgument, LabError, NotFound
from labcontainers.units import format_age, parse_duration_s

_RUN_FLAGS = (
    Flag(("--name",), "name of the container", metavar="NAME"),
    Flag(("-e", "--env"), "environment variable NAME=VALUE; repeatable", "list", "NAME=VALUE"),
    Flag(("-v", "--volume"), "folder or file of this machine SOURCE:TARGET[:ro]; repeatable", "list", "SOURCE:TARGET", completes="path"),
    Flag(("--tmpfs",), "temporary file system TARGET[:size=…]; repeatable", "list", "TARGET"),
    Flag(("-w", "--workdir"), "working directory inside the container", metavar="PATH"),
    Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
    Flag(("-m", "--memory"), "memory limit, such as 512m", metavar="SIZE"),
    Flag(("--cpus",), "number of CPUs, such as 0.5", metavar="NUMBER"),
    Flag(("--pids-limit",), "most processes and threads", metavar="NUMBER"),
    Flag(("-p", "--publish"), "publish a port HOST:CONTAINER; repeatable", "list", "HOST:CONTAINER"),
    Flag(("--network",), "network: bridge, none or host", metavar="NETWORK", completes="network"),
    Flag(("--entrypoint",), "program to run instead of the image's ENTRYPOINT", metavar="PROGRAM"),
    Flag(("-l", "--label"), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
    Flag(("-h", "--hostname"), "host name inside the container", metavar="NAME"),
    Flag(("--read-only",), "make the image's file system read-only", "switch"),
    Flag(("--security-opt",), "no-new-privileges", "list", "OPTION"),
    Flag(("--stop-signal",), "signal that stop sends", metavar="SIGNAL"),
)
_IMAGE = (Argument("image", "image to run", "1", "image"), Argument("command", "program and its arguments", "rest"))
_CONTAINER = Argument("container", "name or id", "1", "container")
_CONTAINERS = Argument("containers", "names or ids", "+", "container")


def _options(call: Invocation) -> dict[str, Any]:
    """The flags of `run` and `create` as keywords of the engine."""
    return {
        "name": call.name,
        "environment": call.env or None,
        "volumes": call.volume or None,
        "tmpfs": call.tmpfs or None,
        "working_dir": call.workdir,
        "user": call.user,
        "mem_limit": call.memory,
        "cpus": call.cpus,
        "pids_limit": call.pids_limit,
        "ports": call.publish or None,
        "network": call.network,
        "entrypoint": call.entrypoint,
        "labels": call.label or None,
        "hostname": call.hostname,
        "read_only": call.read_only or None,
        "security_opt": call.security_opt or None,
        "stop_signal": call.stop_signal,
    }


def run(call: Invocation) -> Any:
    """A cell's body is the script: fed to the command, or to `sh -s` where none is given."""
    command = list(call.command)
    stdin: str | int | None = call.stdin if call.interactive else None
    if call.body is not None:
        stdin, command = call.body, command or ["sh", "-s"]
    if call.detach and stdin is not None:
        raise InvalidArgument("run: -d and standard input cannot be combined", "leave -d or the script out")
    options = {**_options(call), "remove": call.rm or None}
    if call.detach:
        return call.engine.containers.run(call.image, command, detach=True, **options)
    result = call.engine.containers.run(call.image, command, stdin=stdin, on_output=call.on_output, **options)
    if not call.no_raise:
        result.check()
    return result


def create(call: Invocation) -> Container:
    return call.engine.containers.create(call.image, list(call.command), **_options(call))


def exec_(call: Invocation) -> Any:
    command = list(call.command)
    stdin: str | int | None = call.stdin if call.interactive else None
    if call.body is not None:
        stdin, command = call.body, command or ["sh", "-s"]
    result = call.engine.containers.get(call.container).exec(
        command,
        environment=call.env or None,
        user=call.user,
        working_dir=call.workdir,
        stdin=stdin,
        on_output=call.on_output,
        detach=call.detach,
    )
    if not call.no_raise:
        result.check()
    return result


def _ports(container: Container) -> str:
    return ", ".join(map(str, container.ports)) if container.status == "running" else ""


def ps(call: Invocation) -> Any:
    containers = call.engine.containers.list(all=call.all, filters=_filters(call.filter))
    if call.quiet:
        return Text("\n".join(container.id if call.no_trunc else container.short_id for container in containers))
    now = time.time()

    def command(container: Container) -> str:
        text = '"' + " ".join(container.command).replace("\n", " ") + '"'
        return text if call.no_trunc or len(text) <= 24 else text[:22] + '…"'

    return Listing(
        containers,
        {
            "CONTAINER ID": lambda container: container.id if call.no_trunc else container.short_id,
            "IMAGE": lambda container: container.image,
            "COMMAND": command,
            "CREATED": lambda container: f"{format_age(now - container.created_at)} ago",
            "STATUS": Container.summary,
            "PORTS": _ports,
            "NAMES": lambda container: container.name,
        },
    )


def _filters(texts: list[str]) -> dict[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise InvalidArgument(f"invalid filter {text!r}", "write KEY=VALUE, such as status=exited")
        filters.setdefault(key, []).append(value)
    return filters


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch, from a duration before now ("10m"), a Unix time or an RFC 3339 time."""
    if text is None:
        return None
    from datetime import datetime

    try:
        return time.time() - parse_duration_s(text) if text[-1:] in "smh" else float(text)
    except (InvalidArgument, ValueError):
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise InvalidArgument(f"not a time: {text!r}", "write a duration such as 10m, or 2026-01-31T12:00:00Z") from None


def logs(call: Invocation) -> Any:
    found = call.engine.containers.get(call.container).logs(
        stdout=not call.stderr or call.stdout,
        stderr=not call.stdout or call.stderr,
        tail=call.tail,
        since=_moment(call.since),
        until=_moment(call.until),
        timestamps=call.timestamps,
        follow=call.follow,
    )
    if not call.follow:
        return found
    for line in found:
        call.on_output(line.stream, (found.render(line) + "\n").encode())
    return None


def _each(call: Invocation, action: Any) -> Text:
    """Do it to every container named, and tell of all failures at the end."""
    done, failures = [], []
    for name in call.containers:
        try:
            action(call.engine.containers.get(name))
            done.append(name)
        except LabError as error:
            failures.append(error)
    if failures:
        if len(failures) > 1:
            raise NotFound("; ".join(error.message for error in failures), failures[0].hint)
        raise failures[0]
    return Text("\n".join(done))


def _seconds(text: str) -> float:
    return parse_duration_s(text)


def stop(call: Invocation) -> Text:
    return _each(call, lambda container: container.stop(_seconds(call.timeout)))


def start(call: Invocation) -> Text:
    return _each(call, Container.start)


def restart(call: Invocation) -> Text:
    return _each(call, lambda container: container.restart(_seconds(call.timeout)))


def kill(call: Invocation) -> Text:
    return _each(call, lambda container: container.kill(call.signal))


def remove(call: Invocation) -> Text:
    return _each(call, lambda container: container.remove(force=call.force))


def wait(call: Invocation) -> Text:
    return Text("\n".join(str(call.engine.containers.get(name).wait()) for name in call.containers))


def stats(call: Invocation) -> Any:
    chosen = [call.engine.containers.get(name) for name in call.containers] or call.engine.containers.list()
    first = {container.id: container.stats() for container in chosen}
    time.sleep(0.2)
    samples = [(container, container.sample(first[container.id])) for container in chosen]
    names = ("CPU %", "MEM USAGE / LIMIT", "NET I/O", "BLOCK I/O", "PIDS")
    columns: dict[str, Any] = {"CONTAINER ID": lambda row: row[0].short_id, "NAME": lambda row: row[0].name}
    columns |= {name: lambda row, name=name: row[1].columns()[name] for name in names}
    return Listing(samples, columns)


def inspect(call: Invocation) -> Any:
    documents = []
    for name in call.names:
        try:
            documents.append(call.engine.containers.get(name).inspect())
        except NotFound:
            image = call.engine.images.find(name)
            if image is None:
                raise NotFound(f"no such container or image: {name}", "`ps -a` and `images` list what there is") from None
            documents.append(image.inspect())
    return format_document(documents, call.format)


def explain(call: Invocation) -> Any:
    return call.engine.containers.get(call.container).explain()


def prune(call: Invocation) -> Text:
    removed = call.engine.containers.prune()
    return Text("\n".join(["Deleted containers:", *removed]) if removed else "no container to delete")


_EXEC_FLAGS = (
    Flag(("-d", "--detach"), "do not wait for it", "switch"),
    Flag(("-i", "--interactive"), "pass standard input on", "switch"),
    Flag(("-e", "--env"), "environment variable NAME=VALUE; repeatable", "list", "NAME=VALUE"),
    Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
    Flag(("-w", "--workdir"), "working directory", metavar="PATH"),
    Flag(("--no-raise",), "return the result whatever the exit code", "switch"),
)
_TIMEOUT = Flag(("-t", "--timeout", "--time"), "seconds before SIGKILL", metavar="SECONDS", default="10")
_SIGNAL = Flag(("-s", "--signal"), "the signal", metavar="SIGNAL", default="KILL")

COMMANDS = (
    Command(
        "run",
        "Create a container of an image and run a command in it",
        run,
        (
            Flag(("-d", "--detach"), "go on without waiting", "switch"),
            Flag(("--rm",), "remove it when it ends", "switch"),
            Flag(("-i", "--interactive"), "pass standard input on", "switch"),
            Flag(("--no-raise",), "return the result whatever the exit code", "switch"),
            *_RUN_FLAGS,
        ),
        _IMAGE,
    ),
    Command("create", "Create a container without starting it", create, _RUN_FLAGS, _IMAGE),
    Command("start", "Start containers that do not run", start, (), (_CONTAINERS,)),
    Command(
        "exec",
        "Run a command in a running container",
        exec_,
        _EXEC_FLAGS,
        (_CONTAINER, Argument("command", "program and its arguments", "rest")),
    ),
    Command(
        "ps",
        "List containers",
        ps,
        (
            Flag(("-a", "--all"), "those that do not run, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("--no-trunc",), "whole ids and commands", "switch"),
            Flag(("-f", "--filter"), "KEY=VALUE with id, name, status, label or ancestor; repeatable", "list", "KEY=VALUE"),
        ),
    ),
    Command(
        "logs",
        "Show the output of a container",
        logs,
        (
            Flag(("-f", "--follow"), "go on until it ends", "switch"),
            Flag(("-n", "--tail"), "only the last lines", metavar="NUMBER", default="all"),
            Flag(("--since",), "from this time on: 10m, or 2026-01-31T12:00:00Z", metavar="TIME"),
            Flag(("--until",), "up to this time", metavar="TIME"),
            Flag(("-t", "--timestamps"), "with times", "switch"),
            Flag(("--stdout",), "only standard output", "switch"),
            Flag(("--stderr",), "only standard error", "switch"),
        ),
        (_CONTAINER,),
    ),
    Command("stop", "Stop running containers", stop, (_TIMEOUT,), (_CONTAINERS,)),
    Command("restart", "Stop containers and start them again", restart, (_TIMEOUT,), (_CONTAINERS,)),
    Command("kill", "Send a signal to containers", kill, (_SIGNAL,), (_CONTAINERS,)),
    Command("rm", "Remove containers", remove, (Flag(("-f", "--force"), "running ones, too", "switch"),), (_CONTAINERS,)),
    Command("wait", "Wait until containers end, and print their exit codes", wait, (), (_CONTAINERS,)),
    Command(
        "stats",
        "Show what running containers use",
        stats,
        (Flag(("--no-stream",), "one sample (the only form yet)", "switch"),),
        (Argument("containers", "names or ids", "*", "container"),),
    ),
    Command(
        "inspect",
        "Show all that is known of containers or images",
        inspect,
        (Flag(("-f", "--format"), "a path such as {{.State.Status}} or {{json .Config}}", metavar="TEMPLATE"),),
        (Argument("names", "names or ids", "+", "container"),),
    ),
    Command("explain", "List the kernel operations that made a container", explain, (), (_CONTAINER,)),
    Command("prune", "Remove every container that does not run", prune),
)
