"""Engines of a test, left as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcontainers import Engine


@contextmanager
def put_in_order(verify: Callable[[Engine], Sequence[str]]) -> Iterator[list[Engine]]:
    """At the end the engines in the list that are not closed lose their containers, are verified and closed."""
    engines: list[Engine] = []
    yield engines
    complaints: list[str] = []
    for engine in [engine for engine in engines if not engine.closed]:
        try:
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            complaints += verify(engine)
        finally:
            engine.close()
    assert not complaints, "the store is not consistent: " + "; ".join(complaints)
