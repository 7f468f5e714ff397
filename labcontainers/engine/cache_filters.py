"""Which records of the build cache are meant: the filters of `buildx du` and `buildx prune`; it must not count or remove anything."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.options.flags import about
from labcontainers.engine.cache_told import CacheUsage
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_moment_s

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_TYPES = ("regular", "internal", "frontend", "source.local", "source.git.checkout", "exec.cachemount")
_FLAGS: Mapping[str, Callable[[CacheUsage], bool]] = {
    "inuse": lambda one: one.in_use,
    "shared": lambda one: one.shared,
    "private": lambda one: not one.shared,
    "mutable": lambda one: one.is_folder,
    "immutable": lambda one: not one.is_folder,
}
_TEXTS: Mapping[str, Callable[[CacheUsage, str], bool]] = {
    "id": lambda one, text: one.row.key.partition(":")[2].startswith(text),
    "type": lambda one, text: one.type == text,
    "description": lambda one, text: text in one.row.about,
}
_MOMENTS = ("until", "unused-for")
FILTERS = (*_TEXTS, *_FLAGS, "until")


@dataclass(frozen=True, slots=True)
class CacheFilter:
    """Everything that is asked of a record; of several values of one name one is enough."""

    tests: tuple[Callable[[CacheUsage], bool], ...]

    def takes(self, one: CacheUsage) -> bool:
        """Whether a record is meant."""
        return all(test(one) for test in self.tests)


@about("--filter")
def cache_filter(filters: Mapping[str, Any]) -> CacheFilter:
    """From names and values, of which "until" is a time or an age since the last use. Raises InvalidArgument."""
    tests: list[Callable[[CacheUsage], bool]] = []
    for name, value in filters.items():
        values = [str(value)] if isinstance(value, str | int | float) else [str(item) for item in value]
        tests.append(_test(name, values))
    return CacheFilter(tuple(tests))


def _test(name: str, values: list[str]) -> Callable[[CacheUsage], bool]:
    if name in _MOMENTS:
        moment = min((_moment(name, value) for value in values), default=0.0)
        return lambda one: one.row.used_at < moment
    if name in _FLAGS:
        wanted = {_truth(name, value) for value in values}
        return lambda one: _FLAGS[name](one) in wanted
    if name not in _TEXTS:
        near = difflib.get_close_matches(name, FILTERS, n=1)
        raise InvalidArgument(f"unknown filter {name!r}", f"did you mean {near[0]}?" if near else f"filters are {', '.join(FILTERS)}")
    for value in values:
        if name == "type" and value not in _TYPES:
            raise InvalidArgument(f"invalid filter 'type={value}'", f"a type is one of {', '.join(_TYPES)}")
    return lambda one: any(_TEXTS[name](one, value) for value in values)


def _moment(name: str, text: str) -> float:
    try:
        return parse_moment_s(text, time.time())
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid filter '{name}={text}': {error.message}", error.hint) from None


def _truth(name: str, text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise InvalidArgument(f"invalid filter '{name}={text}'", f"write {name}=true or {name}=false")
    return text.lower() in _TRUE
