"""The table of all subcommands, and the way from words to a value; it must not know who asks."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.build.cancelling import Cancel
from labcontainers.commands import (
    archives,
    attached,
    autopsies,
    bootstrap,
    build,
    builder,
    containers,
    dashboards,
    debugging,
    dockerfiles,
    events,
    files,
    image_listing,
    images,
    inspect,
    isolation,
    later,
    layers,
    locking,
    manifests,
    networks,
    rollback,
    run,
    sharing,
    space,
    system,
    terminals,
    transfer,
    views,
    volumes,
    watch,
)
from labcontainers.commands.command import PROGRAM, Command, Invocation, Output
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.engine.engine import Engine
from labcontainers.errors import InvalidArgument, Unsupported

# Docker's groups of commands, where a command has another name in them.
_GROUPS = {
    "container": {"ls": "ps", "list": "ps", "ps": "ps", "rm": "rm", "remove": "rm"},
    "image": {
        "ls": "images",
        "list": "images",
        "rm": "rmi",
        "remove": "rmi",
        "tag": "tag",
        "history": "history",
        "prune": "image prune",
        "build": "build",
        "inspect": "inspect",
        **archives.WORDS,
        **layers.WORDS,
        **sharing.WORDS,
        **transfer.WORDS,
        "at": "image at",
    },
    "build": debugging.WORDS,
    "dockerfile": dockerfiles.WORDS,
    "checkpoint": rollback.WORDS,
    "system": {"info": "info", "events": "events", **space.WORDS},
    "manifest": {word: f"manifest {word}" for word in manifests.WORDS},
    "network": {**{word: f"network {name}" for word, name in networks.WORDS.items()}, "prune": "network prune"},
    "builder": builder.WORDS,
    "buildx": builder.BUILDX_WORDS,
    "volume": {word: f"volume {name}" for word, name in volumes.WORDS.items()},
}

_OF_GROUPS_LATER = ("prune", "df", "dial-stdio")


def _help(call: Invocation) -> Text:
    if not call.command:
        return Text(_overview(call.program, {name: command.help for name, command in COMMANDS.items()}))
    group = call.command[0]
    if len(call.command) == 1 and group in _GROUPS and group not in _BY_NAME:
        # the first word of those that mean the same
        named = {find((group, word))[0].name: word for word in reversed(_words_after(group))}
        return Text(_overview(f"{call.program} {group}", {word: COMMANDS[name].help for name, word in reversed(named.items())}))
    return Text(find(call.command)[0].help_text(call.program))


def _overview(program: str, helps: Mapping[str, str]) -> str:
    width = max(map(len, helps))
    lines = [f"Usage:  {program} COMMAND [OPTIONS] …", "", *(f"  {name:<{width}}  {told}" for name, told in helps.items())]
    return "\n".join([*lines, "", f"`{program} COMMAND --help` tells more of one."])


COMMANDS = {
    command.name: command
    for command in (
        *run.COMMANDS,
        *attached.COMMANDS,
        *terminals.COMMANDS,
        *containers.COMMANDS,
        *isolation.COMMANDS,
        *autopsies.COMMANDS,
        *inspect.COMMANDS,
        *watch.COMMANDS,
        *events.COMMANDS,
        *files.COMMANDS,
        *rollback.COMMANDS,
        *image_listing.COMMANDS,
        *images.COMMANDS,
        *build.COMMANDS,
        *builder.COMMANDS,
        *debugging.COMMANDS,
        *dockerfiles.COMMANDS,
        *bootstrap.COMMANDS,
        *space.COMMANDS,
        *rollback.IMAGE_COMMANDS,
        *archives.COMMANDS,
        *layers.COMMANDS,
        *sharing.COMMANDS,
        *locking.COMMANDS,
        *transfer.COMMANDS,
        *manifests.COMMANDS,
        *volumes.COMMANDS,
        *networks.COMMANDS,
        *dashboards.COMMANDS,
        *system.COMMANDS,
        *views.COMMANDS,
        Command("help", "Show this, or the flags of one command", _help, (), (Argument("command", "the command", "*", "command"),)),
    )
}
_BY_NAME = {name: command for command in COMMANDS.values() for name in (command.name, *command.aliases)}


def words_of(group: str) -> tuple[str, ...]:
    """What may follow the name of a group of commands; nothing for what is no group."""
    return tuple(_GROUPS.get(group, ()))


def find(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command, and its own words; raises Unsupported for one that Docker has, InvalidArgument for any other."""
    name, *rest = words
    if name in _GROUPS and rest and not rest[0].startswith("-"):
        group = _GROUPS[name]
        if rest[0] == "inspect" and name in ("container", "image"):
            return COMMANDS["inspect"], ["--type", name, *rest[1:]]
        if rest[0] in group:
            return COMMANDS[group[rest[0]]], rest[1:]
        if name == "container" and rest[0] in _BY_NAME and rest[0] in _OF_CONTAINERS:
            return _BY_NAME[rest[0]], rest[1:]
        if name in _BY_NAME:  # a container's name follows it as well
            return _BY_NAME[name], rest
        name = f"{name} {rest[0]}"
        if rest[0] in _OF_GROUPS_LATER and name not in later.COMMANDS:
            raise Unsupported(f"{name} is not supported yet", "`help` lists what is")
    found = _BY_NAME.get(name)
    if found is not None:
        return found, rest
    if name in _GROUPS and rest and rest[0] in ("-h", "--help"):
        return COMMANDS["help"], [name]
    if name in _GROUPS:
        raise InvalidArgument(f"{name}: say what to do", f"write {name} followed by one of {', '.join(words_of(name))}")
    missing = later.COMMANDS.get(name) or later.COMMANDS.get(name.rpartition(" ")[2])
    if missing is not None:
        raise Unsupported(f"{name} is not supported yet: {missing}", "`help` lists what is")
    if name.startswith("-"):
        raise InvalidArgument(f"unknown flag: {name}", "flags stand after the command, such as ps -a")
    raise InvalidArgument(f"unknown command {name!r}", _nearest(name))


