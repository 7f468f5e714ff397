"""The shapes in which instructions take arguments: JSON arrays, words, quoted words, key=value pairs.

It must not know which instruction takes which shape. Every word keeps its offset, so that a fault in it can be pointed at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass


class FormFault(ValueError):
    """Arguments of the wrong shape; `offset` is relative to the arguments. Turned into a DockerfileError by the caller."""

    def __init__(self, message: str, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written, quotes and escapes included, and where it begins in the arguments."""

    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """`key=value`; `value` is None when only a key was written."""

    key: Word
    value: Word | None


def split_spaces(arguments: str) -> tuple[Word, ...]:
    """Words between white space; quotes mean nothing here."""
    return tuple(Word(match[0], match.start()) for match in re.finditer(r"\S+", arguments))


def read_json(arguments: str) -> tuple[Word, ...] | None:
    """The strings of a JSON array, or None when the arguments are no JSON array alone; raises FormFault for other things than strings."""
    if not arguments.startswith("["):
        return None
    try:
        value = json.loads(arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in value):
        raise FormFault("when using JSON array syntax, arrays must be comprised of strings only", 0, "put every element in double quotes")
    return tuple(Word(item.encode("utf-16", "surrogatepass").decode("utf-16", "replace")) for item in value)


def is_json(arguments: str) -> bool:
    """Whether the arguments are a JSON array, of strings or of other things."""
    try:
        return read_json(arguments) is not None
    except FormFault:
        return True


def _refuse(name: str) -> None:
    raise ValueError(name)


def list_or_json(arguments: str) -> tuple[tuple[Word, ...], bool]:
    """Words from a JSON array or between white space, and whether it was JSON."""
    words = read_json(arguments)
    return (words, True) if words is not None else (split_spaces(arguments), False)


def quoted_words(arguments: str, escape: str) -> tuple[Word, ...]:
    """Words between white space, where quotes and the escape character keep white space inside a word; all are left in place."""
    words: list[Word] = []
    position = 0
    while position < len(arguments):
        if arguments[position].isspace():
            position += 1
            continue
        start = position
        position = _end_of_word(arguments, position, escape)
        text = arguments[start:position]
        if position == len(arguments) and _dangling(text, escape):
            text = text[: -len(escape)]
        if text:
            words.append(Word(text, start))
    return tuple(words)


def _end_of_word(text: str, position: int, escape: str) -> int:
    quote = ""
    while position < len(text):
        char = text[position]
        if not quote and char.isspace():
            break
        if char == escape and quote != "'":
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        position += 1
    return min(position, len(text))


def _dangling(text: str, escape: str) -> bool:
    count = len(text) - len(text.rstrip(escape))
    return count % 2 == 1


def key_values(arguments: str, escape: str, keyword: str) -> tuple[tuple[Pair, ...], bool]:
    """Pairs of ENV and LABEL, and whether they were written in the old form `KEY value`; raises FormFault."""
    words = quoted_words(arguments, escape)
    if not words:
        return (), False
    if "=" not in words[0].text:
        match = re.fullmatch(r"(\S+)\s+(.*)", arguments, re.DOTALL)
        if match is None:
            raise FormFault(f"{keyword} must have two arguments", 0, f"write {keyword} {words[0].text}=value")
        return (Pair(Word(match[1], 0), Word(match[2], match.start(2))),), True
    pairs = []
    for word in words:
        key, equals, value = word.text.partition("=")
        if not equals:
            raise FormFault(f"can't find = in {word.text!r}, must be of the form: name=value", word.offset, "quote values with spaces")
        if not key:
            raise FormFault(f"{keyword} names can not be blank", word.offset)
        pairs.append(Pair(Word(key, word.offset), Word(value, word.offset + len(key) + 1)))
    return tuple(pairs), False


def optional_values(arguments: str, escape: str) -> tuple[Pair, ...]:
    """Pairs of ARG, where the value may be left out; raises FormFault."""
    pairs = []
    for word in quoted_words(arguments, escape):
        key, equals, value = word.text.partition("=")
        if not key:
            raise FormFault("ARG names can not be blank", word.offset)
        pairs.append(Pair(Word(key, word.offset), Word(value, word.offset + len(key) + 1) if equals else None))
    return tuple(pairs)
