"""The build progress: the states of its steps, its output in batches, and how it ends."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labcontainers.build.lanes import lanes_of
from labcontainers.build.progress import (
    BuildEvent,
    BuildFinished,
    BuildPlanned,
    PlannedRow,
    StepCached,
    StepCancelled,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    StepWaiting,
)
from labcontainers.build.result import Build
from labcontainers.errors import Cancelled, DockerfileError, StepFailed
from labcontainers.widgets.progress import OUTPUT_KEPT, OUTPUT_PER_BEAT, BuildProgress
from tests.unit.widgets.surfaces import Clock, RecordingSurface

STARTED = StepStarted(1, 2, "stage-0", "RUN make", 3)
# what happens to the one step -> its state then
STATES: list[tuple[list[BuildEvent], dict[str, Any]]] = [
    ([], {"status": "running", "line": 3, "text": "RUN make", "duration_s": None}),
    ([StepCached(1, 100)], {"status": "cached", "layer_size_bytes": 100}),
    ([StepCached(1)], {"status": "cached", "layer_size_bytes": None}),
    ([StepMissed(1, "the command changed")], {"status": "running", "reason": "the command changed"}),
    ([StepWaiting(1, "the build of web in process 7")], {"status": "running", "waits_for": "the build of web in process 7"}),
    ([StepWaiting(1, "another build"), StepCached(1)], {"status": "cached", "waits_for": ""}),
    ([StepWaiting(1, "another build"), StepMissed(1, "new")], {"status": "running", "reason": "new", "waits_for": ""}),
    ([StepWaiting(1, "another build"), StepFailedEvent(1, "no")], {"status": "failed", "waits_for": ""}),
    ([StepFinished(1, 1.23456, 2048)], {"status": "done", "duration_s": 1.235, "layer_size_bytes": 2048}),
    ([StepFinished(1, 1.0, 0)], {"status": "done", "layer_size_bytes": None}),
    ([StepFailedEvent(1, "no such file")], {"status": "failed", "message": "no such file", "duration_s": 5.0}),
]
STAGES = [(0, ""), (2, ""), (1, "stage-0")]


class Bench:
    """A build's progress with its surface and a clock that stands still; its pulse is never started."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.surface = RecordingSurface()
        self.progress = BuildProgress(clock=self.clock, beat_s=3600)
        self.progress.show_on(self.surface)

    def say(self, *events: BuildEvent) -> None:
        for event in events:
            self.progress.on_event(event)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("events", "expected"), STATES)
def test_step_is_what_last_happened_to_it(bench: Bench, events: list[BuildEvent], expected: dict[str, Any]) -> None:
    bench.say(STARTED)
    bench.clock.now += 5
    bench.say(*events)
    bench.progress.beat()
    step = bench.surface.last("steps")[0]
    assert {name: step[name] for name in expected} == expected


@pytest.mark.parametrize(("count", "stage"), STAGES)
def test_stage_is_named_only_where_there_are_several(bench: Bench, count: int, stage: str) -> None:
    bench.say(StepStarted(1, 2, "stage-0", "RUN make", 3, 1, count))
    bench.progress.beat()
    assert bench.surface.last("steps")[0]["stage"] == stage


def test_a_beat_sends_what_changed_since_the_last_as_one_message(bench: Bench) -> None:
    bench.say(STARTED, StepOutput(1, 1, b"one\n"), StepOutput(1, 1, b"two\n"))
    bench.progress.beat()
    bench.say(StepFinished(1, 1.0, 0), StepStarted(2, 2, "stage-0", "CMD x", 4))
    bench.progress.beat()
    bench.progress.beat()
    first, second = bench.surface.updates
    assert first["output"] == [{"index": 1, "skipped": 0, "text": "one\ntwo\n"}]
    assert [step["index"] for step in second["steps"]] == [1, 2]
    assert "output" not in second


def test_character_cut_in_two_by_the_pipe_is_whole(bench: Bench) -> None:
    for piece in (b"gr\xc3", b"\xbc\xc3", b"\x9fe"):
        bench.say(STARTED, StepOutput(1, 1, piece))
    bench.progress.beat()
    assert bench.surface.last("output")[0]["text"] == "grüße"


def test_output_beyond_measure_is_sent_as_its_end_and_counted(bench: Bench) -> None:
    bench.say(STARTED)
    for number in range(20):
        bench.say(StepOutput(1, 1, f"{number:04}".encode() * 2048))
    bench.progress.beat()
    part = bench.surface.last("output")[0]
    assert len(part["text"]) == OUTPUT_PER_BEAT
    assert part["skipped"] + len(part["text"]) == 20 * 8192
    kept = bench.progress.everything()["output"][0]
    assert kept["text"].endswith("0019")
    assert len(kept["text"]) <= 2 * OUTPUT_KEPT
    assert kept["skipped"] + len(kept["text"]) == 20 * 8192


def test_replay_holds_everything_as_of_the_last_update(bench: Bench) -> None:
    bench.say(STARTED, StepOutput(1, 1, b"one\n"))
    bench.progress.replay()
    assert len(bench.surface.updates) == 1
    replay = bench.surface.replays[0]
    assert replay["steps"][0]["text"] == "RUN make"
    assert replay["output"] == [{"index": 1, "skipped": 0, "text": "one\n"}]
    assert replay["build"]["status"] == "running"


def test_finished_build_names_its_image_and_renews_the_saved_output(bench: Bench) -> None:
    bench.say(STARTED, StepFinished(1, 1.0, 0), BuildFinished("sha256:abc", ("x:latest",), 1.0))
    bench.clock.now += 4
    bench.progress.finish(cast("Build", SimpleNamespace(image=SimpleNamespace(id="sha256:abc", tags=["x:latest"]))))
    build = bench.surface.last("build")
    assert (build["status"], build["duration_s"], build["image_id"], build["tags"]) == ("done", 4.0, "sha256:abc", ["x:latest"])
    assert bench.surface.kept_in_output == 1
    assert not bench.progress.beat()


