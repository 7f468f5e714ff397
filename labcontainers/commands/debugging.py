"""The subcommand `build debug`: a look into a step of a build that failed; it must not know widgets: it returns a value."""

from __future__ import annotations

from typing import Any

from labcontainers.commands import attached
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.parser import Argument, Flag
from labcontainers.commands.stream_flags import DETACH_KEYS, INTERACTIVE, SIG_PROXY, TTY, keys_of

WORDS = {"debug": "build debug"}


def debug(call: Invocation) -> Any:
    """The failed step; or, with a command or -it, a container in it, which is removed at its end."""
    keys_of(call)
    failed = call.engine.images.failed_steps.get(call.name)
    if call.rm:
        failed.remove()
        return None
    command = list(call.command)
    if not command and not (call.interactive or call.tty):
        return failed
    if call.tty:
        attached.check_terminal(call, stdin=call.interactive)
    if attached.is_held(call):
        container = failed.create(command, tty=call.tty, stdin_open=call.interactive, remove=True)
        attached.run(call, container, stdin=call.interactive)
        return None
    result = failed.run(command, on_output=call.on_output, keep_output=not call.live)
    if not call.no_raise:
        result.check()
    return result


COMMANDS = (
    Command(
        "build debug",
        "Look around in a build's step that failed, as it was then; nothing changes it",
        debug,
        (
            INTERACTIVE,
            TTY,
            DETACH_KEYS,
            SIG_PROXY,
            Flag(("--no-raise",), "return the result whatever the exit code", "switch"),
            Flag(("--rm",), "keep it no longer", "switch"),
        ),
        (
            Argument("name", "tag or context folder of the build; the last one that failed", "?"),
            Argument("command", "program and its arguments; without one, with -it, the step's shell", "rest"),
        ),
    ),
)
