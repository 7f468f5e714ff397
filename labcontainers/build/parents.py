"""COPY --parents: where the kept part of a path begins, and which paths of a tree a pattern names.

It must not read anything: the worker that copies loads it too.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from labcontainers.build.ignore import path_rules


def split_pivot(source: str) -> tuple[str, str]:
    """The directory that `source` is looked for in, and the pattern below it: `/./` stands between them, else it is all pattern.

    The directory may have wildcards, of which `**` is one name, as `*` is: BuildKit matches them by filepath.Match.
    """
    pivot, found, pattern = source.partition("/./")
    return (pivot or "/", pattern) if found else ("/", source)


def with_parents(pattern: str, paths: Sequence[str]) -> list[str]:
    """Those of the paths that the pattern names, what is below them, and their parents, in the order given; "" is never one of them."""
    clean = posixpath.normpath("/" + pattern).lstrip("/")
    if not clean:
        return [path for path in paths if path]
    rules = path_rules(clean)
    chosen: set[str] = set()
    for path in paths:
        if path and rules.ignores(path):
            while path and path not in chosen:
                chosen.add(path)
                path = posixpath.dirname(path)
    return [path for path in paths if path in chosen]
