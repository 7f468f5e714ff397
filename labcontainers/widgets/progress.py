"""The build progress: takes the events of a build, keeps each step's state and the end of its output, and sends what changed in batches.

It must not know how a build works: it goes by the names of the events, which are build.progress's.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from labcontainers.build.cancelling import Cancel
from labcontainers.errors import Cancelled, StepFailed
from labcontainers.widgets.live import BEAT_S, LiveProgress
from labcontainers.widgets.messages import BuildState, Lane, Step, StepOutput, StepStatus, failure_of, hint_beside_output
from labcontainers.widgets.snapshot import Snapshot, build_snapshot

if TYPE_CHECKING:
    from labcontainers.build.progress import BuildEvent
    from labcontainers.build.result import Build

OUTPUT_KEPT = 32 * 1024
OUTPUT_PER_BEAT = 32 * 1024


class Output:
    """The end of one step's output as text, and what of it has not been sent."""

    def __init__(self) -> None:
        self.text = ""
        self.dropped = 0
        self._fresh = 0
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def add(self, stream: int, data: bytes) -> None:
        decoder = self._decoders.setdefault(stream, codecs.getincrementaldecoder("utf-8")("replace"))
        new = decoder.decode(data)
        self.text += new
        self._fresh += len(new)
        if len(self.text) > 2 * OUTPUT_KEPT:
            self.dropped += len(self.text) - OUTPUT_KEPT
            self.text = self.text[-OUTPUT_KEPT:]

    def take(self, index: int) -> StepOutput | None:
        """What came since the last call, or its end when that is too much for one message; None when nothing came."""
        fresh, self._fresh = self._fresh, 0
        if not fresh:
            return None
        text = self.text[-min(fresh, OUTPUT_PER_BEAT) :]
        return {"index": index, "skipped": fresh - len(text), "text": text}

    def everything(self, index: int) -> StepOutput:
        """All that is kept."""
        return {"index": index, "skipped": self.dropped, "text": self.text}


