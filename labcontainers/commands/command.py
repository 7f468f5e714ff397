"""A subcommand as data: its words, flags and function; and the parser made of it.

It must not know any particular command, nor who asks.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from labcontainers.engine.engine import Engine
from labcontainers.errors import InvalidArgument

Output = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `kind` is "switch", "value" or "list". `completes` names what its value is ("image", "container", "path" or "")."""

    names: tuple[str, ...]
    help: str
    kind: str = "value"
    metavar: str = ""
    default: Any = None
    completes: str = ""

    @property
    def destination(self) -> str:
        """The attribute that holds it."""
        return max(self.names, key=len).lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Argument:
    """One positional; `count` is "1", "?", "*", "+" or "rest" (everything that follows, flags too)."""

    name: str
    help: str
    count: str = "1"
    completes: str = ""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One use of a command: what it may act on and where its output goes while it runs."""

    engine: Engine
    arguments: argparse.Namespace
    on_output: Output
    on_event: Callable[[Any], None]
    folder: Path
    body: str | None = None
    stdin: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.arguments, name)


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand. `function` returns a value of the engine, or None."""

    name: str
    help: str
    function: Callable[[Invocation], Any]
    flags: tuple[Flag, ...] = ()
    arguments: tuple[Argument, ...] = ()
    aliases: tuple[str, ...] = field(default=())

    @property
    def usage(self) -> str:
        """One line, as after `docker`."""
        words = [self.name, *(["[OPTIONS]"] if self.flags else [])]
        for argument in self.arguments:
            upper = argument.name.upper()
            several = f"[{upper}...]"
            words.append({"1": upper, "?": f"[{upper}]", "*": several, "+": f"{upper} {several}", "rest": several}[argument.count])
        return " ".join(words)

    def help_text(self) -> str:
        """Usage, purpose, and each flag with its help."""
        lines = [f"Usage:  {self.usage}", "", self.help]
        if self.flags:
            lines += ["", "Options:"]
            rows = []
            for flag in self.flags:
                short = next((name for name in flag.names if not name.startswith("--")), "")
                long = next((name for name in flag.names if name.startswith("--")), "")
                rows.append((", ".join(filter(None, (short, long))) + (f" {flag.metavar}" if flag.metavar else ""), flag.help))
            width = max(len(left) for left, _ in rows)
            lines += [f"  {left:<{width}}  {right}" for left, right in rows]
        return "\n".join(lines)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments; raises InvalidArgument naming the flag and the value. `--help` sets `help`."""
        parser = _Parser(prog=self.name, usage=self.usage, add_help=False, allow_abbrev=False)
        parser.command = self
        parser.add_argument("--help", action="store_true")
        for flag in self.flags:
            if flag.kind == "switch":
                parser.add_argument(*flag.names, dest=flag.destination, action="store_true")
            elif flag.kind == "list":
                parser.add_argument(*flag.names, dest=flag.destination, action="append", default=[])
            else:
                parser.add_argument(*flag.names, dest=flag.destination, default=flag.default)
        wants_help = "--help" in words[: len(words) if not self._has_rest else _options_end(self, words)]
        for argument in self.arguments:
            count = {"1": None, "rest": argparse.REMAINDER}.get(argument.count, argument.count)
            if wants_help:
                count = "*"
            parser.add_argument(argument.name, nargs=count)
        return parser.parse_args(list(words))

    @property
    def _has_rest(self) -> bool:
        return any(argument.count == "rest" for argument in self.arguments)


def _options_end(command: Command, words: Sequence[str]) -> int:
    """Where a command's own options end, because what follows belongs to the program that is to run."""
    values = {name for flag in command.flags if flag.kind != "switch" for name in flag.names}
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in values else 1
    return min(index, len(words))


class _Parser(argparse.ArgumentParser):
    command: Command

    def error(self, message: str) -> NoReturn:
        hint = f"see: help {self.command.name}"
        if message.startswith("unrecognized arguments: "):
            word = message.partition(": ")[2].split()[0]
            message = f"unknown flag or argument: {word}"
            names = [name for flag in self.command.flags for name in flag.names]
            near = difflib.get_close_matches(word.partition("=")[0], names, n=1)
            hint = f"did you mean {near[0]}?" if near else hint
        raise InvalidArgument(f"{self.command.name}: {message}", hint)
