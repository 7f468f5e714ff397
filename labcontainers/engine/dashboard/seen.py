"""Which containers there are, and how they are: read anew only when something has happened; what a dashboard has seen stays known.

It must not know histories.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from labcontainers.containers.state import ContainerState
from labcontainers.containers.status import summary
from labcontainers.containers.usage.proc_usage import Census
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import NotFound
from labcontainers.store.event_tail import EventTail
from labcontainers.store.events import Event

if TYPE_CHECKING:
    from labcontainers.containers.container import Container
    from labcontainers.engine.engine import Engine

Measure = Callable[[StatsSample | None, Census], StatsSample]


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as it was when it was last looked at; `gone` says that it has been removed since. `why` tells a failure's reason."""

    id: str
    name: str
    image: str
    command: str
    created_at: float
    network: str
    ports: tuple[str, ...]
    state: ContainerState
    why: str = ""
    gone: bool = False

    @property
    def samples(self) -> bool:
        """Whether it uses anything that can be measured."""
        return not self.gone and self.state.status in ("running", "paused")

    def status(self, now: float) -> str:
        """What `ps` says under STATUS, or that it has been removed."""
        return "Removed" if self.gone else summary(self.state, now)


class Source(Protocol):
    """Where a dashboard's containers come from."""

    def events(self) -> list[Event]:
        """What has happened since the last call."""

    def containers(self) -> list[Seen]:
        """All containers, newest first."""

    def meter(self, container_id: str) -> Measure:
        """Takes samples of a container; raises NotFound, and Conflict when it does not run."""

    def close(self) -> None:
        """Let go of open files."""


class EngineSource:
    """The containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tail = EventTail(engine.paths.events)

    def events(self) -> list[Event]:
        return self._tail.read()

    def containers(self) -> list[Seen]:
        found = []
        for container in self._engine.containers.list(all=True):
            with contextlib.suppress(NotFound):  # removed while we looked
                found.append(seen(container))
        return found

    def meter(self, container_id: str) -> Measure:
        return self._engine.containers.get(container_id).meter().sample

    def close(self) -> None:
        self._tail.close()


def seen(container: Container) -> Seen:
    """The container as it is now. Raises NotFound."""
    state = container.state
    return Seen(
        id=container.id,
        name=container.name,
        image=container.image,
        command=shlex.join(container.command),
        created_at=container.created_at,
        network=container.network,
        ports=tuple(map(str, container.ports)),
        state=state,
        why=state.error or (container.gist() if state.status == "exited" else ""),
    )
