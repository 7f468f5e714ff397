"""What whoever starts a container takes of its standard streams from the first byte on, and how large his terminal is.

It must not start anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.streams import STREAMS, attached_streams


@dataclass(frozen=True, slots=True)
class Seat:
    """`streams` are 0, 1 and 2, or None for the output of a foreground start alone; `size` is in rows and columns, 0 for unknown."""

    streams: tuple[int, ...] | None = None
    size: tuple[int, int] = (0, 0)

    def request(self, options: ContainerOptions) -> dict[str, Any]:
        """What the shim must know of it: nothing, for most containers."""
        request: dict[str, Any] = {}
        if options.tty or options.stdin_open:
            once = options.stdin_open and "stdin" in attached_streams(options.attach, options.stdin_open)
            request.update(tty=options.tty, open_stdin=options.stdin_open, stdin_once=once)
        if self.streams is not None:
            request["attach"] = self.streams
        return request


NOBODY = Seat()


def numbers_of(names: tuple[str, ...]) -> tuple[int, ...]:
    """Streams by number, from Docker's names."""
    return tuple(STREAMS.index(name) for name in names)
