"""A build as a live view in a terminal: a line for each step, a few lines of output below those that run, times that go on.

It must not know what builds. Source: how BuildKit's --progress=tty looks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from labcontainers.build.progress import (
    BuildEvent,
    BuildFinished,
    BuildPlanned,
    StepCached,
    StepCancelled,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    StepWaiting,
    last_state,
    title_of,
)
from labcontainers.commands.screen import Screen, clipped, plain, width_of
from labcontainers.kernel.interrupts import begin_thread

_BEAT_S = 0.1
_OUTPUT_LINES = 6
_FAILED_LINES = 20
_KEPT_BYTES = 4096


@dataclass(slots=True)
class _Step:
    title: str
    begun: float
    status: str = "running"
    duration_s: float = 0.0
    reason: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_FAILED_LINES))
    partial: bytes = b""

    def add(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\n")
        self.lines.extend(plain(last_state(line)) for line in lines[-_FAILED_LINES:])
        self.partial = self.partial[-_KEPT_BYTES:]

    def output(self, most: int) -> list[str]:
        """The last lines, also one that has not ended yet."""
        last = [plain(last_state(self.partial))] if self.partial else []
        return [*self.lines, *last][-most:]


class BuildScreen:
    """Call it with each event, and `finish` at the end, whatever ended the build. Thread-safe; a thread `lab-screen` repaints it."""

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic, beat_s: float = _BEAT_S) -> None:
        self._screen = screen
        self._clock = clock
        self._beat_s = beat_s
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._total = 0
        self._begun = clock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = ""

    def __call__(self, event: BuildEvent) -> None:
        """Take one event; what it says is seen with the next beat, and at once when a step begins or ends."""
        with self._lock:
            self._take(event)
            if not isinstance(event, StepOutput):
                self._paint()
        if self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._go_on, name="lab-screen", daemon=True)
            begin_thread(self._thread)

    def finish(self) -> None:
        """Leave the last state on the screen, and the cursor as it was. Idempotent."""
        self._ended.set()
        try:
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            with self._lock:
                if self._steps:
                    self._state = self._state or "ENDED EARLY"
                    self._screen.paint(self._lines(None), last=True)
                    self._steps = {}
        finally:
            self._screen.restore()

    def _go_on(self) -> None:
        while not self._ended.wait(self._beat_s):
            with self._lock:
                self._paint()

    def _take(self, event: BuildEvent) -> None:
        if isinstance(event, BuildFinished):
            self._state = "FINISHED"
            return
        if isinstance(event, BuildPlanned):
            self._total = len(event.steps)
            return
        if isinstance(event, StepStarted):
            self._total = max(self._total, event.total, event.index)
            self._steps[event.index] = _Step(plain(title_of(event)), self._clock())
            return
        step = self._steps.get(event.index)
        if step is None:
            return
        match event:
            case StepCached():
                step.status = "cached"
            case StepWaiting():
                step.reason = plain(f"waiting for {event.holder}") if event.holder else ""
            case StepMissed():
                step.reason = plain(event.reason)
            case StepOutput():
                step.add(event.data)
            case StepFinished():
                step.status, step.duration_s = "done", event.duration_s
            case StepFailedEvent():
                step.status, step.duration_s = "failed", self._clock() - step.begun
            case StepCancelled():
                step.status, step.duration_s = "cancelled", self._clock() - step.begun

    def _paint(self) -> None:
        self._screen.paint(self._lines(self._screen.size[1]))

    def _lines(self, most: int | None) -> list[str]:
        """The head and the steps; with `most` only so many lines, for which steps that have ended make room."""
        columns = self._screen.size[0]
        done = sum(step.status != "running" for step in self._steps.values())
        state = f" {self._state}" if self._state else ""
        head = f"[+] Building {self._clock() - self._begun:.1f}s ({done}/{self._total}){state}"
        blocks = [(step.status == "running", self._block(step, columns, live=most is not None)) for step in self._steps.values()]
        if most is None:
            return [head, *(line for _, block in blocks for line in block)]
        room = most - 1 - sum(len(block) for runs, block in blocks if runs)
        shown: list[list[str]] = []
        for runs, block in reversed(blocks):
            if not runs:
                room -= len(block)
                if room < 0:
                    continue
            shown.append(block)
        return [head, *[line for block in reversed(shown) for line in block][-(most - 1) :]] if most > 1 else [head]

    def _block(self, step: _Step, columns: int, *, live: bool) -> list[str]:
        runs, failed = step.status == "running", step.status == "failed"
        took = "" if step.status == "cached" else f"{self._clock() - step.begun if runs else step.duration_s:.1f}s"
        mark = {"cached": "CACHED ", "failed": "ERROR ", "cancelled": "CANCELED "}.get(step.status, "")
        room = max(columns - len(took) - 1, 1)
        text = clipped(f" => {mark}{step.title}", room)
        lines = [f"{text}{' ' * (room - width_of(text))} {took}".rstrip()]
        if runs and live and step.reason and not step.lines:
            lines.append(f" => => {step.reason}")
        output = step.output(_OUTPUT_LINES) if runs and live else step.output(_FAILED_LINES) if failed else []
        return [*lines, *(f" => => # {line}" for line in output)]
