"""The flags on standard streams and terminals, and what they mean in the engine's keywords; it must not execute anything."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.containers.attaching.detach_keys import DEFAULT_DETACH_KEYS, parse_detach_keys
from labcontainers.containers.options.flags import about

INTERACTIVE = Flag(("-i", "--interactive"), "keep standard input open, and pass it on", "switch")
TTY = Flag(("-t", "--tty"), "give it a terminal of its own", "switch")
DETACH_KEYS = Flag(("--detach-keys",), f"keys that leave it running, instead of {DEFAULT_DETACH_KEYS}", metavar="KEYS")
SIG_PROXY = Flag(("--sig-proxy",), "pass signals on to the program; with --sig-proxy=false, leave at an interrupt", "switch", default=True)
STREAM_FLAGS = (
    INTERACTIVE,
    TTY,
    Flag(("-a", "--attach"), "attach to STDIN, STDOUT or STDERR alone; repeatable", "list", "STREAM"),
)


def stream_keywords(call: Invocation) -> dict[str, Any]:
    """The flags of `run` and `create` as keywords of the engine."""
    return {"tty": call.tty or None, "stdin_open": call.interactive or None, "attach": call.attach or None}


def keys_of(call: Invocation) -> str:
    """The detach keys, checked; raises InvalidArgument."""
    text: str = call.detach_keys or DEFAULT_DETACH_KEYS
    with about("--detach-keys"):
        parse_detach_keys(text)
    return text
