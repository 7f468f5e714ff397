"""A magic's line as words: quotes as in a shell, and names of the notebook filled in where they exist.

It must not know commands. `{name}`, `${name}` and `$name` (with .attributes and [indices] inside braces) become the variable's text if
the notebook has that variable; every other brace and dollar sign stays, since JSON, templates and shell scripts are full of them. What
stands in single quotes or behind a backslash is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labcontainers.errors import InvalidArgument

_NAME = re.compile(r"(?<!\{)\$?\{([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\[[^\[\]{}]+\])*)\}(?!\})|\$([A-Za-z_]\w*)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# In double quotes a shell takes the backslash away before these only.
_ESCAPED_IN_QUOTES = re.compile(r'\\(["\\$`])')


def split_words(line: str, names: Mapping[str, Any]) -> list[str]:
    """The words of `line`, with `names` filled in. Raises InvalidArgument for a quote without end."""
    return [word for word, _ in words_and_ends(line, names)]


def words_and_ends(line: str, names: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The same, each with the place in `line` where it ends."""
    words: list[tuple[str, int]] = []
    word: list[str] = []
    started = False
    index = 0
    while index < len(line):
        character = line[index]
        if character.isspace():
            if started:
                words.append(("".join(word), index))
                word, started = [], False
            index += 1
            continue
        end = _quoted_end(line, index) if character in "'\"" else _plain_end(line, index)
        text = line[index:end]
        if character == "'":
            word.append(text[1:-1])
        elif character == '"':
            word.append(_unescaped(text[1:-1], names, _ESCAPED_IN_QUOTES))
        else:
            word.append(_unescaped(text, names, _ESCAPED))
        started, index = True, end
    return [*words, ("".join(word), index)] if started else words


def _quoted_end(line: str, start: int) -> int:
    quote, index = line[start], start + 1
    while index < len(line) and line[index] != quote:
        index += 2 if quote == '"' and line[index] == "\\" else 1
    if index >= len(line):
        raise InvalidArgument(f"a quote has no end: {line[start:]}", f"close it with {quote}")
    return index + 1


def _plain_end(line: str, start: int) -> int:
    """A word's part without quotes; what stands in braces of a name, such as {ports["web"]}, belongs to it whatever it is."""
    index = start
    while index < len(line) and not line[index].isspace() and line[index] not in "'\"":
        name = _NAME.match(line, index)
        index = name.end() if name else index + (2 if line[index] == "\\" else 1)
    return min(index, len(line))


def _unescaped(text: str, names: Mapping[str, Any], escaped: re.Pattern[str]) -> str:
    """Fill in between the escaped characters, and take these as they are."""
    parts, at = [], 0
    for match in escaped.finditer(text):
        parts += [expand(text[at : match.start()], names), match[1]]
        at = match.end()
    return "".join([*parts, expand(text[at:], names)])


def expand(text: str, names: Mapping[str, Any]) -> str:
    """Fill in the variables that exist; raises InvalidArgument when an attribute or index of one does not."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name not in names:
            return match[0]
        try:
            return str(eval(name + (match[2] or ""), {"__builtins__": {}}, dict(names)) if match[2] else names[name])
        except Exception as error:
            problem = f"cannot fill in {match[0]}: {type(error).__name__}: {error}"
            raise InvalidArgument(problem, "quote it with ' to keep it as it is") from None

    return _NAME.sub(value, text)
