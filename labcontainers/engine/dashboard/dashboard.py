"""The dashboard as a value: what containers use and have used, what they say, as tables; from when it is asked for until it is closed.

It must not know notebooks: how it is shown as a widget is the front's business; its text and HTML forms are plain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labcontainers.engine.dashboard.history import FIGURES, Usage
from labcontainers.engine.dashboard.log_search import LINES, Found, FoundLines, LogWish, search
from labcontainers.engine.dashboard.recorder import Recorder
from labcontainers.engine.dashboard.seen import EngineSource, Seen, Source
from labcontainers.engine.dashboard.table import Table, known
from labcontainers.errors import Conflict, NotFound
from labcontainers.units import format_memory, parse_moment_s

if TYPE_CHECKING:
    from labcontainers.engine.engine import Engine

_ALL = ""
Moment = float | str | datetime | None


class Dashboard:
    """All containers of an engine, with an hour of history. Every method is thread-safe.

    What is used is looked at each second while a page shows it, else each ten seconds. It ends with close(), or with the engine.
    """

    def __init__(
        self, engine: Engine, source: Source | None = None, *, clock: Callable[[], float] = time.time, starts: bool = True
    ) -> None:
        """It has looked once then, and goes on to if it `starts`."""
        self.engine = engine
        self.recorder = Recorder(source or EngineSource(engine), clock)
        self.recorder.round()
        if starts:
            self.recorder.start()

    def close(self) -> None:
        """Look no more; blocks until its thread has ended. What was recorded stays. Idempotent."""
        self.recorder.close()

    # --- what there is

    @property
    def containers(self) -> list[Seen]:
        """Every container as it was last seen, those that are gone too, newest first."""
        return self.recorder.seen()

    def find(self, name_or_id: str) -> Seen:
        """By name, id or the beginning of an id, of a container that is there before one that is gone. Raises NotFound, Conflict."""
        everyone = sorted(self.containers, key=lambda one: one.gone)
        named = [one for one in everyone if name_or_id in (one.name, one.id)]
        found = named or [one for one in everyone if len(name_or_id) >= 4 and one.id.startswith(name_or_id)]
        if not found:
            raise NotFound(f"the dashboard has seen no container {name_or_id!r}", "`.containers` of it lists what it has seen")
        if not named and len(found) > 1:
            raise Conflict(f"more than one container begins with {name_or_id}", "give more digits of the id")
        return found[0]

    # --- what they use

    def history(self, container: str | None = None, *, since: Moment = None) -> Table:
        """What was used in the last hour, of all containers or of one, "total" for all together; a row for each moment.

        Columns: time (seconds since the epoch), container, id, cpu_percent (100 is one processor), memory_bytes, network_rx, network_tx,
        block_read, block_write (bytes per second), pids; None is what the host cannot tell. The last two minutes are of each second while
        a page shows the dashboard, what is before is the mean of ten seconds. Containers that are gone have their rows. Raises NotFound.
        """
        begin = 0.0 if (moment := _moment(since)) is None else moment
        chosen = self.containers[::-1] if container is None else [] if container == "total" else [self.find(container)]
        rows = [
            (point.time, one.name, one.id, *known(point[1:]))
            for one in chosen
            for point in self.recorder.tracks.points(one.id)
            if point.time >= begin
        ]
        if container == "total":
            rows = [(point.time, "total", "", *known(point[1:])) for point in self.recorder.tracks.points(_ALL) if point.time >= begin]
        return Table(("time", "container", "id", *FIGURES), rows, "nothing has been recorded yet")

    # --- what they say

    def logs(
        self,
        pattern: str = "",
        *,
        containers: Iterable[str] | str | None = None,
        regex: bool = True,
        match_case: bool = False,
        since: Moment = None,
        until: Moment = None,
        limit: int = LINES,
    ) -> FoundLines:
        """The last `limit` lines of these containers' logs, or of all that are there, merged by time, in which `pattern` is found.

        It is a regular expression of Python, or with `regex` false a text; upper and lower case are the same unless `match_case`.
        Times are as for Container.logs. Raises InvalidArgument for what is no expression, NotFound.
        """
        names = [containers] if isinstance(containers, str) else containers
        chosen = [one for one in self.containers if not one.gone] if names is None else [self.find(name) for name in names]
        wish = LogWish(pattern, regex, match_case, since=_moment(since), until=_moment(until), limit=limit)
        found, searched_since = self.search(chosen, wish)
        return FoundLines([one.name for one in chosen], found, searched_since)

    def search(self, containers: Iterable[Seen], wish: LogWish) -> tuple[list[Found], float | None]:
        """As logs(), each line with the number of its container among these."""
        paths = [self.engine.paths.containers / one.id / "log" for one in containers]
        return search(self.engine.store.worker.call, paths, wish)

    # --- how it is shown

    def table(self) -> Table:
        """The containers that are there now, with what they use."""
        now = time.time()
        rows = []
        for one in self.containers:
            if one.gone:
                continue
            last = self.recorder.tracks.last(one.id) if one.samples else None
            rows.append((one.name, one.image, one.status(now), *_figures(last), ", ".join(one.ports)))
        return Table(("NAME", "IMAGE", "STATUS", "CPU", "MEMORY", "PIDS", "PORTS"), rows, "there are no containers")

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _figures(last: Usage | None) -> tuple[str, str, str]:
    if last is None:
        return "", "", ""
    return f"{last.cpu_percent:.1f} %", format_memory(last.memory_bytes), "" if last.pids != last.pids else f"{last.pids:.0f}"


def _moment(value: Moment) -> float | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone(UTC)).timestamp()
    return None if value is None else parse_moment_s(value, time.time())
