"""Options on the standard streams: terminal, standard input, and which of them a start is attached to; it must not open anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainers.containers.options.forms import Converters, flag, shown
from labcontainers.errors import InvalidArgument, Unsupported

STREAMS = ("stdin", "stdout", "stderr")


def stream_names(value: object) -> tuple[str, ...]:
    """Docker's names of streams, in any case; raises InvalidArgument."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise InvalidArgument(f"attach is a list of streams, not {shown(value)}", "valid streams are STDIN, STDOUT and STDERR")
    wanted = [str(name).lower() for name in names]
    for name, given in zip(wanted, names, strict=True):
        if name not in STREAMS:
            raise InvalidArgument(f"invalid stream {shown(given)}", "valid streams are STDIN, STDOUT and STDERR")
    return tuple(name for name in STREAMS if name in wanted)


def attached_streams(attach: tuple[str, ...] | None, stdin_open: bool) -> tuple[str, ...]:
    """What a container's streams are attached to at its start: Docker attaches an open standard input unless nothing is attached."""
    names = ("stdout", "stderr") if attach is None else attach
    return ("stdin", *names) if stdin_open and (attach is None or attach) and "stdin" not in names else names


def stream_fields(tty: bool, stdin_open: bool, attach: tuple[str, ...] | None) -> dict[str, bool]:
    """What `inspect` says of them under Config."""
    attached = attached_streams(attach, stdin_open)
    return {
        **{"Attach" + name.capitalize(): name in attached for name in STREAMS},
        "Tty": tty,
        "OpenStdin": stdin_open,
        "StdinOnce": stdin_open and "stdin" in attached,
    }


def stream_keywords(detach: bool, stdin: object, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keywords of `run`, with nothing attached when it is detached. Raises InvalidArgument for those that do not go together."""
    if options.get("tty") and stdin is not None:
        problem = "conflicting options: stdin does not go with tty (--tty): what is not a terminal is no input for one"
        raise InvalidArgument(problem, "leave tty out, or write() to attach() of a detached container")
    if not detach:
        if options.get("tty") and options.get("stdin_open"):
            problem = "conflicting options: --tty and --interactive without --detach: a run that waits has nobody at the terminal"
            raise Unsupported(problem, "say detach=True and use attach(), or create() and start_open()")
        return options
    if options.get("attach"):
        raise InvalidArgument("conflicting options: --attach and --detach (-a and -d)", "leave one of them out")
    return {**options, "attach": ()}


CONVERTERS: Converters = {
    "tty": ("tty", flag("tty")),
    "stdin_open": ("stdin_open", flag("stdin_open")),
    "attach": ("attach", stream_names),
}
