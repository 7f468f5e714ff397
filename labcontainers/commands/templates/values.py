"""Values as Go's templates see and print them.

It must not know where they come from. What is null in a document is a nil of Go's: a list's prints as [], a map's as map[], any other
as <nil>; which fields are which is told by a Shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of a document's fields that are lists, and maps with keys of the user's, also where they are null.

    The `optional` ones are left out of the document where there is nothing to tell, and are nil for a template.
    """

    lists: Set[str] = frozenset()
    maps: Set[str] = frozenset()
    optional: Set[str] = frozenset()

    def nil(self, name: str) -> Any:
        """What a field is that is null or left out."""
        return NilList() if name in self.lists else NilMap() if name in self.maps else None


class Nothing:
    """What a map has for a key that it has not: false, and printed as <no value>."""

    def __bool__(self) -> bool:
        return False


NOTHING = Nothing()


class NilList(list[Any]):
    """A list that is null."""


class NilMap(dict[str, Any]):
    """A map that is null."""


class Row(Mapping[str, Any]):
    """A line of a listing: each field is asked for when it is looked at, and once.

    Docker's command line makes its JSON in another way than a document's: sorted, and safe within HTML.
    """

    def __init__(self, item: Any, fields: Mapping[str, Callable[[Any], Any]]) -> None:
        self._item = item
        self._fields = fields
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._fields[name](self._item)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Tagged(dict[str, Any]):
    """The fields of a struct that has other names in JSON: there it is `document`."""

    def __init__(self, fields: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.document = document


def is_nil(value: Any) -> bool:
    """Whether JSON calls it null."""
    return value is None or isinstance(value, NilList | NilMap | Nothing)


def type_of(value: Any) -> str:
    """Go's name of its type."""
    if isinstance(value, list | tuple):
        return f"[]{_common(list(value))}"
    if isinstance(value, Mapping):
        return f"map[string]{_common(list(value.values()))}"
    names = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "<nil>"}
    return names.get(type(value), "func")


def _common(values: list[Any]) -> str:
    kinds = {type_of(value) for value in values}
    return kinds.pop() if len(kinds) == 1 and kinds != {"<nil>"} else "interface {}"


def text_of(value: Any) -> str:
    """As the verb %v prints it: [a b], map[k:v], true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{text_of(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(text_of, value))}]"
    if isinstance(value, Nothing):
        return "<no value>"
    return "<nil>" if value is None else str(value)


def float_text(value: float) -> str:
    """The shortest digits that are this number, with an exponent from a million on (strconv.FormatFloat, "g")."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    mantissa, _, power = repr(value).partition("e")
    exponent = int(power or 0)
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0"
    if point - 1 < -4 or point - 1 >= 6:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    padded = digits.ljust(point, "0")
    return sign + padded[:point] + (f".{padded[point:]}" if padded[point:] else "")


def spaced(values: tuple[Any, ...]) -> str:
    """As Go's Sprint: a space between two of which neither is a text."""
    text = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            text += " "
        text += text_of(None if isinstance(value, Nothing) else value)
    return text


def json_of(value: Any) -> str:
    """As Docker's function json writes it; methods are left out."""
    if isinstance(value, Row):
        text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if is_nil(value) or callable(value):
        return None if is_nil(value) else ""
    if isinstance(value, Tagged):
        return _plain(value.document)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
