"""File name patterns as Go's path/filepath.Match reads them, for the sources of COPY and ADD.

It must not import anything of this project: the worker that copies loads it too.

Source: pkg.go.dev/path/filepath#Match. `*` any characters but `/`, `?` one of them, `[a-z]` and `[^a-z]`, backslash escapes.
"""

from __future__ import annotations

import re
from functools import lru_cache


class BadPattern(ValueError):
    """A pattern that filepath.Match refuses."""


def has_wildcard(path: str) -> bool:
    """Whether a source is a pattern: it contains an unescaped `*`, `?` or `[`."""
    position = 0
    while position < len(path):
        if path[position] == "\\":
            position += 1
        elif path[position] in "*?[":
            return True
        position += 1
    return False


def literal(path: str) -> str:
    """A pattern that means this one path."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def matches(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches; raises BadPattern."""
    return compile_pattern(pattern).fullmatch(name) is not None


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern; raises BadPattern."""
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            text, position = _character_class(pattern, position)
            result += text
        elif char == "\\":
            if position >= len(pattern):
                raise BadPattern(f"syntax error in pattern: {pattern}")
            result += re.escape(pattern[position])
            position += 1
        else:
            result += re.escape(char)
    return re.compile(result, re.DOTALL)


def _character_class(pattern: str, position: int) -> tuple[str, int]:
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    while True:
        if pattern.startswith("]", position) and ranges:
            break
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inner = "".join(ranges)
    if not inner:
        return ("." if negated else "(?!)"), position + 1
    # as in Go, a class may match the separator
    return (f"[^{inner}]" if negated else f"[{inner}]"), position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    if position >= len(pattern) or pattern[position] in "-]":
        raise BadPattern(f"syntax error in pattern: {pattern}")
    if pattern[position] == "\\":
        position += 1
    if position >= len(pattern):
        raise BadPattern(f"syntax error in pattern: {pattern}")
    return pattern[position], position + 1
