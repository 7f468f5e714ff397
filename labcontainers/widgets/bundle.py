"""The JavaScript of the widgets as the build leaves it, read when it is first needed.

It must not know what the code does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from labcontainers.errors import Unavailable

STATIC = Path(__file__).resolve().parent / "static"
HASH_MARK = "__LABCONTAINERS_HASH__"
WIDGETS, TERMINAL, DASHBOARD = "widgets", "terminal", "dashboard"


@dataclass(frozen=True, slots=True)
class Bundle:
    """`code` is all that a page needs, `hash` names this version of it, `loader` is the little that each widget carries."""

    code: str
    hash: str
    loader: str


def built(folder: Path = STATIC) -> bool:
    """Whether the bundles are there."""
    return all((folder / f"{name}.js").is_file() for name in (WIDGETS, TERMINAL, DASHBOARD, "loader"))


@lru_cache(maxsize=4)
def read(folder: Path = STATIC, name: str = WIDGETS) -> Bundle:
    """A bundle in `folder`: what most widgets need, a terminal or a dashboard. Raises Unavailable when they have not been built."""
    if not built(folder):
        raise Unavailable(
            "the JavaScript of the widgets is not built",
            "in a checkout run `make js` (or `npm --prefix js ci && npm --prefix js run build`); a wheel brings it along",
        )
    code = (folder / f"{name}.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(code.encode()).hexdigest()[:16]
    return Bundle(code, digest, (folder / "loader.js").read_text(encoding="utf-8").replace(HASH_MARK, digest))
