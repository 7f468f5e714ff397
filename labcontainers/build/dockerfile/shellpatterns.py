"""Shell patterns of `${x#pattern}`, `${x%pattern}` and `${x/pattern/text}`: `*`, `?` and backslash, in linear time.

It must not know variables. Brackets mean themselves, as in BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Callable


class PatternFault(ValueError):
    """A pattern that means nothing; turned into an ExpansionFault by the caller."""


def trim_prefix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest, or the longest, prefix that matches; raises PatternFault."""
    end = _end_of_prefix(value, _parts(pattern), greedy)
    return value if end is None else value[end:]


def trim_suffix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest, or the longest, suffix that matches; raises PatternFault."""
    backwards = [part[::-1] for part in reversed(_parts(pattern))]
    end = _end_of_prefix(value[::-1], backwards, greedy)
    return value if end is None else value[: len(value) - end]


def substitute(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """`value` with the first, or every, longest match replaced; raises PatternFault."""
    parts = _parts(pattern)
    result, position = [], 0
    while (found := _find(value, position, parts)) is not None:
        start, end = found
        result += [value[position:start], replacement]
        is_empty = end == start
        if is_empty:
            # one character goes by, as with regular expressions
            result.append(value[end : end + 1])
            end += 1
        position = end
        if not every or position > len(value) or (position == len(value) and not is_empty):
            break
    return "".join([*result, value[position:]])


# A part of a pattern between its stars: its characters, None for `?`.
_Part = tuple[str | None, ...]


def _parts(pattern: str) -> list[_Part]:
    parts: list[list[str | None]] = [[]]
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if len(parts) == 1 or parts[-1]:
                parts.append([])
            continue
        if char == "\\":
            following = pattern[position : position + 1]
            if following not in ("}", "/", "*", "?", "\\") or not following:
                raise PatternFault(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{following}'")
            char = following
            position += 1
        elif char == "?":
            parts[-1].append(None)
            continue
        parts[-1].append(char)
    return [tuple(part) for part in parts]


def _searcher(part: _Part) -> Callable[[str, int], re.Match[str] | None]:
    return re.compile("".join("." if char is None else re.escape(char) for char in part), re.DOTALL).search


def _fits(value: str, position: int, part: _Part) -> bool:
    if None not in part:
        return value.startswith("".join(char or "" for char in part), position)
    return position + len(part) <= len(value) and all(char is None or char == value[position + index] for index, char in enumerate(part))


def _end_of_prefix(value: str, parts: list[_Part], greedy: bool) -> int | None:
    """Where a prefix that matches ends: the earliest place of each part gives the shortest, the latest of the last one the longest."""
    if not _fits(value, 0, parts[0]):
        return None
    position = len(parts[0])
    for part in parts[1:]:
        found = _searcher(part)(value, position)
        if found is None:
            return None
        position = found.end()
    if not greedy or len(parts) == 1:
        return position
    return _last_end(value, position - len(parts[-1]), parts[-1])


def _last_end(value: str, first: int, part: _Part) -> int:
    """The end of the last place of `part`, which has one at `first`."""
    if None not in part:
        text = "".join(char or "" for char in part)
        return value.rindex(text, first) + len(text)
    return next(start + len(part) for start in range(len(value) - len(part), first - 1, -1) if _fits(value, start, part))


def _find(value: str, position: int, parts: list[_Part]) -> tuple[int, int] | None:
    """Start and end of the leftmost longest match."""
    found = _searcher(parts[0])(value, position)
    if found is None:
        return None
    end = found.end()
    for part in parts[1:]:
        following = _searcher(part)(value, end)
        if following is None:
            return None
        end = following.end()
    if len(parts) > 1:
        end = _last_end(value, end - len(parts[-1]), parts[-1])
    return found.start(), end
