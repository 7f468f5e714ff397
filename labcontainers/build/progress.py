"""What a build says while it goes on, as values, and the plain text that a terminal or a saved notebook shows of it.

It must not know how steps are carried out, nor any widget.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from labcontainers.units import format_bytes, format_duration


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
class BuildFinished:
    """The image is made; `tags` in their short form."""

    image_id: str
    tags: tuple[str, ...]
    duration_s: float


BuildEvent = StepStarted | StepCached | StepMissed | StepOutput | StepFinished | StepFailedEvent | BuildFinished
OnEvent = Callable[[BuildEvent], None]


class TextProgress:
    """Writes plain lines: `#3 [stage-1 2/4] RUN make`, `#3 0.41 output`, `#3 done in 1.2 s`. Call it with each event."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._begun = 0.0
        self._partial: dict[tuple[int, int], bytes] = {}

    def __call__(self, event: BuildEvent) -> None:
        """Write what one event says."""
        match event:
            case StepStarted():
                self._begun = self._clock()
                place = f"{event.stage} {event.number}/{event.count}" if event.count else f"{event.index}/{event.total}"
                self._line(f"#{event.index} [{place}] {event.text}")
            case StepCached():
                self._line(f"#{event.index} cached")
            case StepMissed():
                self._line(f"#{event.index} run: {event.reason}")
            case StepOutput():
                self._output(event)
            case StepFinished():
                self._flush(event.index)
                layer = f", layer {format_bytes(event.layer_size_bytes)}" if event.layer_size_bytes else ""
                self._line(f"#{event.index} done in {format_duration(event.duration_s)}{layer}")
            case StepFailedEvent():
                self._flush(event.index)
                self._line(f"#{event.index} failed: {event.message}")
            case BuildFinished():
                tags = " ".join(event.tags)
                short = event.image_id.partition(":")[2][:12]
                self._line(f"built {short}{' as ' + tags if tags else ''} in {format_duration(event.duration_s)}")

    def _line(self, text: str) -> None:
        self._write(text + "\n")

    def _output(self, event: StepOutput) -> None:
        key = (event.index, event.stream)
        *lines, rest = (self._partial.pop(key, b"") + event.data).split(b"\n")
        if rest:
            self._partial[key] = rest
        for line in lines:
            self._output_line(event.index, line)

    def _output_line(self, index: int, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        self._line(f"#{index} {self._clock() - self._begun:.2f} {text}")

    def _flush(self, index: int) -> None:
        for key in [key for key in self._partial if key[0] == index]:
            self._output_line(index, self._partial.pop(key))