def test_failed_step_is_pointed_at_and_its_output_is_not_said_twice(bench: Bench) -> None:
    bench.say(STARTED, StepOutput(1, 2, b"make: no rule\n"), StepFailedEvent(1, "step failed with exit code 2: RUN make"))
    bench.progress.finish(StepFailed("Dockerfile:3: RUN make", 2, "make: no rule\n", "it said: make: no rule"))
    failure = bench.surface.last("build")["failure"]
    assert failure == {"message": "the step failed with exit code 2", "hint": "", "line": 3, "source": "RUN make"}
    assert "make: no rule" in bench.progress.snapshot().text


def test_hint_that_says_more_than_the_output_is_kept(bench: Bench) -> None:
    bench.say(STARTED)
    bench.progress.finish(
        StepFailed("Dockerfile:3: RUN make", 127, "sh: make: not found\n", "the command was not found; it said: sh: make: not found")
    )
    assert bench.surface.last("build")["failure"]["hint"] == "the command was not found"


def test_mistake_in_the_dockerfile_is_shown_with_its_own_line_and_source(bench: Bench) -> None:
    bench.progress.finish(DockerfileError("unknown instruction: RUM", "did you mean RUN?", first_line=7, source="RUM x"))
    failure = bench.surface.last("build")["failure"]
    assert failure == {"message": "unknown instruction: RUM", "hint": "did you mean RUN?", "line": 7, "source": "RUM x"}


@pytest.mark.parametrize(("error", "said"), [(KeyboardInterrupt(), "interrupted"), (Cancelled("the build was stopped"), "cancelled")])
def test_a_build_that_was_stopped_has_a_cancelled_step_and_says_so(bench: Bench, error: BaseException, said: str) -> None:
    bench.say(STARTED)
    bench.progress.finish(error)
    assert bench.surface.last("steps")[0]["status"] == "cancelled"
    build = bench.surface.last("build")
    assert (build["status"], build["failure"]["message"], build["failure"]["line"]) == ("cancelled", said, 0)
    assert repr(bench.progress).splitlines()[0].startswith("build: cancelled")


def test_the_button_cancels_the_build_once_and_while_it_runs(bench: Bench) -> None:
    bench.say(STARTED)
    bench.progress.act("dance")
    assert not bench.progress.cancel.cancelled
    bench.progress.act("cancel")
    assert bench.progress.cancel.cancelled
    assert bench.surface.last("build")["cancelling"]
    count = len(bench.surface.updates)
    bench.progress.act("cancel")
    assert len(bench.surface.updates) == count
    other = Bench()
    other.progress.finish(KeyboardInterrupt())
    other.progress.act("cancel")
    assert not other.progress.cancel.cancelled


def test_planned_steps_wait_in_their_lanes_until_they_begin(bench: Bench) -> None:
    lanes = lanes_of([(1, 1), (1, 2), (2, 2)], {3: [1]})
    rows = [("one", 1, 1), ("two", 1, 2), ("two", 2, 2)]
    planned = [PlannedRow(index, stage, f"RUN {index}", index, n, c, lanes[index - 1]) for index, (stage, n, c) in enumerate(rows, 1)]
    bench.say(BuildPlanned(tuple(planned)), StepStarted(1, 3, "one", "RUN 1", 1, 1, 1))
    bench.progress.beat()
    first, second, third = bench.surface.last("steps")
    assert [step["status"] for step in (first, second, third)] == ["running", "waiting", "waiting"]
    assert (first["started_at"], second["started_at"]) == (bench.clock.now, None)
    assert first["lane"] == {"own": 0, "above": [False], "below": [True], "joins": []}
    assert third["lane"] == {"own": 1, "above": [True, True], "below": [False, False], "joins": [0]}
    assert "RUN 3  [waiting]" in repr(bench.progress)
    bench.progress.finish(KeyboardInterrupt())
    assert "RUN 3  [not begun]" in repr(bench.progress)


def test_a_single_stage_has_no_lanes(bench: Bench) -> None:
    (lane,) = lanes_of([(1, 1)], {})
    bench.say(BuildPlanned((PlannedRow(1, "stage-0", "FROM x", 1, 1, 1, lane),)), StepStarted(1, 1, "stage-0", "FROM x", 1, 1, 1))
    bench.progress.beat()
    assert (bench.surface.last("steps")[0]["lane"], bench.surface.last("steps")[0]["stage"]) == (None, "")


def test_a_step_that_another_stopped_is_cancelled(bench: Bench) -> None:
    bench.say(STARTED, StepCancelled(1, "another step failed"))
    bench.progress.beat()
    step = bench.surface.last("steps")[0]
    assert (step["status"], step["message"]) == ("cancelled", "another step failed")


def test_event_that_is_not_known_is_ignored(bench: Bench) -> None:
    bench.progress.on_event(cast("BuildEvent", SimpleNamespace(index=1)))
    bench.progress.beat()
    assert bench.surface.updates == []


def test_finish_ends_the_thread() -> None:
    progress = BuildProgress(beat_s=0.001)
    progress.show_on(RecordingSurface())
    progress.shown()
    assert "lab-build-progress" in [thread.name for thread in threading.enumerate()]
    progress.finish(KeyboardInterrupt())
    assert "lab-build-progress" not in [thread.name for thread in threading.enumerate()]


def test_the_title_names_the_image_from_the_beginning() -> None:
    progress = BuildProgress(("web",), beat_s=3600)
    assert progress.everything()["build"]["tags"] == ["web"]
    assert repr(progress).startswith("build web: running")
