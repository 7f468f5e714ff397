"""What a step takes files from, and how a worker is told of it.

It must not read anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.build.context import Selection


@dataclass(frozen=True, slots=True)
class TreeFiles:
    """What is taken from another stage or image: its layers, and the patterns of files; `content` tells it from others."""

    diff_ids: tuple[str, ...]
    patterns: tuple[str, ...]
    content: Mapping[str, str] | str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """Files from elsewhere of which `identity` tells all that counts, so that they are fetched only where a step must be done anew."""

    name: str
    identity: str
    fetch: Callable[[], Selection]


def fetched(chosen: Sequence[Selection | Pending]) -> list[Selection]:
    """The files themselves; raises LabError where they cannot be had."""
    return [one.fetch() if isinstance(one, Pending) else one for one in chosen]


def described(selections: Sequence[Selection]) -> list[dict[str, Any]]:
    """Files of the context as plain values."""
    return [
        {
            "name": selection.name,
            "is_directory": selection.is_directory,
            "root": selection.root,
            "mtime_s": selection.mtime_s,
            "stays_packed": selection.stays_packed,
            "entries": [(one.path, one.real_path, one.mode, one.size, one.mtime_ns, one.target) for one in selection.entries],
        }
        for selection in selections
    ]
