"""Docker's filters of volumes; it must not know where volumes come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.volumes.volume import Volume

_TRUE, _FALSE = ("true", "1"), ("false", "0")


def wanted_of(filters: Mapping[str, Any], known: Sequence[str]) -> dict[str, list[str]]:
    """Each filter's values as texts; raises InvalidArgument for an unknown filter or value."""
    wanted: dict[str, list[str]] = {}
    for key, value in filters.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise InvalidArgument(f"invalid filter {key!r}", f"did you mean {near[0]}?" if near else f"filters are {', '.join(known)}")
        wanted[key] = [_text(item) for item in (value if isinstance(value, list | tuple) else [value])]
    for key in ("dangling", "all"):
        wrong = next((text for text in wanted.get(key, ()) if text not in _TRUE + _FALSE), None)
        if wrong is not None:
            raise InvalidArgument(f"invalid filter '{key}={wrong}'", f"write {key}=true or {key}=false")
    return wanted


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def matches(volume: Volume, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Values of one filter are alternatives, but labels must all match; a name may be a part of it."""

    def labelled(text: str) -> bool:
        key, separator, value = text.partition("=")
        return key in volume.labels and (not separator or volume.labels[key] == value)

    tests: dict[str, Callable[[Sequence[str]], bool]] = {
        "name": lambda texts: any(text in volume.name for text in texts),
        "driver": lambda texts: volume.driver in texts,
        "label": lambda texts: all(map(labelled, texts)),
        "label!": lambda texts: not any(map(labelled, texts)),
        "dangling": lambda texts: (texts[-1] in _TRUE) is (not volume.users),
    }
    return all(tests[key](texts) for key, texts in wanted.items())
