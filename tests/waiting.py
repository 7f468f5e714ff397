"""Waiting for what happens soon, without asserting how soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcontainers.containers.container import Container
    from labcontainers.engine.engine import Engine

DEADLINE_S = 90.0


def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_S) -> None:
    """Return once `condition` holds; fails, naming `what` should have been, if it does not in `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def until_over(engine: Engine, container: Container) -> list[str]:
    """Wait until it has ended for good and its last event says so (the state tells a moment before); the actions of its events."""

    def actions() -> list[str]:
        return [event.action for event in engine.events.read() if event.id == container.id and event.type == "container"]

    until(lambda: container.status == "exited" and actions()[-1] == "die", "it has ended for good")
    return actions()
