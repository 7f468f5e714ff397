"""The flags on standard streams and terminals, and what they mean in the engine's keywords; it must not execute anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.containers.attaching.detach_keys import DEFAULT_DETACH_KEYS, parse_detach_keys
from labcontainers.containers.options.flags import about
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_duration_s

INTERACTIVE = Flag(("-i", "--interactive"), "keep standard input open, and pass it on", "switch")
TTY = Flag(("-t", "--tty"), "give it a terminal of its own", "switch")
DETACH_KEYS = Flag(("--detach-keys",), f"keys that leave it running, instead of {DEFAULT_DETACH_KEYS}", metavar="KEYS")
SIG_PROXY = Flag(("--sig-proxy",), "pass signals on to the program; with --sig-proxy=false, leave at an interrupt", "switch", default=True)
STREAM_FLAGS = (
    INTERACTIVE,
    TTY,
    Flag(("-a", "--attach"), "attach to STDIN, STDOUT or STDERR alone; repeatable", "list", "STREAM"),
)
TIMEOUT = Flag(("--timeout",), "end it after so many seconds, with exit code 124; 0 for no limit", metavar="SECONDS")
NO_RAISE = Flag(("--no-raise",), "return the result whatever the exit code", "switch")
_KEPT_BACK = "show no output; the result has it"
# Of `run`, --quiet is Docker's own, and about the pull.
NO_OUTPUT = Flag(("--no-output",), _KEPT_BACK, "switch")
NO_OUTPUT_OR_QUIET = Flag(("--no-output", "--quiet"), _KEPT_BACK, "switch")


def limit_of(call: Invocation) -> float | None:
    """What --timeout says in seconds; None without a limit. Raises InvalidArgument, also where nobody waits."""
    text = call.arguments.get("timeout")
    with about("--timeout"):
        seconds = parse_duration_s(text) if text is not None else 0.0
    if seconds and call.arguments.get("detach"):
        raise InvalidArgument("--timeout: with -d nobody waits", "leave one of them out")
    return seconds or None


def output_of(call: Invocation) -> Callable[[int, bytes], None]:
    """Where output goes while it runs."""
    return (lambda stream, data: None) if call.arguments.get("no_output") else call.on_output


def stream_keywords(call: Invocation) -> dict[str, Any]:
    """The flags of `run` and `create` as keywords of the engine."""
    return {"tty": call.tty or None, "stdin_open": call.interactive or None, "attach": call.attach or None}


def keys_of(call: Invocation) -> str:
    """The detach keys, checked; raises InvalidArgument."""
    text: str = call.detach_keys or DEFAULT_DETACH_KEYS
    with about("--detach-keys"):
        parse_detach_keys(text)
    return text
