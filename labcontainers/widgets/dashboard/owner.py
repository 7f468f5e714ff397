"""The dashboard's live side: passes on what the recorder tells, once a second at most, does what buttons say, and answers what pages ask.

It must not know comms or HTML: those are plumbing's and snapshot's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.engine.dashboard.recorder import Tick
from labcontainers.engine.dashboard.seen import Seen
from labcontainers.errors import LabError
from labcontainers.widgets.dashboard.answers import Answers, parsed
from labcontainers.widgets.dashboard.messages import Answer, Note, Row, event_of, figures_of, point_of, row_of
from labcontainers.widgets.dashboard.snapshot import dashboard_snapshot
from labcontainers.widgets.dashboard.verbs import Acts, Verb
from labcontainers.widgets.messages import Failure, failure_of
from labcontainers.widgets.snapshot import Snapshot
from labcontainers.widgets.watchers import Watchers

if TYPE_CHECKING:
    from labcontainers.engine.dashboard.dashboard import Dashboard
    from labcontainers.engine.engine import Engine
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

# how often a saved notebook's state, and its output after something changed, are renewed at most
KEEP_EVERY_S = 10.0
OUTPUT_AFTER_S = 3.0
NOTES_KEPT = 5
EVENTS_SENT = 500
RECENT_SENT = 60
# as many as there is room for
TERMINAL_ROWS = 15
CLOSED: Failure = {"message": "This dashboard was closed.", "hint": "`%container dashboard` shows a new one"}


class DashboardOwner:
    """One dashboard's widget. Every method may be called from any thread, and none but `close` blocks.

    `open_terminal` gives the widget of a terminal in a container, by its id.
    """

    role = "dashboard"

    def __init__(
        self,
        dashboard: Dashboard,
        *,
        open_terminal: Callable[[str], str] | None = None,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dashboard = dashboard
        self._open_terminal = open_terminal
        self._clock = clock
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._keys: dict[str, int] = {}
        self._notes: deque[Note] = deque(maxlen=NOTES_KEPT)
        self._terminals: dict[str, str] = {}
        self._failure: Failure | None = None
        self._answers = Answers(dashboard, self._answered)
        self._slow_answers = Answers(dashboard, self._answered)
        self._acts = Acts(dashboard.engine, self._acted, self._ended)
        self._watchers = Watchers(busy, time.monotonic)
        self._at_work = False
        self._numbers = 0
        self._kept_at = clock()
        self._changed_at: float | None = None
        self._closed = False

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface
        self._dashboard.recorder.listen(self.take, self._watchers.anyone)

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        recorder = self._dashboard.recorder
        with self._lock:
            containers = recorder.seen()
            return {
                "containers": [self._row(one) for one in containers],
                "recent": {self._key(one): [point_of(point) for point in self._recent(one)] for one in containers},
                "total": [point_of(point) for point in recorder.tracks.points("")],
                "events": [event_of(event) for event in list(recorder.events)[-EVENTS_SENT:]],
                "acting": self._acts.acting(),
                "notes": list(self._notes),
                "terminals": dict(self._terminals),
                "failure": self._failure,
            }

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())
        self.shown()

    def shown(self) -> None:
        self._watchers.expect()
        self._dashboard.recorder.hurry()

    def watch(self, page: str, views: int) -> None:
        looked_at = self._watchers.anyone()
        self._watchers.tell(page, views)
        if views > 0:
            # an answer, so that the page knows that somebody is here
            self._send({"failure": CLOSED} if self._dashboard.recorder.closed else {})
            if not looked_at:
                self._dashboard.recorder.hurry()

    def act(self, action: str) -> None:
        """A page orders something (messages.Order)."""
        try:
            order = parsed(action)
        except LabError as error:
            self._ended("the page", "", error)
            return
        if "busy" in order:
            self._at_work = bool(order["busy"])
        elif "ask" in order:
            # counting files may take long, and must not keep a search waiting
            (self._slow_answers if order.get("name") == "disk" else self._answers).ask(action)
        else:
            terminals: dict[tuple[str, str], Verb] = {("container", "terminal"): self._terminal} if self._open_terminal else {}
            verb, kind, place, name = (str(order.get(word, "")) for word in ("do", "kind", "id", "name"))
            self._acts.begin(verb, kind, place, name, terminals)

    def snapshot(self) -> Snapshot:
        recorder = self._dashboard.recorder
        rows = [(one, recorder.tracks.last(one.id) if one.samples else None) for one in recorder.seen() if not one.gone]
        return dashboard_snapshot(rows, self._clock())

    def close(self) -> None:
        """Listen no more, and wait for what buttons began; the recording goes on until the dashboard is closed."""
        self._closed = True
        self._dashboard.recorder.leave(self.take)
        self._answers.close()
        self._slow_answers.close()
        self._acts.close()

    # --- what comes

    def take(self, tick: Tick) -> None:
        """What is new, in the recorder's thread; sent as one message."""
        with self._lock:
            data: dict[str, Any] = {
                "tick": {
                    "time": tick.time,
                    "total": figures_of(tick.total[1:]),
                    "used": [[self._keys[key], *figures_of(usage[1:])] for key, usage in tick.used.items() if key in self._keys],
                }
            }
            if tick.seen:
                data["containers"] = [self._row(one) for one in tick.seen]
                self._changed_at = self._changed_at or tick.time
            if tick.forgotten:
                data["forgotten"] = [self._keys.pop(key) for key in tick.forgotten if key in self._keys]
            if tick.events:
                data["events"] = [event_of(event) for event in tick.events[-EVENTS_SENT:]]
            failure = failure_of(tick.failure) if tick.failure is not None else None
            if failure != self._failure:
                self._failure = data["failure"] = failure
            if self._watchers.anyone() or len(data) > 1:
                self._send(data)
        self._keep(tick.time)

    def _keep(self, now: float) -> None:
        """Renew what a saved notebook keeps; its output only when containers came, went or ended, and while nobody is at work in it."""
        if self._surface is None or self._closed:
            return
        if self._changed_at is not None and not self._at_work and not 0 <= now - self._changed_at < OUTPUT_AFTER_S:
            self._changed_at, self._kept_at = None, now
            self._surface.keep(in_output=True)
        elif not 0 <= now - self._kept_at < KEEP_EVERY_S:
            self._kept_at = now
            self._surface.keep(in_output=False)

    def _acted(self) -> None:
        self._send({"acting": self._acts.acting()})
        self._dashboard.recorder.hurry()

    def _ended(self, about: str, told: str, error: BaseException | None) -> None:
        if not told and error is None:
            return
        failure: Failure = failure_of(error) if error is not None else {"message": told, "hint": ""}
        with self._lock:
            self._numbers += 1
            tone: Any = "good" if error is None else "bad"
            self._notes.append({"number": self._numbers, "about": about, "text": failure["message"], "hint": failure["hint"], "tone": tone})
            self._send({"notes": list(self._notes)})

    def _answered(self, answer: Answer) -> None:
        self._send({"answers": [answer]})

    def _terminal(self, _: Engine, container_id: str) -> str:
        assert self._open_terminal is not None
        opened = self._open_terminal(container_id)
        with self._lock:
            self._terminals[container_id] = opened
            self._send({"terminals": dict(self._terminals)})
        return ""

    # --- out

    def _send(self, data: Mapping[str, Any]) -> None:
        with self._lock:
            if self._surface is not None and not self._closed:
                self._surface.update(data)

    def _key(self, one: Seen) -> int:
        if one.id not in self._keys:
            self._numbers += 1
            self._keys[one.id] = self._numbers
        return self._keys[one.id]

    def _row(self, one: Seen) -> Row:
        return row_of(self._key(one), one)

    def _recent(self, one: Seen) -> list[Any]:
        return self._dashboard.recorder.tracks.points(one.id, fine=True)[-RECENT_SENT:]


def show_dashboard(dashboard: Dashboard) -> LiveWidget:
    """The live widget of a dashboard: the same while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.dashboard.widget import DashboardWidget
    from labcontainers.widgets.plumbing import CELLS, OPEN
    from labcontainers.widgets.terminal import show_terminal

    def open_terminal(container_id: str) -> str:
        terminal = dashboard.engine.containers.get(container_id).terminal(rows=TERMINAL_ROWS)
        return str(show_terminal(terminal).model_id)

    def make() -> LiveWidget:
        return DashboardWidget(DashboardOwner(dashboard, open_terminal=open_terminal, busy=CELLS.running))

    return OPEN.find_or_open(f"dashboard {id(dashboard)}", make)
