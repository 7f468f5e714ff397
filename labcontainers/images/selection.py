"""Which images are meant: Docker's filters of `images` and `image prune`; it must not remove anything."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from labcontainers.errors import InvalidArgument
from labcontainers.images.image import Image
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.units import parse_moment_s

Filters = Mapping[str, str | bool | Sequence[str]]
Wanted = dict[str, list[str]]

LIST = ("dangling", "label", "before", "since", "until", "reference")
PRUNE = ("dangling", "label", "label!", "until")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def list_filters(filters: Filters) -> Wanted:
    """The filters of `images`, checked; raises InvalidArgument."""
    return _checked(filters, LIST)


def prune_filters(filters: Filters) -> Wanted:
    """The filters of `image prune`, checked; raises InvalidArgument."""
    return _checked(filters, PRUNE)


def _checked(filters: Filters, known: tuple[str, ...]) -> Wanted:
    wanted: Wanted = {}
    for key, value in filters.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise InvalidArgument(f"unknown filter {key!r}", f"did you mean {near[0]}?" if near else f"filters are {', '.join(known)}")
        texts = [value] if isinstance(value, str | bool) else value
        wanted[key] = [str(text).lower() if isinstance(text, bool) else str(text) for text in texts]
        for text in wanted[key]:
            _check_value(key, text)
    if len({text in _TRUE for text in wanted.get("dangling", ())}) > 1:
        raise InvalidArgument("invalid filter 'dangling': both true and false", "write one of them")
    return wanted


def _check_value(key: str, text: str) -> None:
    if key == "dangling" and text not in _TRUE + _FALSE:
        raise InvalidArgument(f"invalid filter 'dangling={text}'", "write dangling=true or dangling=false")
    if key == "until":
        try:
            parse_moment_s(text, time.time())
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid filter 'until={text}': {error.message}", error.hint) from None
    if key == "reference":
        pattern(text)


def select(images: Iterable[Image], wanted: Wanted, get: Callable[[str], Image]) -> list[tuple[Image, tuple[str, ...]]]:
    """Those that all filters want, each with its names (tags and digests) that they want; `get` finds what before and since name.

    Values of `reference` are alternatives; all others must hold. `reference` looks at names, so that images without one are left out.
    """
    before = [get(name).created_at for name in wanted.get("before", ())]
    since = [get(name).created_at for name in wanted.get("since", ())]
    until = [parse_moment_s(text, time.time()) for text in wanted.get("until", ())]
    patterns = [pattern(text) for text in wanted.get("reference", ())]
    dangling = wanted["dangling"][-1] in _TRUE if wanted.get("dangling") else None
    found = []
    for image in images:
        in_time = all(image.created_at < at for at in (*before, *until)) and all(image.created_at > at for at in since)
        known = (*image.tags, *image.repo_digests)
        names = tuple(name for name in known if any(matches(name) for matches in patterns)) if patterns else known
        if in_time and labelled(image, wanted) and (names or not patterns) and dangling in (None, not known):
            found.append((image, names))
    return found


def may_be_pruned(image: Image, wanted: Wanted) -> bool:
    """Whether `image prune` with these filters means an image."""
    return labelled(image, wanted) and all(image.created_at < parse_moment_s(text, time.time()) for text in wanted.get("until", ()))


def wants_all(wanted: Wanted) -> bool:
    """Whether the filters ask for named images, too."""
    return bool(wanted.get("dangling")) and wanted["dangling"][-1] in _FALSE


def labelled(image: Image, wanted: Wanted) -> bool:
    """Whether it has all the labels that are wanted, KEY or KEY=VALUE, and none of those that are not."""

    def has(text: str) -> bool:
        key, separator, value = text.partition("=")
        return key in image.labels and (not separator or image.labels[key] == value)

    return all(map(has, wanted.get("label", ()))) and not any(map(has, wanted.get("label!", ())))


def pattern(text: str) -> Callable[[str], bool]:
    """Whether a familiar name, with or without its tag, matches (Go's path.Match: no wildcard stands for a slash)."""
    compiled = _compiled(text)

    def matches(name: str) -> bool:
        reference = reference_of(name)
        return any(compiled.fullmatch(form) for form in (name, reference.repository, reference.canonical))

    return matches


@lru_cache(8192)
def reference_of(name: str) -> Reference:
    """A name that is known to be one; kept, since listings look at each several times."""
    return parse_reference(name)


def _compiled(text: str) -> re.Pattern[str]:
    """Go's pattern as a regular expression. Source: path.Match in Go's documentation."""
    parts, index = [], 0
    while index < len(text):
        letter = text[index]
        index += 1
        if letter in "*?":
            parts.append("[^/]*" if letter == "*" else "[^/]")
        elif letter == "\\" and index < len(text):
            parts.append(re.escape(text[index]))
            index += 1
        elif letter == "[" and (end := text.find("]", index + 1)) > 0:
            inner = text[index:end]
            negated = inner.startswith("^")
            parts.append(f"(?!/)[{'^' if negated else ''}{_escaped(inner[negated:])}]")
            index = end + 1
        elif letter in "[\\":
            raise InvalidArgument(f"invalid filter 'reference={text}': a pattern that does not end", "write * or ?, or close the [")
        else:
            parts.append(re.escape(letter))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise InvalidArgument(f"invalid filter 'reference={text}': {error}", "write * or ?, or a range such as [a-c]") from None


def _escaped(inner: str) -> str:
    return "".join(letter if letter == "-" else re.escape(letter) for letter in inner)
