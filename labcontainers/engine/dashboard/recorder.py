"""Takes the samples of all containers at a steady beat, and tells who listens what changed: once for all of them.

Each second while somebody looks, else each ten seconds, so that the hour has no holes; its thread is `lab-dashboard`. It must not know
who listens, nor where containers come from.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from labcontainers.containers.usage.proc_usage import Census
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.engine.dashboard.history import COARSE_S, FINE_S, Tracks, Usage, total_of, usage_of
from labcontainers.engine.dashboard.seen import Measure, Seen, Source
from labcontainers.errors import LabError
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.store.events import Event

EVENTS_KEPT = 1000
# containers are looked at anew at least so often, for what no event tells
LOOK_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Tick:
    """What is new at `time`: `used` has what changed of those in `running`, `seen` containers that are new or changed, `forgotten` ids."""

    time: float
    total: Usage
    running: Sequence[str]
    used: dict[str, Usage]
    seen: Sequence[Seen]
    forgotten: Sequence[str]
    events: Sequence[Event]
    failure: BaseException | None


Listener = Callable[[Tick], None]


class Recorder:
    """Between start() and close() it records. Every method is thread-safe."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.RLock()
        self.tracks = Tracks()
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._seen: dict[str, Seen] = {}
        self._measures: dict[str, Measure] = {}
        self._before: dict[str, StatsSample] = {}
        self._look_at = 0.0
        self._listeners: dict[Listener, Callable[[], bool]] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False

    # --- what is known

    def seen(self) -> list[Seen]:
        """All containers that are known, those that are gone too, newest first."""
        with self._lock:
            return sorted(self._seen.values(), key=lambda one: -one.created_at)

    @property
    def closed(self) -> bool:
        return self._closed

    # --- who listens

    def listen(self, listener: Listener, looks: Callable[[], bool]) -> None:
        """Call `listener` with each Tick, in the recorder's thread; each second while `looks()` is true."""
        with self._lock:
            self._listeners[listener] = looks
        self.hurry()

    def leave(self, listener: Listener) -> None:
        """Tell this listener no more. Idempotent."""
        with self._lock:
            self._listeners.pop(listener, None)

    def hurry(self) -> None:
        """Look now, such as after something was done."""
        self._wake.set()

    # --- the beat

    def start(self) -> None:
        """Begin, or go on. Nothing after close()."""
        with self._lock:
            if self._thread is None and not self._closed:
                # a daemon, so that a kernel that ends without closing it is not held up
                self._thread = threading.Thread(target=self._run, name="lab-dashboard", daemon=True)
                begin_thread(self._thread)

    def close(self) -> None:
        """End for good, and wait for the round in hand unless called from within it. Idempotent."""
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._source.close()

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            began = time.monotonic()
            try:
                self.round()
            except Exception:
                # one round that fails must not end all that are to come
                logging.getLogger(__name__).exception("a round of a dashboard failed")
            while not self._closed and not self._wake.is_set():
                left = began + (FINE_S if self._looked_at() else COARSE_S) - time.monotonic()
                if left <= 0 or self._wake.wait(min(left, FINE_S)):
                    break
            # who hurries gets no more than four rounds a second
            if not self._closed and (rest := began + FINE_S / 4 - time.monotonic()) > 0:
                time.sleep(rest)

    def _looked_at(self) -> bool:
        with self._lock:
            return any(looks() for looks in self._listeners.values())

    def round(self) -> Tick | None:
        """Look once, sample what runs, and tell who listens; None where not even that could be done."""
        failure: BaseException | None = None
        changed: list[Seen] = []
        forgotten: list[str] = []
        events: list[Event] = []
        now = self._clock()
        with self._lock:
            if self._closed:
                return None
            try:
                events = self._source.events()
                self.events.extend(events)
                if events or not 0 <= self._look_at - now <= LOOK_EVERY_S:
                    changed, forgotten = self._look()
                    self._look_at = now + LOOK_EVERY_S
            except (LabError, OSError) as error:
                # who looks is told, and it goes on with what is known until the next round
                failure, self._look_at = error, 0.0
            used = self._sample()
            running = [one.id for one in self._seen.values() if one.samples]
            tick = Tick(
                now,
                total_of(now, [last for key in running if (last := self.tracks.last(key))]),
                running,
                used,
                changed,
                forgotten,
                events,
                failure,
            )
            self.tracks.add("", tick.total)
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(tick)
            except Exception:
                logging.getLogger(__name__).exception("a listener of a dashboard failed")
        return tick

    def _look(self) -> tuple[list[Seen], list[str]]:
        """See which containers there are now; those that are new or changed, and ids that are forgotten."""
        found = {one.id: one for one in self._source.containers()}
        changed = [one for one in found.values() if self._seen.get(one.id) != one]
        forgotten: list[str] = []
        for one in list(self._seen.values()):
            if one.id not in found and not one.gone:
                changed.append(replace(one, gone=True))
                forgotten += self.tracks.leave(one.id)
        for one in changed:
            self._seen[one.id] = one
            if not one.samples:
                self._drop(one.id)
        for key in forgotten:
            self._seen.pop(key, None)
        return changed, forgotten

    def _drop(self, container_id: str) -> None:
        """Sample it no more; a rate across a pause would be none of now."""
        self._measures.pop(container_id, None)
        self._before.pop(container_id, None)

    def _sample(self) -> dict[str, Usage]:
        """Take a sample of each container that runs; those that differ from the one before."""
        used: dict[str, Usage] = {}
        census = Census()
        for key in [one.id for one in self._seen.values() if one.samples]:
            try:
                measure = self._measures.get(key) or self._measures.setdefault(key, self._source.meter(key))
                taken = measure(self._before.get(key), census)
            except (LabError, OSError):
                # most likely it has just ended: the next round sees how
                self._drop(key)
                self._look_at = 0.0
                continue
            usage = usage_of(taken, self._before.get(key))
            self._before[key] = taken
            last = self.tracks.last(key)
            self.tracks.add(key, usage)
            if last is None or differ(last[1:], usage[1:]):
                used[key] = usage
        return used


def differ(one: Iterable[float], other: Iterable[float]) -> bool:
    """Whether two lists of figures differ; what is not known of both is the same."""
    return any(a != b and not (a != a and b != b) for a, b in zip(one, other, strict=True))
