"""Equal steps of one build are done once: who comes first does it, the others wait and have what came of it.

It must not know what a step is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from labcontainers.errors import Cancelled
from labcontainers.store.snapshots import Layer


@dataclass(slots=True)
class Made:
    """What came of a key: the layer, None where no file changed; `anew` says that it was not found but done."""

    layer: Layer | None
    anew: bool


@dataclass(slots=True)
class _Making:
    ended: threading.Event = field(default_factory=threading.Event)
    made: Made | None = None


class Once:
    """The keys of one build. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._makings: dict[str, _Making] = {}

    def do(self, key: str, make: Callable[[], Made]) -> tuple[Made, bool]:
        """What `make` makes, and whether it was called for this; blocks while another makes it. Raises Cancelled where that one failed."""
        with self._lock:
            first = key not in self._makings
            making = self._makings.setdefault(key, _Making())
        if not first:
            making.ended.wait()
            if making.made is None:
                raise Cancelled("an equal step failed", "see what it said")
            return making.made, False
        try:
            making.made = make()
        finally:
            making.ended.set()
        return making.made, True
