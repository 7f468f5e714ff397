"""What may come next in a magic's line or a Dockerfile cell: commands, flags, images, containers, keywords.

It must not start an engine: names come from the one that runs, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

_LINE = re.compile(r"(?:^|=\s*|;\s*|\s)%{1,2}(container|dockerfile)\b(.*)$", re.DOTALL)
_INSTRUCTIONS = ("FROM RUN COPY ADD ENV ARG WORKDIR USER LABEL EXPOSE CMD ENTRYPOINT SHELL STOPSIGNAL VOLUME HEALTHCHECK ONBUILD").split()


@context_matcher()  # type: ignore[untyped-decorator,unused-ignore]
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """The matcher that IPython asks."""
    words = [SimpleCompletion(word, type="param") for word in candidates(context)]
    return {"completions": words, "suppress": bool(words)}


def candidates(context: Any) -> list[str]:
    """The words that fit at the cursor."""
    before = "\n".join(context.full_text.split("\n")[: context.cursor_line + 1])
    first, *body = before.split("\n")
    if body and first.lstrip().startswith("%%dockerfile"):
        return _instructions(body[-1])
    match = _LINE.search(before.split("\n")[-1])
    if match is None:
        return []
    text = ("build " if match[1] == "dockerfile" else "") + match[2].lstrip()
    words = text.split(" ")
    return _after(words[:-1], words[-1])


def _instructions(line: str) -> list[str]:
    word = line.lstrip()
    return [] if " " in word or not word else [name for name in _INSTRUCTIONS if name.startswith(word.upper())]


def _after(words: list[str], beginning: str) -> list[str]:
    from labcontainers.commands.table import COMMANDS

    words = [word for word in words if word]
    if not words:
        return _beginning(COMMANDS, beginning)
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    last = next((flag for flag in command.flags if flag.kind != "switch" and words[-1] in flag.names), None)
    if last is not None:
        return _beginning(_names(last.completes, beginning), beginning)
    if beginning.startswith("-"):
        return _beginning((name for flag in command.flags for name in flag.names), beginning)
    kinds = [argument.completes for argument in command.arguments if argument.completes]
    return _beginning(_names(kinds[0] if kinds else "", beginning), beginning)


def _beginning(names: Iterable[str], beginning: str) -> list[str]:
    return sorted({name for name in names if name.startswith(beginning)})


def _names(kind: str, beginning: str) -> list[str]:
    if kind == "network":
        return ["bridge", "host", "none"]
    if kind == "command":
        from labcontainers.commands.table import COMMANDS

        return list(COMMANDS)
    if kind == "path":
        return _paths(beginning)
    from labcontainers import session

    engine = session.existing_engine()
    if engine is None or kind not in ("image", "container"):
        return ["lab/base", "lab/python"] if kind == "image" else []
    if kind == "container":
        return [row.name for row in engine.store.records.list_containers()]
    from labcontainers.oci.reference import parse_reference

    names = [parse_reference(row.reference) for row in engine.store.records.list_images()]
    plain = [reference.repository if reference.tag == "latest" else reference.familiar for reference in names]
    return [*plain, "lab/base", "lab/python"]


def _paths(beginning: str) -> list[str]:
    folder, _, _ = beginning.rpartition("/")
    base = f"{folder}/" if folder or beginning.startswith("/") else ""
    try:
        return [f"{base}{entry.name}{'/' if entry.is_dir() else ''}" for entry in sorted(Path(base or ".").iterdir())]
    except OSError:
        return []
