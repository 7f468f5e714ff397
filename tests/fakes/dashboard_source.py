"""Containers that are not there: a Source of a dashboard that plays them, and an engine around it, for the tests of the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labcontainers.containers.state import ContainerState
from labcontainers.containers.usage.proc_usage import Census
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.engine.dashboard.dashboard import Dashboard
from labcontainers.engine.dashboard.log_search import find_lines
from labcontainers.engine.dashboard.seen import Seen
from labcontainers.errors import Conflict, Failed, LabError, NotFound
from labcontainers.store.events import Event


def container(name: str, status: str = "running", **more: Any) -> Seen:
    """A container of this name; `more` are values of its state."""
    state = ContainerState(status=status, started_at=900.0, **more)
    return Seen(name.encode().hex().ljust(64, "0"), name, "lab/base", "sleep 60", 890.0, "bridge", ("0.0.0.0:8080->80/tcp",), state)


class FakeSource:
    """Plays these containers: each uses what `uses` says, 10 % of a processor and 1 MiB at first."""

    def __init__(self, *names: str) -> None:
        self.now = 1000.0
        self.there = {name: container(name) for name in names}
        self.uses: dict[str, tuple[float, int]] = {}
        self.happened: list[Event] = []
        self.looked = 0
        self.fails: Exception | None = None
        self.closed = False
        self._cpu_ns: dict[str, float] = {}

    def change(self, name: str, status: str, **more: Any) -> None:
        """It is so from now on, and an event tells."""
        self.there[name] = replace(container(name, status, **more), created_at=self.there[name].created_at)
        self.tell(name, status)

    def add(self, name: str) -> None:
        self.there[name] = container(name)
        self.tell(name, "create")

    def remove(self, name: str) -> None:
        del self.there[name]
        self.tell(name, "destroy")

    def tell(self, name: str, action: str) -> None:
        self.happened.append(Event("container", action, name, name, {"image": "lab/base"}, int(self.now * 1e9)))

    # --- the source

    def events(self) -> list[Event]:
        happened, self.happened = self.happened, []
        return happened

    def containers(self) -> list[Seen]:
        self.looked += 1
        if self.fails is not None:
            raise self.fails
        return list(self.there.values())

    def meter(self, container_id: str) -> Callable[[StatsSample | None, Census], StatsSample]:
        name = bytes.fromhex(container_id.rstrip("0").ljust(2 * (len(container_id.rstrip("0")) + 1 >> 1), "0")).decode()
        if name not in self.there:
            raise NotFound(f"no such container: {name}")

        def measure(previous: StatsSample | None, census: Census) -> StatsSample:
            one = self.there.get(name)
            if one is None or not one.state.running:
                raise Conflict(f"container {name} is not running", "start it first")
            share, memory = self.uses.get(name, (0.1, 1 << 20))
            if previous is not None:
                self._cpu_ns[name] = previous.cpu_ns + share * (self.now * 1e9 - previous.time_ns)
            cpu_ns = int(self._cpu_ns.get(name, 0))
            return StatsSample(int(self.now * 1e9), share * 100, cpu_ns, memory, None, 3, 0, 0, None, None)

        return measure

    def close(self) -> None:
        self.closed = True


class FakeEngine:
    """What a dashboard and its widget ask of an engine; `acted` remembers what was done."""

    def __init__(self, root: Path) -> None:
        self.paths = SimpleNamespace(containers=root)
        self.acted: list[tuple[str, ...]] = []
        self.fails: LabError | None = None
        self.store = SimpleNamespace(worker=SimpleNamespace(call=self._call))
        self.containers = SimpleNamespace(get=self._get, list=lambda all=False: [], prune=self._prune)
        self.images = SimpleNamespace(list=lambda all=False: [], remove=lambda name: self._do("rmi", name))
        self.volumes = SimpleNamespace(list=list)

    def _call(self, function: str, **arguments: Any) -> Any:
        assert function == "labcontainers.engine.dashboard.log_search:find_lines"
        found = find_lines(**arguments)
        return {**found, "lines": [list(line) for line in found["lines"]]}

    def _do(self, *words: str) -> None:
        self.acted.append(words)
        if self.fails is not None:
            raise self.fails

    def _get(self, container_id: str) -> Any:
        verbs = ("start", "stop", "restart", "pause", "unpause", "kill")
        acts = {verb: (lambda verb=verb: self._do(verb, container_id)) for verb in verbs}
        return SimpleNamespace(**acts, remove=lambda force: self._do("remove", container_id), inspect=lambda: {"Id": container_id})

    def _prune(self) -> Any:
        raise Failed("the disk is on fire", "put it out")


def dashboard_of(source: FakeSource, root: Path) -> tuple[Dashboard, FakeEngine]:
    """A dashboard whose rounds are the test's, after a first one."""
    engine = FakeEngine(root)
    made = Dashboard(engine, source, clock=lambda: source.now, starts=False)
    return made, engine


def pass_time(dashboard: Dashboard, source: FakeSource, seconds: float, step: float = 1.0) -> None:
    """Rounds, `step` seconds apart."""
    end = source.now + seconds
    while source.now < end:
        source.now += step
        dashboard.recorder.round()
