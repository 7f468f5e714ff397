"""A magic's line as words: quotes as in a shell, and names of the notebook filled in where they exist.

It must not know commands. `{name}` and `$name` (with .attributes and [indices] inside braces) become the variable's text if the
notebook has that variable; every other brace and dollar sign stays, since JSON, templates and shell scripts are full of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labcontainers.errors import InvalidArgument

_NAME = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\[[^\[\]{}]+\])*)\}(?!\})|\$([A-Za-z_]\w*)")


def split_words(line: str, names: Mapping[str, Any]) -> list[str]:
    """The words of `line`; what stands in single quotes is taken as it is. Raises InvalidArgument for a quote without end."""
    words: list[str] = []
    word: list[str] = []
    started = False
    index = 0
    while index < len(line):
        character = line[index]
        if character in "'\"":
            text, index = _quoted(line, index)
            word.append(text if character == "'" else expand(text, names))
            started = True
        elif character.isspace():
            if started:
                words.append("".join(word))
                word, started = [], False
            index += 1
        else:
            end = index
            while end < len(line) and not line[end].isspace() and line[end] not in "'\"":
                end += 2 if line[end] == "\\" and end + 1 < len(line) else 1
            word.append(_plain(line[index:end], names))
            started = True
            index = end
    return [*words, "".join(word)] if started else words


def _quoted(line: str, start: int) -> tuple[str, int]:
    quote = line[start]
    text = []
    index = start + 1
    while index < len(line) and line[index] != quote:
        if quote == '"' and line[index] == "\\" and line[index + 1 : index + 2] in ('"', "\\"):
            index += 1
        text.append(line[index])
        index += 1
    if index >= len(line):
        raise InvalidArgument(f"a quote has no end: {line[start:]}", f"close it with {quote}")
    return "".join(text), index + 1


def _plain(text: str, names: Mapping[str, Any]) -> str:
    return re.sub(r"\\(.)", r"\1", expand(text, names))


def expand(text: str, names: Mapping[str, Any]) -> str:
    """Fill in the variables that exist; raises InvalidArgument when an attribute or index of one does not."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name not in names:
            return match[0]
        try:
            return str(eval(name + (match[2] or ""), {"__builtins__": {}}, dict(names)))
        except Exception as error:
            problem = f"cannot fill in {match[0]}: {type(error).__name__}: {error}"
            raise InvalidArgument(problem, "quote it with ' to keep it as it is") from None

    return _NAME.sub(value, text)
