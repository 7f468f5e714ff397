"""The table of all subcommands, and the way from words to a value; it must not know who asks."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labcontainers.commands import containers, images, system
from labcontainers.commands.command import Argument, Command, Invocation, Output
from labcontainers.commands.listing import Text
from labcontainers.engine.engine import Engine
from labcontainers.errors import InvalidArgument, Unsupported

# What Docker has and this engine has not yet, so that asking for it is told apart from a slip of the pen.
LATER = (
    "attach", "buildx", "commit", "compose", "cp", "diff", "export", "history", "import", "load", "login", "logout", "manifest", "pause",
    "plugin", "port", "pull", "push", "rename", "save", "search", "top", "unpause", "update", "volume",
)  # fmt: skip


def _help(call: Invocation) -> Text:
    if call.command:
        return Text(find(call.command).help_text())
    width = max(map(len, COMMANDS))
    lines = ["Usage:  COMMAND [OPTIONS] …", "", *(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items())]
    return Text("\n".join([*lines, "", "`help COMMAND` tells more of one."]))


COMMANDS = {
    command.name: command
    for command in (
        *containers.COMMANDS,
        *images.COMMANDS,
        *system.COMMANDS,
        Command("help", "Show this, or the flags of one command", _help, (), (Argument("command", "the command", "?", "command"),)),
    )
}


def find(name: str) -> Command:
    """The command; raises Unsupported for one that Docker has, InvalidArgument for any other."""
    found = COMMANDS.get(name)
    if found is not None:
        return found
    if name in LATER:
        raise Unsupported(f"{name} is not supported yet", "`help` lists what is")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    raise InvalidArgument(f"unknown command {name!r}", f"did you mean {near[0]}?" if near else "`help` lists all commands")


def print_output(stream: int, data: bytes) -> None:
    """Pass output on to this process' own streams."""
    target = sys.stdout if stream == 1 else sys.stderr
    target.write(data.decode("utf-8", "replace"))
    target.flush()


def execute(
    engine: Callable[[], Engine],
    words: Sequence[str],
    *,
    on_output: Output = print_output,
    on_event: Callable[[Any], None] = lambda event: None,
    folder: Path | None = None,
    body: str | None = None,
    stdin: int | None = None,
) -> Any:
    """Carry out the command that `words` say; its value. The engine is made only when the words are understood.

    `body` is a cell's text, for `run`, `exec` and `build`; `on_event` gets a build's events. Raises LabError.
    """
    if not words:
        words = ["help"]
    command = find(words[0])
    arguments = command.parse(words[1:])
    if arguments.help:
        return Text(command.help_text())
    if body is not None and command.name not in ("run", "exec", "build"):
        raise InvalidArgument(f"{command.name} takes no cell body", "use %container for it")
    if command.name == "help":
        return _help_value(arguments)
    return command.function(Invocation(engine(), arguments, on_output, on_event, folder or Path.cwd(), body, stdin))


def _help_value(arguments: Any) -> Text:
    return _help(Invocation(None, arguments, print_output, lambda event: None, Path()))  # type: ignore[arg-type]