class BuildProgress(LiveProgress):
    """One build, live: give `on_event` to the builder, display this, and call `finish` at the end. Every method is thread-safe."""

    role = "progress"

    def __init__(self, tags: Sequence[str] = (), *, clock: Callable[[], float] = time.time, beat_s: float = BEAT_S) -> None:
        super().__init__("lab-build-progress", clock, beat_s)
        self._steps: dict[int, Step] = {}
        self._outputs: dict[int, Output] = {}
        self._changed: set[int] = set()
        self._changed_build = False
        self._build: BuildState = {
            "status": "running",
            "cancelling": False,
            "started_at": clock(),
            "duration_s": None,
            "image_id": "",
            "tags": list(tags),
            "failure": None,
        }

        self.cancel = Cancel()
        """Give it to the build: the button says it."""

    # --- what a build says

    def on_event(self, event: BuildEvent) -> None:
        """Take one event of the build; never blocks for long."""
        taken = getattr(self, f"_on_{type(event).__name__}", None)
        if taken is not None:
            with self._lock:
                taken(event)

    def finish(self, outcome: Build | BaseException) -> None:
        """The build is over, with its result or its error. Sends the rest; blocks until its thread has ended."""
        with self._lock:
            self._build["duration_s"] = round(self._clock() - self._build["started_at"], 3)
            self._changed_build = True
            if isinstance(outcome, BaseException):
                self._fail(outcome)
            else:
                self._build["status"] = "done"
                self._build["image_id"] = outcome.image.id
                self._build["tags"] = list(outcome.image.tags)
        self._end()

    def _fail(self, error: BaseException) -> None:
        failure = failure_of(error)
        if isinstance(error, KeyboardInterrupt | Cancelled):
            for step in self._steps.values():
                if step["status"] == "running":
                    self._change(step["index"], status="cancelled", waits_for="")
            said = "cancelled" if isinstance(error, Cancelled) else failure["message"]
            self._build["status"] = "cancelled"
            self._build["failure"] = {"message": said, "hint": "what was finished is kept: build again to go on", "line": 0, "source": ""}
            return
        if isinstance(error, StepFailed):
            # which step, and what it said, is in its own row
            hint = hint_beside_output(error.hint, error.output)
            failure = {"message": f"the step failed with exit code {error.returncode}", "hint": hint}
        line = getattr(error, "first_line", 0)
        failed = next((step for step in self._steps.values() if step["status"] == "failed"), None)
        for step in self._steps.values():
            if step["status"] == "running":
                failed = failed or step
                self._change(step["index"], status="failed", waits_for="")
        self._build["status"] = "failed"
        line = line or (failed["line"] if failed else 0)
        self._build["failure"] = {**failure, "line": line, "source": getattr(error, "source", "") or (failed["text"] if failed else "")}

    def _on_BuildPlanned(self, event: Any) -> None:
        total = len(event.steps)
        for row in event.steps:
            lane = row.lane
            drawn: Lane = {"own": lane.own, "above": list(lane.above), "below": list(lane.below), "joins": list(lane.joins)}
            self._put(row, total, "waiting", drawn if row.count != total else None)

    def _on_StepStarted(self, event: Any) -> None:
        known = self._steps.get(event.index)
        self._put(event, event.total, "running", known["lane"] if known else None)
        self._change(event.index, started_at=self._clock())

    def _put(self, step: Any, total: int, status: StepStatus, lane: Lane | None) -> None:
        many_stages = getattr(step, "count", 0) not in (0, total)
        self._steps[step.index] = {
            "index": step.index,
            "total": total,
            "stage": step.stage if many_stages else "",
            "text": step.text,
            "line": step.line,
            "status": status,
            "started_at": None,
            "duration_s": None,
            "layer_size_bytes": None,
            "message": "",
            "reason": "",
            "waits_for": "",
            "lane": lane,
        }
        self._changed.add(step.index)

    def _on_StepCached(self, event: Any) -> None:
        self._change(event.index, status="cached", waits_for="", layer_size_bytes=getattr(event, "layer_size_bytes", 0) or None)

    def _on_StepWaiting(self, event: Any) -> None:
        self._change(event.index, waits_for=event.holder)

    def _on_StepMissed(self, event: Any) -> None:
        self._change(event.index, reason=event.reason, waits_for="")

    def _on_StepOutput(self, event: Any) -> None:
        self._outputs.setdefault(event.index, Output()).add(event.stream, event.data)

    def _on_StepFinished(self, event: Any) -> None:
        size = event.layer_size_bytes or None
        self._change(event.index, status="done", duration_s=round(event.duration_s, 3), layer_size_bytes=size)

    def _on_StepFailedEvent(self, event: Any) -> None:
        self._end_early(event, "failed")

    def _end_early(self, event: Any, status: StepStatus) -> None:
        step = self._steps.get(event.index)
        started_at = step["started_at"] if step else None
        took = None if started_at is None else round(self._clock() - started_at, 3)
        self._change(event.index, status=status, waits_for="", message=event.message, duration_s=took)

    def _on_StepCancelled(self, event: Any) -> None:
        self._end_early(event, "cancelled")

    def _on_BuildFinished(self, event: Any) -> None:
        self._build["image_id"], self._build["tags"] = event.image_id, list(event.tags)
        self._changed_build = True

    def _change(self, index: int, **changes: Any) -> None:
        step = self._steps.get(index)
        if step is not None:
            self._steps[index] = {**step, **changes}  # type: ignore[typeddict-item]  # the names of the changes are known to the callers
            self._changed.add(index)

    # --- what is sent and shown

    def everything(self) -> dict[str, Any]:
        with self._lock:
            output = [output.everything(index) for index, output in self._outputs.items()]
            return {"build": dict(self._build), "steps": [dict(step) for step in self._steps.values()], "output": output}

    def snapshot(self) -> Snapshot:
        with self._lock:
            tails = {index: output.text for index, output in self._outputs.items()}
            return build_snapshot(self._build, list(self._steps.values()), tails, self._clock())

    def act(self, action: str) -> None:
        """The button: stop the build at once, as an interrupt does."""
        with self._lock:
            if action != "cancel" or not self.running or self._build["cancelling"]:
                return
            self._build["cancelling"] = self._changed_build = True
        self.flush()
        self.cancel.cancel()

    @property
    def running(self) -> bool:
        return self._build["status"] == "running"

    def _touch(self) -> None:
        self._changed_build = True

    def _take_changes(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self._changed_build:
            data["build"] = dict(self._build)
        if self._changed:
            data["steps"] = [dict(self._steps[index]) for index in sorted(self._changed)]
        output = [part for index, out in self._outputs.items() if (part := out.take(index)) is not None]
        if output:
            data["output"] = output
        self._changed.clear()
        self._changed_build = False
        return data


def build_progress(tags: Sequence[str] = ()) -> BuildProgress:
    """A live progress of the build of `tags`, to be displayed. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import LiveWidget

    progress = BuildProgress(tags)
    LiveWidget(progress)  # which keeps it
    return progress
