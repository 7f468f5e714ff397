"""What a build says while it goes on, as values, and the plain text that a terminal or a notebook shows of it.

It must not know how steps are carried out, nor any widget.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from labcontainers.build.lanes import LaneRow


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A step that will be done, and how it stands among the others."""

    index: int
    stage: str
    text: str
    line: int
    number: int
    count: int
    lane: LaneRow


@dataclass(frozen=True, slots=True)
class BuildPlanned:
    """What will be done, in the order of the plan; said first of all."""

    steps: tuple[PlannedRow, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Step `index` (from 1) of `total` begins. `number` of `count` is its place in its stage; `line` is in the Dockerfile."""

    index: int
    total: int
    stage: str
    text: str
    line: int
    number: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class StepCached:
    """The step was done before; nothing is run. `layer_size_bytes` is that of the layer found, 0 without one."""

    index: int
    layer_size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StepWaiting:
    """Another build does the very same step, or has locked a cache that the step is to have, in this process or another.

    `holder` says what is waited for, such as "the build of web in process 12"; it is "" when the step goes on.
    """

    index: int
    holder: str


@dataclass(frozen=True, slots=True)
class StepMissed:
    """The step must be done, and why the cache did not have it."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Bytes that the step wrote; `stream` is 1 for standard output, 2 for standard error."""

    index: int
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StepFinished:
    """The step is done; `layer_size_bytes` is 0 when it made no layer."""

    index: int
    duration_s: float
    layer_size_bytes: int


@dataclass(frozen=True, slots=True)
class StepFailedEvent:
    """The step failed, and the build with it."""

    index: int
    message: str


@dataclass(frozen=True, slots=True)
class StepCancelled:
    """The step was stopped before its end, and why: "interrupted", "cancelled", or since another step failed."""

    index: int
    message: str


@dataclass(frozen=True, slots=True)
class BuildFinished:
    """The image is made; `tags` in their short form."""

    image_id: str
    tags: tuple[str, ...]
    duration_s: float


StepEvent = StepStarted | StepWaiting | StepCached | StepMissed | StepOutput | StepFinished | StepFailedEvent | StepCancelled
BuildEvent = BuildPlanned | StepEvent | BuildFinished
OnEvent = Callable[[BuildEvent], None]


class TextProgress:
    """Writes BuildKit's plain lines: `#3 [build 2/4] RUN make`, `#3 0.412 output`, `#3 DONE 1.2s`. Call it with each event.

    A step that others interrupt is left by `#3 ...` and gone on with under its own head. Source: BuildKit, --progress=plain.
    """

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._begun: dict[int, float] = {}
        self._titles: dict[int, str] = {}
        self._partial: dict[tuple[int, int], bytes] = {}
        self._last = 0

    def __call__(self, event: BuildEvent) -> None:
        """Write what one event says."""
        match event:
            case StepStarted():
                self._begun[event.index] = self._clock()
                self._titles[event.index] = title_of(event)
                self._lines(event.index)
            case StepCached():
                self._lines(event.index, "CACHED", ends=True)
            case StepWaiting():
                self._lines(event.index, f"waiting for {event.holder}" if event.holder else "goes on")
            case StepMissed():
                self._lines(event.index, f"run: {event.reason}")
            case StepOutput():
                self._output(event)
            case StepFinished():
                self._flush(event.index)
                self._lines(event.index, f"DONE {event.duration_s:.1f}s", ends=True)
            case StepFailedEvent():
                self._flush(event.index)
                self._lines(event.index, f"ERROR: {event.message}", ends=True)
            case StepCancelled():
                self._flush(event.index)
                self._lines(event.index, "CANCELED", ends=True)
            case BuildFinished():
                index = max(self._begun, default=0) + 1
                self._titles[index] = "exporting to image"
                self._lines(index, f"writing image {event.image_id} done", *(f"naming to {tag} done" for tag in event.tags), "DONE 0.0s")

    def _lines(self, index: int, *texts: str, ends: bool = False) -> None:
        """Lines of one step, below its head unless the last lines were its own, too."""
        lines = []
        if self._last != index:
            lines += [f"#{self._last} ..."] if self._last in self._titles else []
            lines += (
                ["", f"#{index} {self._titles.get(index, '')}".rstrip()]
                if self._last
                else [f"#{index} {self._titles.get(index, '')}".rstrip()]
            )
        self._last = index
        lines += [f"#{index} {text}" for text in texts]
        if ends:
            # what has ended is not left by dots
            self._titles.pop(index, None)
        self._write("".join(f"{line}\n" for line in lines))

    def _output(self, event: StepOutput) -> None:
        key = (event.index, event.stream)
        *lines, rest = (self._partial.pop(key, b"") + event.data).split(b"\n")
        if rest:
            self._partial[key] = rest
        if lines:
            self._lines(event.index, *(self._timed(event.index, line) for line in lines))

    def _timed(self, index: int, line: bytes) -> str:
        return f"{self._clock() - self._begun.get(index, 0.0):.3f} {last_state(line)}"

    def _flush(self, index: int) -> None:
        for key in [key for key in self._partial if key[0] == index]:
            self._lines(index, self._timed(index, self._partial.pop(key)))


def title_of(step: StepStarted) -> str:
    """The head of a step: its stage and its place there, and the instruction."""
    if not step.total:
        return step.text
    place = f"{step.stage} {step.number}/{step.count}".lstrip() if step.count else f"{step.index}/{step.total}"
    return f"[{place}] {step.text}"


def last_state(line: bytes) -> str:
    """A line of output as text; of what was written over itself, as progress bars do, what came last."""
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
