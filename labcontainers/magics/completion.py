"""What may come next in a magic's line or a Dockerfile cell: commands, flags, images, containers, keywords.

It must not start an engine: names come from the one that runs, if there is one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from labcontainers.errors import LabError
from labcontainers.magics.names import beginning_with, names
from labcontainers.magics.words import split_words

if TYPE_CHECKING:
    from labcontainers.commands.command import Command
    from labcontainers.commands.parser import Argument, Flag

_LINE = re.compile(r"^\s*(?:[\w.,*\[\]'\" ]+=\s*)?%{1,2}(container|dockerfile|in)\s+(.*)$", re.DOTALL)


@context_matcher()  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """The matcher that IPython asks."""
    fragment, words = candidates(context)
    completions = [SimpleCompletion(word, type="param") for word in words]
    # A name such as lab/base:latest is one word here, while IPython cuts it at the colon.
    return {"completions": completions, "suppress": bool(words), "matched_fragment": fragment}


def candidates(context: Any) -> tuple[str, list[str]]:
    """What has been written of the word at the cursor, and the words that fit there."""
    lines = context.full_text.split("\n")[: context.cursor_line + 1]
    lines[-1] = lines[-1][: context.cursor_position]
    if len(lines) > 1 and lines[0].lstrip().startswith("%%dockerfile"):
        return _in_dockerfile(lines)
    match = _LINE.match(_whole(lines))
    if match is None:
        return "", []
    before, space, beginning = match[2].rpartition(" ")
    if match[1] == "in":
        from labcontainers.magics.cells_inside import IN

        return beginning, _of_given(IN, _split(before + space), (), beginning)
    words = (["build"] if match[1] == "dockerfile" else []) + _split(before + space)
    return beginning, _after(words, beginning)


def _whole(lines: list[str]) -> str:
    """The line at the cursor, with those before it that a backslash continues."""
    first = len(lines) - 1
    while first and lines[first - 1].endswith("\\"):
        first -= 1
    return " ".join([*(line[:-1] for line in lines[first:-1]), lines[-1]])


def _split(text: str) -> list[str]:
    try:
        return split_words(text, {})
    except LabError:
        return text.split()


def _in_dockerfile(lines: list[str]) -> tuple[str, list[str]]:
    """In a cell whose first line is the magic's: that tells of the context, and of what former cells gave."""
    from labcontainers.commands.table import COMMANDS
    from labcontainers.magics.dockerfile_words import words_at
    from labcontainers.magics.variable import own_flags

    arguments: dict[str, Any] = {}
    with contextlib.suppress(LabError):
        arguments = COMMANDS["build"].take_apart(_split(lines[0].partition("%%dockerfile")[2]), own_flags("build")).values
    return words_at(lines[1:], arguments)


def _after(words: list[str], beginning: str) -> list[str]:
    from labcontainers.commands.table import COMMANDS, words_of

    if not words:
        return beginning_with([name.partition(" ")[0] for name in COMMANDS], beginning)
    offered = beginning_with(words_of(words[0]), beginning) if len(words) == 1 else []
    if len(words) == 1 and words_of(words[0]) and words[0] not in COMMANDS:
        return offered
    return sorted({*offered, *_of_command(words, beginning)})


def _of_command(words: list[str], beginning: str) -> list[str]:
    from labcontainers.commands.table import find
    from labcontainers.magics.variable import own_flags

    try:
        command, rest = find(words)
    except LabError:
        return []
    return _of_given(command, rest, own_flags(command.name), beginning)


def _of_given(command: Command, words: Sequence[str], extra: tuple[Flag, ...], beginning: str) -> list[str]:
    known = (*command.flags, *extra)
    try:
        found = command.take_apart(words, extra)
    except LabError:
        return []
    flags = {name: flag for flag in known for name in flag.names}
    if found.expects is not None:
        return beginning_with(_values_of(found.expects, beginning), beginning)
    if beginning.startswith("-") and not found.flags_ended:
        name, separator, value = beginning.partition("=")
        if not separator:
            return beginning_with([*flags, "--help"], beginning)
        values = _values_of(flags[name], value) if name in flags else []
        return [f"{name}={word}" for word in beginning_with(values, value)]
    return beginning_with(names(_kind_at(command.arguments, len(found.given)), beginning), beginning)


def _values_of(flag: Flag, beginning: str) -> list[str]:
    return [*flag.choices, *names(flag.completes, beginning)]


def _kind_at(arguments: Sequence[Argument], position: int) -> str:
    """What the argument at `position` names; the last one takes all that follow, but a program's own arguments are not ours."""
    for index, argument in enumerate(arguments):
        if index == position or argument.count in ("*", "+", "rest"):
            return argument.completes
    return ""
