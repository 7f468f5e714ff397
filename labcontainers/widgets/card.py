"""The container card: reads a container while somebody looks, sends what changed at most ten times a second, and does what buttons say.

All cards of a kernel share two threads: `lab-cards` beats, and `lab-stats` samples what runs. Each lives only while somebody looks.
It must not know comms or HTML: those are plumbing's and snapshot's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from labcontainers.containers.usage.sampler import Sampler
from labcontainers.errors import Conflict
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.widgets.log_tail import LogTail
from labcontainers.widgets.messages import Facts, Failure, Sample, State, failure_of
from labcontainers.widgets.rounds import Rounds
from labcontainers.widgets.snapshot import Snapshot, card_snapshot
from labcontainers.widgets.source import CardSource, ContainerSource
from labcontainers.widgets.watchers import Watchers

if TYPE_CHECKING:
    from labcontainers.containers.attaching.terminal import Terminal
    from labcontainers.containers.container import Container
    from labcontainers.containers.usage.sampler import Subscription
    from labcontainers.containers.usage.stats import StatsSample
    from labcontainers.widgets.plumbing import LiveWidget

# eight updates a second leave room for the answers to clicks, which are sent at once, below ten
BEAT_S = 0.125
SAMPLE_EVERY_S = 1.0
STATE_EVERY_S = 0.5
KEEP_EVERY_S = 5.0
SAMPLES_KEPT = 120
LINES_PER_BEAT = 20_000
SNAPSHOT_LINES = 20

ROUNDS = Rounds("lab-cards", BEAT_S)
# a daemon, so that a kernel ends at once: with the last card that is closed its thread is joined, at the latest when the kernel ends
SAMPLER = Sampler(SAMPLE_EVERY_S, daemon=True)
SAMPLER.start()


class Surface(Protocol):
    """Where a card's data go; LiveWidget is one."""

    def update(self, data: Mapping[str, Any]) -> None: ...
    def resend(self, data: Mapping[str, Any]) -> None: ...
    def keep(self, *, in_output: bool) -> None: ...


