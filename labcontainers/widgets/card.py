"""The container card: reads a container while somebody looks, sends what changed at most ten times a second, and does what buttons say.

It must not know comms or HTML: those are plumbing's and snapshot's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from labcontainers.errors import LabError
from labcontainers.widgets.log_tail import LogTail
from labcontainers.widgets.messages import Facts, Failure, Sample, State, failure_of
from labcontainers.widgets.pulse import Pulse
from labcontainers.widgets.snapshot import Snapshot, card_snapshot
from labcontainers.widgets.source import CardSource, ContainerSource
from labcontainers.widgets.watchers import Watchers

if TYPE_CHECKING:
    from labcontainers.containers.container import Container
    from labcontainers.widgets.plumbing import LiveWidget

# eight updates a second leave room for the answers to clicks, which are sent at once, below ten
BEAT_S = 0.125
SAMPLE_EVERY_S = 1.0
STATE_EVERY_S = 0.5
KEEP_EVERY_S = 5.0
SAMPLES_KEPT = 120
LINES_PER_BEAT = 20_000
SNAPSHOT_LINES = 20


class Surface(Protocol):
    """Where a card's data go; LiveWidget is one."""

    def update(self, data: Mapping[str, Any]) -> None: ...
    def resend(self, data: Mapping[str, Any]) -> None: ...
    def keep(self, *, in_output: bool) -> None: ...


class ContainerCard:
    """One container's card. All methods may be called from any thread, and none but `close` blocks."""

    role = "card"

    def __init__(
        self,
        source: CardSource,
        *,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
        beat_s: float = BEAT_S,
    ) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._facts: Facts = source.facts()
        self._state: State = source.state()
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._last: Any = None
        self._log = LogTail()
        self._acting = ""
        self._failure: Failure | None = None
        self._pending: dict[str, Any] = {}
        self._due = {"state": 0.0, "sample": 0.0, "keep": clock() + KEEP_EVERY_S}
        self._watchers = Watchers(busy, time.monotonic)
        self._pulse = Pulse(f"lab-card-{self._facts['id'][:12]}", self.beat, beat_s)
        self._worker: threading.Thread | None = None
        self._closed = False

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {
                "facts": self._facts,
                "state": self._state,
                "samples": list(self._samples),
                "log": self._log.everything(),
                "acting": self._acting,
                "failure": self._failure,
            }

    def replay(self) -> None:
        with self._lock:
            self.flush()
            if self._surface is not None:
                self._surface.resend(self.everything())
        self._watchers.expect()
        self._pulse.start()

    def shown(self) -> None:
        self._watchers.expect()
        self._pulse.start()

    def watch(self, page: str, views: int) -> None:
        self._watchers.tell(page, views)
        if views > 0:
            self._pulse.start()
            with self._lock:
                # an answer, so that the page knows that somebody is here
                self._pending.setdefault("state", self._state)

    def act(self, action: str) -> None:
        """Start what a button says in a thread of its own; its end, or its error, shows in the card."""
        with self._lock:
            if self._acting or self._closed:
                return
            self._set(acting=action, failure=None)
            self.flush()
            self._worker = threading.Thread(target=self._act, args=(action,), name=f"lab-card-act-{self._facts['id'][:12]}", daemon=True)
            self._worker.start()
        self._pulse.start()

    def snapshot(self) -> Snapshot:
        with self._lock:
            lines = self._log.last_text(SNAPSHOT_LINES)
            skipped = self._log.total - len(lines)
            return card_snapshot(self._facts, self._state, list(self._samples), lines, skipped, self._clock())

    def close(self) -> None:
        """Stop reading, wait for what a button began, send the rest."""
        self._closed = True
        self._pulse.stop()
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join()
        while self.flush():
            pass
        self._source.close()

    # --- the beat

    def beat(self) -> bool:
        """Read what is new and send it; False when nobody looks any more."""
        now = self._clock()
        try:
            with self._lock:
                self._log.add(self._source.new_lines(LINES_PER_BEAT))
                if self._is_due("state", STATE_EVERY_S, now):
                    self._read_state()
                if self._is_due("sample", SAMPLE_EVERY_S, now):
                    self._read_sample()
        except (LabError, OSError) as error:
            self._set(failure=failure_of(error))
        self.flush()
        if self._is_due("keep", KEEP_EVERY_S, now) and self._surface is not None:
            self._surface.keep(in_output=False)
        return self._watchers.anyone()

    def flush(self) -> bool:
        """Send what changed, as one message; whether there was anything."""
        with self._lock:
            if self._surface is None:
                return False
            data, self._pending = self._pending, {}
            batch = self._log.take()
            if batch is not None:
                data["log"] = batch
            if data:
                self._surface.update(data)
            return bool(data)

    def _is_due(self, what: str, every_s: float, now: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _set(self, **changes: Any) -> None:
        with self._lock:
            for name, value in changes.items():
                setattr(self, f"_{name}", value)
                self._pending[name] = value

    def _read_state(self) -> None:
        state = self._source.state()
        if state == self._state:
            return
        ended = state["status"] != self._state["status"]
        self._set(state=state)
        if ended and state["status"] != "running":
            # the last lines may have come since the log was read
            self._log.add(self._source.new_lines(LINES_PER_BEAT))
            self.flush()
        if ended and self._surface is not None:
            self._surface.keep(in_output=True)

    def _read_sample(self) -> None:
        raw = self._source.sample() if self._state["status"] == "running" else None
        if raw is None:
            self._last = None
            return
        sample = sample_of(raw, self._last)
        self._last = raw
        self._samples.append(sample)
        self._pending.setdefault("samples", []).append(sample)

    def _act(self, action: str) -> None:
        failure = None
        try:
            self._source.act(action)
        except Exception as error:
            # whatever went wrong is the reader's to see: this thread has nobody else to tell
            failure = failure_of(error)
        with self._lock:
            self._set(acting="", failure=failure)
            self._read_state()
        self.flush()


def sample_of(now: Any, before: Any) -> Sample:
    """A StatsSample as a page needs it; rates and CPU are between `before` and `now`, or None and the engine's own without one."""
    seconds = (now.time_ns - before.time_ns) / 1e9 if before is not None else 0.0

    def rate(name: str) -> float | None:
        new, old = getattr(now, name, None), getattr(before, name, None)
        return max(0.0, (new - old) / seconds) if new is not None and old is not None and seconds > 0 else None

    cpu = rate("cpu_ns")
    return {
        "time": now.time_ns / 1e9,
        "cpu_percent": round(now.cpu_percent if cpu is None else cpu / 1e7, 2),
        "memory_bytes": now.memory_bytes or 0,
        "memory_limit_bytes": now.memory_limit_bytes,
        "pids": now.pids,
        "network_rx": rate("network_rx_bytes"),
        "network_tx": rate("network_tx_bytes"),
        "block_read": rate("block_read_bytes"),
        "block_write": rate("block_write_bytes"),
    }


def show_source(source: CardSource) -> LiveWidget:
    """A live card of `source`, to be displayed. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import CELLS, LiveWidget

    card = ContainerCard(source, busy=CELLS.running)
    widget = LiveWidget(card)
    card.show_on(widget)
    return widget


def show_container(container: Container) -> LiveWidget:
    """The live card of `container`: the same widget while it is open, however often it is asked for. Raises Unavailable."""
    from labcontainers.widgets.plumbing import OPEN

    return OPEN.find_or_open(container.id, lambda: show_source(ContainerSource(container)))
