"""The functions that a template may call: Go's own and those that Docker adds.

It must not know templates: each gets values and gives one. What does not fit raises ValueError with Go's words.
`and` and `or` are not here, since they look at no more arguments than they need. Source: pkg.go.dev/text/template, "Functions";
docs.docker.com, "Format command and log output".
"""

from __future__ import annotations

import html
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote_plus

from labcontainers.commands.templates.printf import sprintf
from labcontainers.commands.templates.values import NOTHING, NilList, NilMap, Nothing, json_of, spaced, text_of, type_of

_ANY: type = object
_Texts: TypeAlias = list[Any]


@dataclass(frozen=True, slots=True)
class Callee:
    """A function with the types that it takes, and that of any further arguments."""

    act: Callable[..., Any]
    takes: tuple[type, ...]
    more: type | None = None

    def __call__(self, name: str, arguments: list[Any]) -> Any:
        """Raises ValueError."""
        wanted = len(self.takes)
        if len(arguments) < wanted or (self.more is None and len(arguments) > wanted):
            least = "at least " if self.more is not None else ""
            raise ValueError(f"wrong number of args for {name}: want {least}{wanted} got {len(arguments)}")
        types = (*self.takes, *[self.more] * (len(arguments) - wanted))
        for value, kind in zip(arguments, types, strict=True):
            if kind is not None and not _fits(value, kind):
                raise ValueError(f"wrong type for value of {name}; expected {_NAMES[kind]}; got {type_of(value)}")
        return self.act(*arguments)


_NAMES: dict[Any, str] = {str: "string", int: "int", list: "[]string"}


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is list:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return isinstance(value, kind)


# --- Docker's


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda match: match[0].title(), text)


def _pad(text: str, before: int, after: int) -> str:
    if before < 0 or after < 0:
        raise ValueError("negative number of spaces")
    return text and " " * before + text + " " * after


def _truncate(text: str, length: int) -> str:
    if length < 0:
        raise ValueError(f"index out of range: {length}")
    return text.encode()[:length].decode("utf-8", "replace")


def _split(text: str, separator: str) -> _Texts:
    return text.split(separator) if separator else list(text)


# --- Go's


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | Mapping):
        return len(value)
    raise ValueError("len of nil pointer" if value is None else f"len of type {type_of(value)}")


def _position(key: Any, length: int, *, beyond: bool = False) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueError(f"cannot index slice/array with {'nil' if key is None else f'type {type_of(key)}'}")
    if not 0 <= key < length + beyond:
        raise ValueError(f"index out of range: {key}")
    return key


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            if not isinstance(key, str):
                raise ValueError(f"value has type {type_of(key)}; should be string")
            value = value[key] if key in value else _zero_of(value)
        elif isinstance(value, str):
            data = value.encode()
            value = data[_position(key, len(data))]
        elif isinstance(value, list | tuple):
            value = value[_position(key, len(value))]
        else:
            raise ValueError("index of untyped nil" if value is None else f"can't index item of type {type_of(value)}")
    return value


def _zero_of(values: Mapping[str, Any]) -> Any:
    """What a map of Go's has for a key that it has not, as its other values tell; of an empty one, a text."""
    zeros = {str: "", bool: False, int: 0, float: 0.0}
    some = next(iter(values.values()), "")
    return NOTHING if isinstance(some, list | tuple) else zeros.get(type(some))


def _slice(value: Any, *bounds: Any) -> Any:
    most = 2 if isinstance(value, str) else 3
    if not isinstance(value, str | list | tuple):
        raise ValueError("slice of untyped nil" if value is None else f"can't slice item of type {type_of(value)}")
    if len(bounds) > most:
        raise ValueError(f"cannot slice {'string' if most == 2 else 'slice'} with {len(bounds)} indexes")
    items: Any = value.encode() if isinstance(value, str) else value
    places = [_position(bound, len(items), beyond=True) for bound in bounds]
    start, end = (*places, *(0, len(items))[len(places) :])[:2]
    if places != sorted(places):
        raise ValueError(f"invalid slice index: {places[0]} > {places[1]}")
    found = items[start:end]
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def _kind(value: Any) -> str:
    return "nil" if value is None or isinstance(value, Nothing) else type_of(value)


def _equal(value: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for item in (value, *others):
        if isinstance(item, list | tuple | Mapping) and not isinstance(item, NilList | NilMap):
            raise ValueError(f"uncomparable type {type_of(item)}")
    for other in others:
        kinds = {_kind(value), _kind(other)}
        if len(kinds) > 1 and "nil" not in kinds:
            raise ValueError(f"incompatible types for comparison: {_kind(value)} and {_kind(other)}")
        if len(kinds) == 1 and value == other:
            return True
    return False


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(value: Any, other: Any) -> bool:
        for item in (value, other):
            if _kind(item) not in ("int", "float64", "string"):
                raise ValueError(f"invalid type for comparison: {_kind(item)}")
        if _kind(value) != _kind(other):
            raise ValueError(f"incompatible types for comparison: {_kind(value)} and {_kind(other)}")
        # Go compares texts by their bytes
        return compare(*(item.encode() if isinstance(item, str) else item for item in (value, other)))

    return ordered


def _html(*values: Any) -> str:
    return html.escape(spaced(values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("\0", "\ufffd")


_SCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _js(*values: Any) -> str:
    def safe(character: str) -> str:
        plain = character.isprintable()
        return _SCRIPT.get(character, character if plain else f"\\u{ord(character):04X}")

    return "".join(map(safe, spaced(values)))


FUNCTIONS: dict[str, Callee] = {
    "json": Callee(json_of, (_ANY,)),
    "join": Callee(lambda texts, separator: separator.join(texts), (list, str)),
    "split": Callee(_split, (str, str)),
    "lower": Callee(str.lower, (str,)),
    "upper": Callee(str.upper, (str,)),
    "title": Callee(_title, (str,)),
    "pad": Callee(_pad, (str, int, int)),
    "truncate": Callee(_truncate, (str, int)),
    "len": Callee(_len, (_ANY,)),
    "index": Callee(_index, (_ANY,), _ANY),
    "slice": Callee(_slice, (_ANY,), _ANY),
    "print": Callee(lambda *values: spaced(values), (), _ANY),
    "println": Callee(lambda *values: " ".join(map(text_of, values)) + "\n", (), _ANY),
    "printf": Callee(sprintf, (str,), _ANY),
    "html": Callee(_html, (), _ANY),
    "js": Callee(_js, (), _ANY),
    "urlquery": Callee(lambda *values: quote_plus(spaced(values)), (), _ANY),
    "not": Callee(lambda value: not value, (_ANY,)),
    "eq": Callee(_equal, (_ANY,), _ANY),
    "ne": Callee(lambda value, other: not _equal(value, other), (_ANY, _ANY)),
    "lt": Callee(_ordered(operator.lt), (_ANY, _ANY)),
    "le": Callee(_ordered(operator.le), (_ANY, _ANY)),
    "gt": Callee(_ordered(operator.gt), (_ANY, _ANY)),
    "ge": Callee(_ordered(operator.ge), (_ANY, _ANY)),
}

# In the head of a table these leave its words alone, as in Docker; `pad` keeps the columns below each other.
HEAD_FUNCTIONS = {
    **FUNCTIONS,
    **dict.fromkeys(("json", "lower", "upper", "title"), Callee(lambda text: text, (_ANY,))),
    **dict.fromkeys(("join", "split", "truncate"), Callee(lambda text, how: text, (_ANY, _ANY))),
}

# Called by the template itself
LAZY = ("and", "or", "call")