def _words_after(group: str) -> Sequence[str]:
    return [*words_of(group), *(sorted(_OF_CONTAINERS.difference(words_of(group))) if group == "container" else ())]


def _nearest(name: str) -> str:
    """A hint with the command that is most like `name`, which may be two words: those of a group are compared with each other."""
    group, blank, word = name.rpartition(" ")
    known = dict.fromkeys(_words_after(group) if blank else (*_BY_NAME, *_GROUPS))
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {group}{blank}{near[0]}?"
    return f"{group} is followed by one of {', '.join(known)}" if blank and known else "`help` lists all commands"


_OF_CONTAINERS = frozenset(
    command.name
    for command in (
        *run.COMMANDS,
        *attached.COMMANDS,
        *terminals.COMMANDS,
        *containers.COMMANDS,
        *isolation.COMMANDS,
        *autopsies.COMMANDS,
        *inspect.COMMANDS,
        *watch.COMMANDS,
        *files.COMMANDS,
        *rollback.COMMANDS,
        *views.COMMANDS,
    )
)


@dataclass(frozen=True, slots=True)
class Understood:
    """A command with the values of its flags and arguments."""

    command: Command
    arguments: Mapping[str, Any]


def understand(words: Sequence[str], extra: Sequence[Flag] = ()) -> Understood:
    """What `words` say; no words ask for help. `extra` are flags of whoever asks. Raises InvalidArgument and Unsupported."""
    command, rest = find(words or ["help"])
    return Understood(command, command.parse(rest, extra))


def print_output(stream: int, data: bytes) -> None:
    """Pass output on to this process' own streams."""
    target = sys.stdout if stream == 1 else sys.stderr
    target.write(data.decode("utf-8", "replace"))
    target.flush()


def execute(
    engine: Callable[[], Engine],
    said: Understood,
    *,
    on_output: Output = print_output,
    on_event: Callable[[Any], None] = lambda event: None,
    folder: Path | None = None,
    body: str | None = None,
    stdin: int | None = None,
    live: bool = False,
    screen: bool = False,
    program: str = PROGRAM,
    cancel: Cancel | None = None,
) -> Any:
    """Carry out what was understood; the command's value. The engine is made only if it is needed. Raises LabError.

    `body` is a cell's text, for `run`, `exec` and `build`; `on_event` gets a build's events; see Invocation for the rest.
    """
    command, arguments = said.command, said.arguments
    if arguments["help"]:
        return Text(command.help_text(program))
    if body is not None and command.name not in ("run", "exec", "build"):
        raise InvalidArgument(f"{command.name} takes no cell body", "use %container for it")
    where = folder or Path.cwd()
    return command.function(Invocation(engine, arguments, on_output, on_event, where, body, stdin, live, screen, program, cancel))
