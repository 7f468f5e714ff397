"""The subcommands that execute something: run, create and exec; it must not know widgets: each returns a value."""

from __future__ import annotations

from typing import Any

from labcontainers.commands import attached
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.create_flags import CREATE_FLAGS, ENVIRONMENT, environment_of, keywords_of
from labcontainers.commands.isolation_flags import PRIVILEGED
from labcontainers.commands.parser import Argument, Flag
from labcontainers.commands.process_flags import image_of
from labcontainers.commands.stepping import STEP, check_steps
from labcontainers.commands.stream_flags import (
    DETACH_KEYS,
    INTERACTIVE,
    NO_OUTPUT,
    NO_OUTPUT_OR_QUIET,
    NO_RAISE,
    SIG_PROXY,
    TIMEOUT,
    TTY,
    keys_of,
    limit_of,
    output_of,
)
from labcontainers.containers.container import Container
from labcontainers.errors import Unsupported

_DETACH = Flag(("-d", "--detach"), "go on without waiting", "switch")
_DRY_RUN = Flag(("--dry-run",), "show the kernel operations that it would take, without doing any", "switch")
_IMAGE = (Argument("image", "image to run", "1", "image"), Argument("command", "program and its arguments", "rest"))


def _standard_input(call: Invocation) -> str | int | None:
    """What is fed: a cell's body, or with -i the terminal's own input."""
    if call.body is not None:
        return call.body
    if not call.interactive or call.detach:
        return None
    if call.stdin is None:
        raise Unsupported("a cell has no standard input to pass on with -i", "give the text as the cell's body: %%container …")
    return call.stdin


def _command(call: Invocation) -> list[str]:
    """A cell's body is a script for `sh -s` where no command is given."""
    return list(call.command) or (["sh", "-s"] if call.body is not None else [])


def run(call: Invocation) -> Any:
    """Run it; a cell's body is fed to the command, or to `sh -s` where none is given."""
    keys_of(call)
    limit_s = limit_of(call)
    if call.step:
        check_steps(call, call.interactive or call.body is not None)
    elif call.tty and not call.detach:
        attached.check_terminal(call, stdin=call.interactive)
    command, stdin, options = _command(call), _standard_input(call), keywords_of(call)
    containers = call.engine.containers
    if call.dry_run:
        return containers.plan(None if call.rootfs else call.image, command, **options)
    image = image_of(call)
    if call.step:
        return containers.run(image, command, step=True, **options)
    if attached.is_held(call):
        attached.run(call, containers.create(image, command, **options), stdin=call.interactive)
        return None
    if call.detach:
        return containers.run(image, command, detach=True, stdin=stdin, **options)
    if limit_s is not None:
        options["timeout_s"] = limit_s
    result = containers.run(image, command, stdin=stdin, on_output=output_of(call), keep_output=not call.live, **options)
    if not call.no_raise:
        result.check()
    return result


def create(call: Invocation) -> Container:
    """Create it; `start` starts it."""
    return call.engine.containers.create(image_of(call), list(call.command), **keywords_of(call))


def execute_in(call: Invocation) -> Any:
    """`exec`: as `run`, in a container that runs."""
    keys_of(call)
    limit_s = limit_of(call)
    if call.tty and not call.detach:
        attached.check_terminal(call, stdin=call.interactive)
    if attached.is_held(call):
        options = {
            "environment": environment_of(call),
            "user": call.user or None,
            "working_dir": call.workdir or None,
            "privileged": call.privileged,
        }
        attached.execute(call, call.engine.containers.get(call.container), _command(call), options)
        return None
    result = call.engine.containers.get(call.container).exec(
        _command(call),
        environment=environment_of(call),
        user=call.user or None,
        working_dir=call.workdir or None,
        stdin=_standard_input(call),
        on_output=output_of(call),
        detach=call.detach,
        keep_output=not call.live,
        privileged=call.privileged,
        tty=call.tty,
        timeout_s=limit_s,
    )
    if not call.no_raise:
        result.check()
    return None if call.detach else result


COMMANDS = (
    Command(
        "run",
        "Create a container of an image and run a command in it",
        run,
        (_DETACH, DETACH_KEYS, SIG_PROXY, NO_RAISE, TIMEOUT, NO_OUTPUT, STEP, _DRY_RUN, *CREATE_FLAGS),
        _IMAGE,
    ),
    Command("create", "Create a container without starting it", create, CREATE_FLAGS, _IMAGE),
    Command(
        "exec",
        "Run a command in a running container",
        execute_in,
        (
            _DETACH,
            INTERACTIVE,
            TTY,
            DETACH_KEYS,
            NO_RAISE,
            TIMEOUT,
            NO_OUTPUT_OR_QUIET,
            *ENVIRONMENT,
            PRIVILEGED,
            Flag(("-u", "--user"), "user or id, and group: USER[:GROUP]", metavar="USER"),
            Flag(("-w", "--workdir"), "working directory", metavar="PATH"),
        ),
        (Argument("container", "name or id", "1", "container"), Argument("command", "program and its arguments", "rest")),
    ),
)
