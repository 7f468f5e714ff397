"""The subcommands that execute something: run, create and exec; it must not know widgets: each returns a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.container import Container
from labcontainers.errors import InvalidArgument, Unsupported

_ENVIRONMENT = (
    Flag(("-e", "--env"), "environment variable NAME=VALUE, or NAME to pass it on; repeatable", "list", "NAME=VALUE"),
    Flag(("--env-file",), "file with one NAME=VALUE in a line; repeatable", "list", "FILE", completes="path"),
)
_CREATE_FLAGS = (
    Flag(("--name",), "name of the container", metavar="NAME"),
    *_ENVIRONMENT,
    Flag(("-v", "--volume"), "folder or file of this machine SOURCE:TARGET[:ro]; repeatable", "list", "SOURCE:TARGET", completes="path"),
    Flag(("--tmpfs",), "temporary file system TARGET[:size=…]; repeatable", "list", "TARGET"),
    Flag(("-w", "--workdir"), "working directory inside the container", metavar="PATH"),
    Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
    Flag(("-m", "--memory"), "memory limit, such as 512m", metavar="SIZE"),
    Flag(("--cpus",), "number of CPUs, such as 0.5", metavar="NUMBER"),
    Flag(("--pids-limit",), "most processes and threads", metavar="NUMBER"),
    Flag(("-p", "--publish"), "publish a port HOST:CONTAINER; repeatable", "list", "HOST:CONTAINER"),
    Flag(("--network", "--net"), "network: bridge, none or host", metavar="NETWORK", completes="network"),
    Flag(("--entrypoint",), "program to run instead of the image's ENTRYPOINT", metavar="PROGRAM"),
    Flag(("-l", "--label"), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
    Flag(("--label-file",), "file with one KEY=VALUE in a line; repeatable", "list", "FILE", completes="path"),
    Flag(("-h", "--hostname"), "host name inside the container", metavar="NAME"),
    Flag(("--read-only",), "make the image's file system read-only", "switch"),
    Flag(("--security-opt",), "no-new-privileges", "list", "OPTION"),
    Flag(("--stop-signal",), "signal that stop sends", metavar="SIGNAL"),
    Flag(("--rm",), "remove it when it ends", "switch"),
)
_DETACH = Flag(("-d", "--detach"), "go on without waiting", "switch")
_INTERACTIVE = Flag(("-i", "--interactive"), "pass standard input on", "switch")
_NO_RAISE = Flag(("--no-raise",), "return the result whatever the exit code", "switch")
_IMAGE = (Argument("image", "image to run", "1", "image"), Argument("command", "program and its arguments", "rest"))


def entries_of(files: list[str], folder: Path, flag: str) -> list[str]:
    """The lines of files as for --env-file: no quotes, no continuation; empty lines and those that begin with # do not count.

    Source: docs.docker.com "docker run", --env-file.
    """
    entries = []
    for name in files:
        path = folder / Path(name).expanduser()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "not UTF-8"
            raise InvalidArgument(f"{flag} {name}: {reason}", "name a text file with one NAME=VALUE in a line") from None
        for number, line in enumerate(text.split("\n"), 1):
            entry = line.rstrip("\r").lstrip()
            if not entry or entry.startswith("#"):
                continue
            key = entry.partition("=")[0]
            if not key or any(map(str.isspace, key)):
                raise InvalidArgument(f"{flag} {name}:{number}: not a name: {key!r}", "write NAME=VALUE, without spaces around =")
            entries.append(entry)
    return entries


def _environment(call: Invocation) -> list[str] | None:
    return [*entries_of(call.env_file, call.folder, "--env-file"), *call.env] or None


def _options(call: Invocation) -> dict[str, Any]:
    """The flags of `run` and `create` as keywords of the engine."""
    return {
        "name": call.name,
        "environment": _environment(call),
        "volumes": [_volume(text, call.folder) for text in call.volume] or None,
        "tmpfs": call.tmpfs or None,
        "working_dir": call.workdir,
        "user": call.user,
        "mem_limit": call.memory,
        "cpus": call.cpus,
        "pids_limit": call.pids_limit,
        "ports": call.publish or None,
        "network": call.network,
        "entrypoint": call.entrypoint,
        "labels": [*entries_of(call.label_file, call.folder, "--label-file"), *call.label] or None,
        "hostname": call.hostname,
        "read_only": call.read_only or None,
        "security_opt": call.security_opt or None,
        "stop_signal": call.stop_signal,
        "remove": call.rm or None,
    }


def _volume(text: str, folder: Path) -> str:
    """A relative source is meant from the folder that the command is given in."""
    source, colon, rest = text.partition(":")
    return f"{folder / source}{colon}{rest}" if colon and source.startswith(".") else text


def _standard_input(call: Invocation) -> str | int | None:
    """What is fed: a cell's body, or with -i the terminal's own input."""
    if call.body is not None:
        return call.body
    if not call.interactive:
        return None
    if call.stdin is None:
        raise Unsupported("a cell has no standard input to pass on with -i", "give the text as the cell's body: %%container …")
    if call.detach:
        raise Unsupported("-d with -i: standard input of a detached container is not kept open", "leave -i out")
    return call.stdin


def _command(call: Invocation) -> list[str]:
    """A cell's body is a script for `sh -s` where no command is given."""
    return list(call.command) or (["sh", "-s"] if call.body is not None else [])


def run(call: Invocation) -> Any:
    """Run it; a cell's body is fed to the command, or to `sh -s` where none is given."""
    command, stdin, options = _command(call), _standard_input(call), _options(call)
    containers = call.engine.containers
    if call.detach:
        return containers.run(call.image, command, detach=True, stdin=stdin, **options)
    result = containers.run(call.image, command, stdin=stdin, on_output=call.on_output, keep_output=not call.live, **options)
    if not call.no_raise:
        result.check()
    return result


def create(call: Invocation) -> Container:
    """Create it; `start` starts it."""
    return call.engine.containers.create(call.image, list(call.command), **_options(call))


def execute_in(call: Invocation) -> Any:
    """`exec`: as `run`, in a container that runs."""
    result = call.engine.containers.get(call.container).exec(
        _command(call),
        environment=_environment(call),
        user=call.user,
        working_dir=call.workdir,
        stdin=_standard_input(call),
        on_output=call.on_output,
        detach=call.detach,
        keep_output=not call.live,
    )
    if not call.no_raise:
        result.check()
    return None if call.detach else result


COMMANDS = (
    Command(
        "run",
        "Create a container of an image and run a command in it",
        run,
        (_DETACH, _INTERACTIVE, _NO_RAISE, *_CREATE_FLAGS),
        _IMAGE,
    ),
    Command("create", "Create a container without starting it", create, _CREATE_FLAGS, _IMAGE),
    Command(
        "exec",
        "Run a command in a running container",
        execute_in,
        (
            _DETACH,
            _INTERACTIVE,
            _NO_RAISE,
            *_ENVIRONMENT,
            Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
            Flag(("-w", "--workdir"), "working directory", metavar="PATH"),
        ),
        (Argument("container", "name or id", "1", "container"), Argument("command", "program and its arguments", "rest")),
    ),
)
