"""How a build shows what it does: --progress and BUILDKIT_PROGRESS; it must not know what builds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from labcontainers.build.progress import BuildEvent, TextProgress
from labcontainers.build.raw_progress import RawProgress
from labcontainers.commands.parser import Flag
from labcontainers.commands.screen import Screen, terminal_size
from labcontainers.errors import Conflict, InvalidArgument

MODES = ("auto", "plain", "tty", "rawjson", "quiet", "none")
SILENT = ("quiet", "none")
_VARIABLE = "BUILDKIT_PROGRESS"
FLAG = Flag(
    ("--progress",), f"how it tells what it does: {', '.join(MODES)}; by default {_VARIABLE}, else auto", metavar="MODE", choices=MODES
)


def only_tells(arguments: Mapping[str, Any]) -> bool:
    """Whether --check or --call asks about the Dockerfile, and nothing is built."""
    return bool(arguments["check"]) or arguments["call"] not in (None, "build")


def mode_of(arguments: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> str:
    """What --progress says, else the environment, else auto; --quiet is `quiet`. Raises InvalidArgument."""
    said, source = arguments.get("progress"), "--progress"
    if said is None:
        said, source = environ.get(_VARIABLE) or "auto", _VARIABLE
    if said not in MODES:
        raise InvalidArgument(f"{source}: unknown: {said!r}", f"use one of {', '.join(MODES)}")
    return "quiet" if arguments.get("quiet") else str(said)


def check_screen(mode: str, screen: bool) -> None:
    """Raises Conflict for a live view where nothing can be painted over."""
    if mode == "tty" and not screen:
        raise Conflict("--progress tty: standard error is not a terminal", "use plain, or auto")


class BuildPrinter:
    """Shows a build on standard error as its mode says. Call it with each event, and `finish` at the end.

    `write` writes to standard error, which is a terminal if `screen` says so.
    """

    def __init__(self, mode: str, write: Callable[[str], object], *, screen: bool) -> None:
        self.finish: Callable[[], None] = _nothing
        self._take: Callable[[BuildEvent], None]
        if mode in SILENT:
            self._take = _ignore
        elif mode == "rawjson":
            self._take = RawProgress(write)
        elif mode == "tty" or (mode == "auto" and screen):
            from labcontainers.commands.build_screen import BuildScreen

            live = BuildScreen(Screen(write, lambda: terminal_size(2, 1)))
            self._take, self.finish = live, live.finish
        else:
            self._take = TextProgress(write)

    def __call__(self, event: BuildEvent) -> None:
        """Show what one event says."""
        self._take(event)


def _ignore(event: BuildEvent) -> None:
    """Nobody wants to hear of it."""


def _nothing() -> None:
    """Nothing is left to be done."""
