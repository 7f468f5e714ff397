"""What may come next in a magic's line or a Dockerfile cell: commands, flags, images, containers, keywords.

It must not start an engine: names come from the one that runs, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from labcontainers.errors import LabError
from labcontainers.magics.words import split_words

if TYPE_CHECKING:
    from labcontainers.commands.command import Command
    from labcontainers.commands.parser import Argument, Flag

_LINE = re.compile(r"^\s*(?:[\w.,*\[\]'\" ]+=\s*)?%{1,2}(container|dockerfile|in)\s+(.*)$", re.DOTALL)
_FROM = re.compile(r"\s*FROM\s+(?:--platform=\S+\s+)?(\S*)$", re.IGNORECASE)
_INSTRUCTIONS = ("FROM RUN COPY ADD ENV ARG WORKDIR USER LABEL EXPOSE CMD ENTRYPOINT SHELL STOPSIGNAL VOLUME HEALTHCHECK ONBUILD").split()
_EMBEDDED = ("lab/base", "lab/python")


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
        return _in_dockerfile(lines[-1])
    match = _LINE.match(lines[-1])
    if match is None:
        return "", []
    before, space, beginning = match[2].rpartition(" ")
    if match[1] == "in":
        from labcontainers.magics.cells_inside import IN

        return beginning, _of_given(IN, _split(before + space), (), beginning)
    words = (["build"] if match[1] == "dockerfile" else []) + _split(before + space)
    return beginning, _after(words, beginning)


def _split(text: str) -> list[str]:
    try:
        return split_words(text, {})
    except LabError:
        return text.split()


def _in_dockerfile(line: str) -> tuple[str, list[str]]:
    match = _FROM.match(line)
    if match is not None:
        return match[1], _beginning(_names("image", match[1]), match[1])
    word = line.lstrip()
    if " " in word or not word:
        return "", []
    return word, [name for name in _INSTRUCTIONS if name.startswith(word.upper())]


def _after(words: list[str], beginning: str) -> list[str]:
    from labcontainers.commands.table import COMMANDS, words_of

    if not words:
        return _beginning([name.partition(" ")[0] for name in COMMANDS], beginning)
    offered = _beginning(words_of(words[0]), beginning) if len(words) == 1 else []
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
        return _beginning(_names(found.expects.completes, beginning), beginning)
    if beginning.startswith("-") and not found.flags_ended:
        name, separator, value = beginning.partition("=")
        if not separator:
            return _beginning([*flags, "--help"], beginning)
        kind = flags[name].completes if name in flags else ""
        return [f"{name}={word}" for word in _beginning(_names(kind, value), value)]
    return _beginning(_names(_kind_at(command.arguments, len(found.given)), beginning), beginning)


def _kind_at(arguments: Sequence[Argument], position: int) -> str:
    """What the argument at `position` names; the last one takes all that follow, but a program's own arguments are not ours."""
    for index, argument in enumerate(arguments):
        if index == position or argument.count in ("*", "+", "rest"):
            return argument.completes
    return ""


def _beginning(names: Iterable[str], beginning: str) -> list[str]:
    return sorted({name for name in names if name.startswith(beginning)})


def _names(kinds: str, beginning: str) -> list[str]:
    return [name for kind in kinds.split() for name in _names_of(kind, beginning)]


def _names_of(kind: str, beginning: str) -> list[str]:
    if kind == "network":
        return ["bridge", "host", "none"]
    if kind == "command":
        from labcontainers.commands.table import COMMANDS

        return [name.partition(" ")[0] for name in COMMANDS]
    if kind == "path":
        return _paths(beginning)
    if kind == "language":
        from labcontainers.containers.sessions.dialects import LANGUAGES

        return list(LANGUAGES)
    if kind == "draft":
        from labcontainers.build.drafts import DRAFTS

        return [draft.name for draft in DRAFTS.list()]
    from labcontainers import session

    engine = session.existing_engine()
    if engine is None:
        return list(_EMBEDDED) if kind == "image" else []
    if kind == "container":
        return [row.name for row in engine.store.records.list_containers()]
    if kind == "volume":
        return [row.name for row in engine.store.records.list_volumes()]
    from labcontainers.oci.reference import parse_reference

    names = [parse_reference(row.reference) for row in engine.store.records.list_images()]
    plain = [reference.repository if reference.tag == "latest" else reference.familiar for reference in names]
    return [*plain, *_EMBEDDED]


def _paths(beginning: str) -> list[str]:
    folder, _, _ = beginning.rpartition("/")
    base = f"{folder}/" if folder or beginning.startswith("/") else ""
    try:
        return [f"{base}{entry.name}{'/' if entry.is_dir() else ''}" for entry in sorted(Path(base or ".").expanduser().iterdir())]
    except OSError:
        return []
