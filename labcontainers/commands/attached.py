"""Runs, starts and execs that hold the user's own terminal or pipe, and `attach`; it must not know widgets.

In a notebook nobody can type: what needs that is refused, and says what to do instead.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from labcontainers.commands import terminal
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER, CONTAINERS
from labcontainers.commands.containers import start as start_detached
from labcontainers.commands.parser import Flag
from labcontainers.commands.stepping import STEP, check_steps
from labcontainers.commands.stream_flags import (
    DETACH_KEYS,
    NO_OUTPUT_OR_QUIET,
    NO_RAISE,
    SIG_PROXY,
    TIMEOUT,
    keys_of,
    limit_of,
    output_of,
)
from labcontainers.containers.attaching.attach import Attached, Attachment
from labcontainers.containers.container import Container
from labcontainers.containers.result import Collector, Output, RunResult, signal_text
from labcontainers.containers.time_limit import TimeLimit
from labcontainers.errors import ContainerExit, InvalidArgument, NotFound, TimedOut, Unsupported


def check_terminal(call: Invocation, *, stdin: bool) -> None:
    """With -t and input there must be somebody at a terminal; raises InvalidArgument, and Unsupported in a cell."""
    if call.body is not None:
        raise InvalidArgument("the input device is not a TTY: a cell's body is no terminal for -t", "leave -t out")
    if not stdin:
        return
    if call.stdin is None:
        raise Unsupported("a cell has no terminal for -it", "give the input as a body: %%container … -i; or run -dit, and .attach()")
    if not terminal.is_terminal(call.stdin):
        raise InvalidArgument("the input device is not a TTY", "leave -t out, or use a terminal")


def user_size(call: Invocation) -> tuple[int, int]:
    """The size of the user's terminal, if there is one."""
    return (0, 0) if call.stdin is None else terminal.size_of(1, call.stdin)


def finish(
    attached: Attached,
    call: Invocation,
    *,
    source: int | None,
    sig_proxy: bool = True,
    own: bool = False,
    on_output: Output | None = None,
    limit: TimeLimit | None = None,
) -> int | None:
    """Talk until it ends, and raise ContainerExit unless its exit code is 0, TimedOut when its time is over; None when it was detached."""
    limit = limit or TimeLimit(limit_of(call))
    with limit.watching(attached.end_by, give_up=attached.detach):
        code = terminal.converse(attached, on_output or output_of(call), source=source, sig_proxy=sig_proxy, own=own)
    if limit.timeout_s is not None and limit.timed_out and not call.arguments.get("no_raise"):
        raise TimedOut(attached.name, limit.timeout_s, 137 if code is None else code)
    if code and not call.arguments.get("no_raise"):
        raise ContainerExit(attached.name, code, "", signal_text(code))
    return code


def attach(call: Invocation) -> None:
    """`attach`: the streams of a container that runs, until it ends or is left."""
    keys = keys_of(call)
    container = call.engine.containers.get(call.container)
    stdin = not call.no_stdin and call.stdin is not None
    attached = container.attach(stdin=stdin, detach_keys=keys)
    if attached.tty and attached.stdin and not terminal.is_terminal(call.stdin):
        attached.close()
        raise InvalidArgument("the input device is not a TTY", "use a terminal, or --no-stdin")
    rows, columns = user_size(call)
    if attached.tty and rows and columns:
        # Another size first, so that a program which paints does it again.
        attached.resize(rows + 1, columns + 1)
        attached.resize(rows, columns)
    finish(attached, call, source=call.stdin if stdin else None, sig_proxy=call.sig_proxy)


