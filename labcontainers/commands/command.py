"""A subcommand as data: its words, flags and function.

It must not know any particular command, nor who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from labcontainers.build.cancelling import Cancel
from labcontainers.commands import later
from labcontainers.commands.examples import EXAMPLES
from labcontainers.commands.parser import Argument, Flag, Parser, Words
from labcontainers.engine.engine import Engine
from labcontainers.errors import Failed, LabError

Output = Callable[[int, bytes], None]

PROGRAM = "labcontainers"
# How wide help may be, so that no page has to break it inside words
_COLUMNS: Final = 110
_WORDS: Final[Mapping[str, Any]] = {"break_long_words": False, "break_on_hyphens": False}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One use of a command: what it may act on and where its output goes while it runs.

    `live` says that somebody reads along until he interrupts, as at a terminal, so that a command may go on and on and need not keep
    what it has passed on; `screen`, that the output may be painted over. `program` is what is written before a command. `cancel` stops a
    build from elsewhere.
    """

    make_engine: Callable[[], Engine]
    arguments: Mapping[str, Any]
    on_output: Output
    on_event: Callable[[Any], None]
    folder: Path
    body: str | None = None
    stdin: int | None = None
    live: bool = False
    screen: bool = False
    program: str = PROGRAM
    cancel: Cancel | None = None

    @property
    def engine(self) -> Engine:
        """The engine, made now if there is none."""
        return self.make_engine()

    def __getattr__(self, name: str) -> Any:
        try:
            return self.arguments[name]
        except KeyError:
            raise AttributeError(name) from None


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

    def help_text(self, program: str = PROGRAM) -> str:
        """Usage, purpose, each flag with its help, and examples; `program` is what is written before a command."""
        lines = [f"Usage:  {program} {self.usage}", "", self.help]
        if self.aliases:
            lines += ["", f"Aliases:  {', '.join(f'{program} {name}' for name in (self.name, *self.aliases))}"]
        if self.flags:
            lines += ["", "Options:"]
            rows = [(", ".join(flag.names) + (f" {flag.metavar}" if flag.metavar else ""), flag.help) for flag in self.flags]
            width = max(len(left) for left, _ in rows)
            for left, right in rows:
                lines += wrap(right, _COLUMNS, initial_indent=f"  {left:<{width}}  ", subsequent_indent=" " * (width + 4), **_WORDS)
        if self.name in EXAMPLES:
            lines += ["", "Examples:", *(f"  {program} {example}" for example in EXAMPLES[self.name])]
        return "\n".join(lines)

    def parse(self, words: Sequence[str], extra: Sequence[Flag] = ()) -> dict[str, Any]:
        """Each flag's and argument's value by name; `extra` are flags of whoever asks. Raises InvalidArgument and Unsupported."""
        return self._parser(extra).parse(words)

    def take_apart(self, words: Sequence[str], extra: Sequence[Flag] = ()) -> Words:
        """The same for words that are not complete yet."""
        return self._parser(extra).take_apart(words)

    def _parser(self, extra: Sequence[Flag]) -> Parser:
        return Parser(self.name, (*self.flags, *extra), self.arguments, later.FLAGS.get(self.name, {}))


def for_each(call: Invocation, names: Sequence[str], action: Callable[[str], object]) -> list[str]:
    """Do it to everything named, in order; what each answered, its name for None, nothing for "".

    What is done is told, and all failures are raised together at the end.
    """
    done: list[str] = []
    failures: list[LabError] = []
    for name in names:
        try:
            answer = action(name)
            done += [name if answer is None else str(answer)] if answer != "" else []
        except LabError as error:
            failures.append(error)
    if not failures:
        return done
    if done:
        call.on_output(1, "".join(f"{line}\n" for line in done).encode())
    raise together(failures)


def together(failures: Sequence[LabError]) -> LabError:
    """All of these failures as one, of their kind if they have the same."""
    if len(failures) == 1:
        return failures[0]
    kinds = {type(error) for error in failures}
    kind = kinds.pop() if len(kinds) == 1 else Failed
    message = "; ".join(error.message for error in failures)
    return (kind if kind.__init__ is LabError.__init__ else Failed)(message, failures[0].hint)
