"""What all options share: how a keyword's value becomes a field, and the plain forms; it must not know any one option."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported

# docker-py's keyword -> the field of ContainerOptions and the function that checks and converts the value. No field ("") is for what is
# only checked; several get one part each of what the function returns.
Converters = Mapping[str, tuple[str | tuple[str, ...], Callable[[Any], Any]]]


def split_command(command: str | Sequence[str] | None) -> tuple[str, ...]:
    """A command as separate arguments; a text is split as a shell would, as docker-py does. Raises InvalidArgument."""
    if command is None:
        return ()
    if isinstance(command, str):
        try:
            return tuple(shlex.split(command))
        except ValueError as error:
            raise InvalidArgument(f"command cannot be split into words: {command!r}: {error}", "give a list of words") from None
    words = tuple(command)
    if any(not isinstance(word, str) or "\0" in word for word in words):
        raise InvalidArgument(f"a command is a list of texts without NUL: {shown(words)}", "write a list such as ['ls', '-l']")
    return words


def flag(key: str) -> Callable[[object], bool]:
    """A converter that takes True and False alone."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{key} is True or False, not {shown(value)}", f"write {key}=True, or leave it out")
        return value

    return convert


def shown(value: object) -> str:
    """A value as an error tells it: on one line, and not all of a long one."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def whole_number(least: int, most: int, *, also: tuple[int, ...] = (), zero: bool = False) -> Callable[[Any], int | None]:
    """A converter that takes a whole number or its text, from `least` to `most` or one of `also`; with `zero`, 0 is as if left out."""
    allowed = ", ".join([f"from {least} to {most}", *map(str, also), *(["or 0 for the default"] if zero else [])])

    def convert(value: object) -> int | None:
        number = _whole(value)
        if zero and number == 0:
            return None
        if number is None or not (least <= number <= most or number in also):
            raise InvalidArgument(f"invalid value {shown(value)}", f"write a whole number {allowed}")
        return number

    return convert


def _whole(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def pairs(value: object, form: str) -> list[tuple[str, str]]:
    """`{KEY: VALUE}`, or a list of texts KEY=VALUE, as pairs of texts without NUL; raises InvalidArgument, which shows `form`."""
    if isinstance(value, Mapping):
        found = [(str(key), "" if item is None else str(item)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        found = [(text.partition("=")[0], text.partition("=")[2]) for text in map(str, value)]
    else:
        raise InvalidArgument(f"neither a dict nor a list of {form}: {shown(value)}", f"give a dict, or a list of {form}")
    for key, item in found:
        if not key or "\0" in key + item:
            raise InvalidArgument(f"not {form}: {shown(f'{key}={item}')}", f"write {form}")
    return found


def refused(why: str, *, unset: tuple[object, ...] = ()) -> Callable[[Any], None]:
    """A converter for what Docker has and this engine cannot do; the values `unset` say that it is not wanted, and are taken."""

    def convert(value: object) -> None:
        if not any(value == item and type(value) is type(item) for item in unset):
            raise Unsupported(f"{shown(value)} is not supported: {why}", "leave it out")

    return convert