def start(call: Invocation) -> Any:
    """Start containers; with -a or -i one, attached from its first byte on."""
    if call.step:
        check_steps(call, call.attach or call.interactive)
        if len(call.containers) > 1:
            raise InvalidArgument("one container at a time is started step by step", "name one")
        return call.engine.containers.get(call.containers[0]).start(step=True)
    if not call.attach and not call.interactive:
        if limit_of(call) is not None:
            raise InvalidArgument("--timeout: without -a nobody waits", "start it with -a, or leave --timeout out")
        return start_detached(call)
    if len(call.containers) > 1:
        raise InvalidArgument("you cannot start and attach multiple containers at once", "name one, or leave -a and -i out")
    keys = keys_of(call)
    limit = TimeLimit(limit_of(call))
    container = call.engine.containers.get(call.containers[0])
    if call.interactive:
        if container.tty:
            check_terminal(call, stdin=True)
        elif call.stdin is None:
            raise Unsupported("a cell has no standard input to pass on with -i", "start it without -i, and use .attach()")
    if container.status == "running":
        attached = container.attach(stdin=call.interactive, detach_keys=keys)
    else:
        attached = container.start_open(stdin=call.interactive, size=user_size(call), detach_keys=keys)
    began, collected = time.monotonic(), Collector(output_of(call), keep=not call.live)
    try:
        code = finish(attached, call, source=call.stdin if call.interactive else None, on_output=collected, limit=limit)
    except ContainerExit as error:
        with contextlib.suppress(NotFound):  # it was one with --rm
            error.autopsy = container.autopsy()
        raise
    if call.live or code is None:
        return None
    return RunResult(
        container.id,
        container.name,
        container.command,
        code,
        collected.stdout,
        collected.stderr,
        time.monotonic() - began,
        container.image,
        oom_killed=isinstance(attached, Attachment) and bool((attached.end or {}).get("oom_killed")),
        timeout_s=limit.spent_s,
    )


def is_held(call: Invocation) -> bool:
    """Whether a run or exec needs the user himself: for the terminal that it gets, or as who types."""
    if call.arguments.get("detach") or call.body is not None:
        return False
    if not call.arguments.get("sig_proxy", True):
        return True  # an interrupt is to leave it running
    if call.stdin is None:
        return False
    return bool(call.tty or (call.interactive and terminal.is_terminal(call.stdin)) or _quiet(call))


def _quiet(call: Invocation) -> bool:
    """Whether of all streams, standard input alone is attached."""
    return {stream.lower() for stream in call.arguments.get("attach", ())} == {"stdin"}


def run(call: Invocation, container: Container, *, stdin: bool) -> int | None:
    """A run whose terminal or typed input is the user's; with `-a stdin` alone, it goes on by itself once it has its input."""
    quiet, keys = _quiet(call), keys_of(call)
    attached = container.start_open(foreground=not quiet, stdin=stdin, size=user_size(call), detach_keys=keys)
    for warning in container.warnings:
        call.on_output(2, f"warning: {warning}\n".encode())
    if not quiet:
        return finish(attached, call, source=call.stdin if stdin else None, sig_proxy=call.sig_proxy, own=True)
    call.on_output(1, f"{container.id}\n".encode())
    with attached:
        while stdin and call.stdin is not None and (data := os.read(call.stdin, 1 << 16)):
            attached.write(data)
        attached.close_stdin()
        attached.detach()
    return None


def execute(call: Invocation, container: Container, command: list[str], options: dict[str, Any]) -> int | None:
    """An exec whose terminal or typed input is the user's."""
    attached = container.exec_open(
        command, tty=call.tty, stdin=call.interactive, size=user_size(call), detach_keys=keys_of(call), **options
    )
    return finish(attached, call, source=call.stdin if call.interactive else None)


COMMANDS = (
    Command(
        "start",
        "Start containers that do not run",
        start,
        (
            Flag(("-a", "--attach"), "show its output, pass signals on, and end with its exit code", "switch"),
            Flag(("-i", "--interactive"), "pass standard input on", "switch"),
            DETACH_KEYS,
            NO_RAISE,
            TIMEOUT,
            NO_OUTPUT_OR_QUIET,
            STEP,
        ),
        (CONTAINERS,),
    ),
    Command(
        "attach",
        "Attach to the streams of a running container",
        attach,
        (Flag(("--no-stdin",), "do not pass input on", "switch"), SIG_PROXY, DETACH_KEYS),
        (CONTAINER,),
    ),
)
