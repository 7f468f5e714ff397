"""The subcommand `terminal`: somebody sits down in a container; it must not know widgets: in a notebook it returns what magics show."""

from __future__ import annotations

from labcontainers.commands import attached, terminal
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.create_flags import ENVIRONMENT, environment_of
from labcontainers.commands.isolation_flags import PRIVILEGED
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.attaching.terminal import Terminal
from labcontainers.errors import InvalidArgument


def sit_down(call: Invocation) -> Terminal | None:
    """In a notebook the terminal, to be shown; at a user's own terminal, that is it until the command ends."""
    if call.stdin is not None and not terminal.is_terminal(call.stdin):
        raise InvalidArgument("the input device is not a TTY", "use a terminal, or `exec -i` for input that is piped")
    wanted = call.engine.containers.get(call.container).terminal(
        list(call.command) or None,
        attach=call.attach,
        environment=environment_of(call),
        user=call.user,
        working_dir=call.workdir,
        privileged=call.privileged,
        rows=_number(call.rows, "--rows"),
        columns=_number(call.cols, "--cols"),
    )
    if call.stdin is None:
        return wanted
    rows, columns = attached.user_size(call)
    attached.finish(wanted.open(rows, columns), call, source=call.stdin)
    return None


def _number(text: str | None, flag: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidArgument(f"{flag}: {text!r} is no number", "write a number of characters, such as 30")
    return int(text)


COMMANDS = (
    Command(
        "terminal",
        "Show a terminal in a running container: its shell, or another command",
        sit_down,
        (
            Flag(("--attach",), "the container's own terminal, if it was made with -t -i", "switch"),
            Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
            Flag(("-w", "--workdir"), "working directory", metavar="PATH"),
            *ENVIRONMENT,
            PRIVILEGED,
            Flag(("--rows",), "height in lines, 24 if not said", metavar="NUMBER"),
            Flag(("--cols", "--columns"), "width in characters, as wide as the page if not said", metavar="NUMBER"),
        ),
        (Argument("container", "name or id", "1", "container"), Argument("command", "program and its arguments", "rest")),
    ),
)