class ContainerCard:
    """One container's card. All methods may be called from any thread, and none but `close` blocks. `sampler` must have been started.

    `open_terminal` gives the widget of a terminal in the container, by its id.
    """

    role = "card"

    def __init__(
        self,
        source: CardSource,
        *,
        open_terminal: Callable[[], str] | None = None,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
        rounds: Rounds = ROUNDS,
        sampler: Sampler = SAMPLER,
    ) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._facts: Facts = source.facts()
        self._state: State = source.state()
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._last: StatsSample | None = None
        # what the sampler's thread left for the next beat; None when there will be no more
        self._taken: deque[StatsSample | Failure | None] = deque(maxlen=SAMPLES_KEPT)
        self._sampler = sampler
        self._subscription: Subscription | None = None
        self._log = LogTail()
        self._acting = self._terminal = ""
        self._open_terminal = open_terminal
        self._failure: Failure | None = None
        self._pending: dict[str, Any] = {}
        self._due = {"state": 0.0, "sample": 0.0, "keep": clock() + KEEP_EVERY_S}
        self._watchers = Watchers(busy, time.monotonic)
        self._rounds = rounds
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
                "terminal": self._terminal,
            }

    def replay(self) -> None:
        with self._lock:
            self.flush()
            if self._surface is not None:
                self._surface.resend(self.everything())
        self._watchers.expect()
        self._wake()

    def shown(self) -> None:
        self._watchers.expect()
        self._wake()

    def watch(self, page: str, views: int) -> None:
        self._watchers.tell(page, views)
        if views > 0:
            self._wake()
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
            name = f"lab-card-act-{self._facts['id'][:12]}"
            self._worker = threading.Thread(target=self._act, args=(action,), name=name, daemon=True)
            begin_thread(self._worker)
        self._wake()

    def snapshot(self) -> Snapshot:
        with self._lock:
            lines = self._log.last_text(SNAPSHOT_LINES)
            skipped = self._log.total - len(lines)
            return card_snapshot(self._facts, self._state, list(self._samples), lines, skipped, self._clock())

    def close(self) -> None:
        """Stop reading, wait for what a button began, send the rest."""
        self._closed = True
        self._rounds.stop(self.beat)
        self._look(wanted=False, wait=True)
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join()
        while self.flush():
            pass
        self._source.close()

    # --- the beat

    def _wake(self) -> None:
        if not self._closed:
            self._rounds.start(self.beat)

    def beat(self) -> bool:
        """Read what is new and send it; False when nobody looks any more."""
        if self._closed:
            return False
        now, looked_at = self._clock(), False
        try:
            self._read(now)
            self.flush()
            if self._is_due("keep", KEEP_EVERY_S, now) and self._surface is not None:
                self._surface.keep(in_output=False)
            looked_at = self._watchers.anyone()
        finally:
            # where nothing can be sent any more, nothing is sampled either
            running = self._state["status"] == "running"
            self._look(wanted=looked_at and running and (self._subscription is not None or now >= self._due["sample"]))
        return looked_at

    def _read(self, now: float) -> None:
        try:
            with self._lock:
                self._log.add(self._source.new_lines(LINES_PER_BEAT))
                if self._is_due("state", STATE_EVERY_S, now):
                    self._read_state()
                self._take_samples(now)
        except Exception as error:
            # whatever went wrong is the reader's to see, and must not end the beats
            self._set(failure=failure_of(error))

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

    def _look(self, *, wanted: bool, wait: bool = False) -> None:
        """Be among those that the sampler asks, or not."""
        with self._lock:
            subscription = self._subscription
            if wanted and subscription is None:
                self._taken.clear()
                # a key of its own, so that every card gets its own samples
                self._subscription = self._sampler.subscribe(f"{self._facts['id']} {id(self):x}", self._measure, self._taken.append)
            elif not wanted:
                # a rate across a pause would be no rate of now
                self._subscription = self._last = None
        if subscription is not None and not wanted:
            self._sampler.unsubscribe(subscription, wait=wait)

    def _measure(self, _: StatsSample | None) -> StatsSample:
        """One sample, in the sampler's thread, which must not wait for a card that is being read."""
        try:
            taken = self._source.sample()
        except Exception as error:
            self._taken.append(failure_of(error))
            raise
        if taken is None:
            raise Conflict(f"container {self._facts['name']} is not running", "start it first")
        return taken

    def _take_samples(self, now: float) -> None:
        """Take over what the sampler's thread left."""
        while self._taken:
            taken = self._taken.popleft()
            if taken is None:
                # it is asked again, if it runs then
                self._due["sample"] = now + SAMPLE_EVERY_S
                self._look(wanted=False)
            elif isinstance(taken, dict):
                self._set(failure=taken)
            else:
                sample = sample_of(taken, self._last)
                self._last = taken
                self._samples.append(sample)
                self._pending.setdefault("samples", []).append(sample)

    def _act(self, action: str) -> None:
        failure = None
        try:
            if action == "terminal" and self._open_terminal is not None:
                self._set(terminal=self._open_terminal())
            else:
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


def show_source(source: CardSource, open_terminal: Callable[[], str] | None = None) -> LiveWidget:
    """A live card of `source`, to be displayed. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import CELLS, LiveWidget

    return LiveWidget(ContainerCard(source, open_terminal=open_terminal, busy=CELLS.running))


def show_container(container: Container) -> LiveWidget:
    """The live card of `container`: the same widget while it is open, however often it is asked for. Raises Unavailable."""
    from labcontainers.widgets.plumbing import OPEN
    from labcontainers.widgets.terminal import show_terminal

    opened: list[Terminal] = []

    def open_terminal() -> str:
        if not opened:
            opened.append(container.terminal())
        return str(show_terminal(opened[0]).model_id)

    return OPEN.find_or_open(container.id, lambda: show_source(ContainerSource(container), open_terminal))
