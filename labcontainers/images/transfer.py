"""How far the layers of a pull, push or load are, as values and as lines of text; it must not know who shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from labcontainers.units import format_bytes

# Docker's words, in which `current` and `total` tell something.
_MEASURED = ("Downloading", "Extracting", "Pushing", "Loading layer", "Importing")
_BAR = 30


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """How far a layer is: `layer` is the beginning of its digest, `status` one of Docker's words, sizes in bytes (`total` -1: unknown).

    What has no name, such as the archive of an import, has the layer "".
    """

    layer: str
    status: str
    current: int = 0
    total: int = -1

    def line(self, *, bar: bool = False) -> str:
        """One line, as Docker's command line has it."""
        said = f"{self.layer}: {self.status}" if self.layer else self.status
        if self.status not in _MEASURED:
            return said
        amount = format_bytes(self.current)
        if self.total <= 0:
            return f"{said}  {amount}"
        filled = min(_BAR, _BAR * self.current // self.total)
        drawn = f"[{'=' * filled}{'>' if filled < _BAR else ''}{' ' * max(0, _BAR - filled - 1)}]  " if bar else ""
        return f"{said}  {drawn}{amount}/{format_bytes(self.total)}"


@dataclass(frozen=True, slots=True)
class Transferred:
    """Said at the end of a transfer that is only the beginning of something else, as that of an image which `run` lacks."""


OnProgress = Callable[[LayerProgress], None]


def nobody(progress: LayerProgress) -> None:
    """For who does not listen."""


def is_address(data: object) -> TypeGuard[str]:
    """Whether this is an address of HTTP, by which something can be fetched."""
    return isinstance(data, str) and data.startswith(("http://", "https://"))


class Transfer:
    """The last word on each layer, in the order in which they were first heard of. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._layers: dict[str, LayerProgress] = {}

    def take(self, progress: LayerProgress) -> bool:
        """Note it; whether the layer's status is another one than before."""
        with self._lock:
            before = self._layers.get(progress.layer)
            self._layers[progress.layer] = progress
            return before is None or before.status != progress.status

    @property
    def layers(self) -> tuple[LayerProgress, ...]:
        """All layers as they are now."""
        with self._lock:
            return tuple(self._layers.values())

    def lines(self) -> list[str]:
        """One line for each layer."""
        return [layer.line(bar=True) for layer in self.layers]
