"""Where a card's data come from: the small seam that a container, or a test's fake, fills.

It must not know the browser.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from labcontainers.containers.files.checkpoint import name_of
from labcontainers.containers.logs import LogReader
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.kernel import levels
from labcontainers.widgets.log_tail import Line
from labcontainers.widgets.messages import Facts, PortLink, State

if TYPE_CHECKING:
    from labcontainers.containers.container import Container
    from labcontainers.containers.usage.stats import StatsSample
    from labcontainers.networks.ports import PortBinding


class CardSource(Protocol):
    """A container as its card needs it. Reading never blocks for long; `act` may."""

    def facts(self) -> Facts:
        """What does not change."""

    def state(self) -> State:
        """How it is now; "removed" once it is gone."""

    def sample(self) -> StatsSample | None:
        """What it uses now; None when it does not run."""

    def new_lines(self, limit: int) -> Sequence[Line]:
        """At most `limit` lines of its output that were not returned before; [] when there are none yet."""

    def act(self, action: str) -> None:
        """ "stop", "restart" (or start), "remove" (by force) or "rollback" with a space and a number; blocks. Raises LabError."""

    def close(self) -> None:
        """Let go of open files."""


class ContainerSource:
    """A CardSource over a container of the engine."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._meter = container.meter()
        self._reader: LogReader | None = None
        self._reading: Iterator[Line] = iter(())

    def facts(self) -> Facts:
        container = self._container
        return {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "command": shlex.join(container.command),
            "created_at": container.created_at,
            "ports": [port_link(port, os.environ) for port in container.ports],
            "level": container.level,
            "level_means": levels.meaning(container.level),
        }

    def state(self) -> State:
        try:
            state = self._container.state
            warnings = list(self._container.warnings)
            points = self._container.checkpoints
        except NotFound:
            return removed()
        return {
            "status": state.status,
            "exit_code": state.exit_code,
            "oom_killed": state.oom_killed,
            "error": state.error or (self._container.gist() if state.status == "exited" else ""),
            "started_at": state.started_at,
            "finished_at": state.finished_at,
            "warnings": warnings,
            "checkpoints": [
                {
                    "number": one.number,
                    "label": name_of(one),
                    "parent": one.parent,
                    "created_at": one.created_at,
                    "current": one.current,
                }
                for one in points
            ],
        }

    def sample(self) -> StatsSample | None:
        try:
            sample: StatsSample = self._meter.sample()
        except (Conflict, NotFound):
            return None
        return sample

    def new_lines(self, limit: int) -> Sequence[Line]:
        if self._reader is None:
            try:
                self._reader = self._container.log_reader()
            except NotFound:
                return []
        lines = list(islice(self._reading, limit))
        if not lines:
            self._reading = iter(self._reader.read())
            lines = list(islice(self._reading, limit))
        return lines

    def act(self, action: str) -> None:
        actions: Mapping[str, Callable[[], object]] = {
            "stop": self._container.stop,
            "restart": self._container.restart,
            "remove": lambda: self._container.remove(force=True),
        }
        word, _, step = action.partition(" ")
        if word == "rollback" and step.isdecimal():
            self._container.rollback(int(step))
            return
        if action not in actions:
            raise InvalidArgument(f"a card cannot do this: {action!r}")
        actions[action]()

    def close(self) -> None:
        if self._reader is not None:
            with self._reader:
                self._reader = None
            self._reading = iter(())


def removed() -> State:
    """The state of a container that is no more."""
    return {
        "status": "removed",
        "exit_code": 0,
        "oom_killed": False,
        "error": "",
        "started_at": None,
        "finished_at": None,
        "warnings": [],
    }


def port_link(port: PortBinding, environment: Mapping[str, str]) -> PortLink:
    """Where a published port can be opened: through the hub's proxy where `environment` tells of one, else on the host it is bound to.

    Source: jupyter-server-proxy, "Accessing arbitrary ports": <user's prefix>/proxy/<port>/ .
    """
    if not port.host_port:
        return {"text": f"{port.container_port}/{port.protocol}", "host": "", "port": 0, "path": ""}
    text = f"{port.host_port} → {port.container_port}/{port.protocol}"
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
    browsable = port.protocol == "tcp"
    path = f"{prefix.rstrip('/')}/proxy/{port.host_port}/" if prefix and browsable else ""
    return {"text": text, "host": (port.host_ip or "0.0.0.0") if browsable else "", "port": port.host_port, "path": path}
