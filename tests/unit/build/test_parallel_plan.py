"""A build of several stages whose steps take any time they like: what comes of it is what comes of one step after the other."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labcontainers.build.builder import Builder
from labcontainers.build.cancelling import Cancel
from labcontainers.build.progress import BuildEvent, StepCancelled, StepFailedEvent, StepFinished, StepStarted
from labcontainers.build.request import BuildRequest, most_at_once
from labcontainers.build.result import Build
from labcontainers.build.steps import RunRequest
from labcontainers.errors import Cancelled, InvalidArgument, StepFailed
from labcontainers.images.catalog import Catalog
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.chroot_runner import NotingRunner
from tests.fakes.in_process_worker import InProcessWorker

OnOutput = Callable[[int, bytes], None]
Act = Callable[[RunRequest, OnOutput], int]

# diamonds, mounts from stages in the middle of others, equal stages and equal steps, changes of the config alone
DOCKERFILE = """FROM scratch AS one
ENV a=1
RUN one first
RUN one second
FROM scratch AS two
LABEL two=2
RUN two first
RUN --mount=type=bind,from=one,target=/from two second
FROM scratch AS same
ENV a=1
RUN one first
RUN one second
FROM one AS left
RUN left
RUN --mount=type=bind,from=two,target=/from left with two
FROM one AS right
RUN right
CMD ["right"]
FROM scratch AS last
RUN one first
RUN before others are there
RUN --mount=type=bind,from=left,target=/left --mount=type=bind,from=right,target=/right all
RUN --mount=type=bind,from=same,target=/same the same
"""
BOTH = "RUN --mount=from=a,target=/a --mount=from=b,target=/b x"


def wrote(request: RunRequest, on_output: OnOutput) -> int:
    """The step's layer is what it was asked for."""
    words = request.arguments[-1]
    path = request.scratch / "fs" / words.replace(" ", "-")
    path.write_text(f"{words}\n{[Path(lower).resolve().parent.name for lower in request.lower_paths]}\n")
    for touched in (path, path.parent):
        os.utime(touched, (1, 1))
    on_output(1, f"{words}\n".encode())
    return 0


class Bench:
    def __init__(self, place: Path, act: Act = wrote) -> None:
        self.store = Store.open(StorePaths(place / "s", place / "r"), InProcessWorker())
        self.context = place / "context"
        self.context.mkdir(parents=True)
        self.runner = NotingRunner(act)
        self.builder = Builder(self.store, Catalog(self.store, lambda image_id: []), self.runner, InProcessWorker())
        self.events: list[BuildEvent] = []

    def build(self, text: str = DOCKERFILE, *, cancel: Cancel | None = None, **options: Any) -> Build:
        return self.builder.build(BuildRequest(self.context, text, **options), self.events.append, cancel)

    def facts(self, build: Build) -> dict[str, Any]:
        """Everything that must not depend on time."""
        return {
            "id": build.image.id,
            "manifest": build.image.manifest_digest,
            "layers": build.image.diff_ids,
            "history": build.image.history,
            "steps": [(s.index, s.text, s.line, s.stage, s.cached, s.output, s.reason, s.layer_size_bytes) for s in build.steps],
            "cache": sorted((row.key, row.result) for row in self.store.records.list_cache()),
        }


@pytest.fixture
def benches(tmp_path: Path) -> Any:
    made: list[Bench] = []

    def make(act: Act = wrote) -> Bench:
        # each has a folder of its own, but the same name of its context, which counts for the reasons
        bench = Bench(tmp_path / str(len(made)), act)
        made.append(bench)
        return bench

    yield make
    for bench in made:
        assert bench.store.verify() == []
        assert list(bench.store.paths.tmp.iterdir()) == []
        bench.store.close()


def strip(facts: dict[str, Any]) -> dict[str, Any]:
    """Without the keys of positions, which have the path of the context in them."""
    return {**facts, "cache": [entry for entry in facts["cache"] if entry[0].startswith("step:")]}


@pytest.mark.parametrize("no_cache", [False, True])
def test_any_timing_gives_what_one_step_after_the_other_gives(benches: Callable[..., Bench], no_cache: bool) -> None:
    serial = benches()
    first, again = (serial.facts(serial.build(most_at_once=1, no_cache=no_cache)) for _ in range(2))
    requests = sorted(request.arguments[-1] for request in serial.runner.requests)
    for seed in range(6):
        chance = random.Random(seed)

        def late(request: RunRequest, on_output: OnOutput, chance: random.Random = chance) -> int:
            time.sleep(chance.random() / 50)
            return wrote(request, on_output)

        bench = benches(late)
        assert strip(bench.facts(bench.build(most_at_once=chance.choice((2, 3, 8)), no_cache=no_cache))) == strip(first)
        assert strip(bench.facts(bench.build(no_cache=no_cache))) == strip(again)
        assert sorted(request.arguments[-1] for request in bench.runner.requests) == requests


def test_equal_steps_are_done_once_and_the_first_is_told_as_the_one_done(benches: Callable[..., Bench]) -> None:
    inside = threading.Event()

    def act(request: RunRequest, on_output: OnOutput) -> int:
        if request.arguments[-1] == "slow":
            inside.wait(60)
        if request.arguments[-1] == "twice":
            inside.set()
        return wrote(request, on_output)

    # the stage that comes later comes first to the step that both have
    text = f"FROM scratch AS a\nRUN slow\nFROM scratch AS b\nRUN twice\nFROM scratch\nRUN twice\n{BOTH}"
    bench = benches(act)
    build = bench.build(text)
    assert [request.arguments[-1] for request in bench.runner.requests].count("twice") == 1
    assert [(step.text, step.cached) for step in build.steps if "twice" in step.text] == [("RUN twice", False), ("RUN twice", True)]
    assert [step.output for step in build.steps if "twice" in step.text] == ["twice\n", ""]


def test_steps_before_a_copy_from_another_stage_do_not_wait_for_it(benches: Callable[..., Bench]) -> None:
    met = threading.Barrier(2)

    def act(request: RunRequest, on_output: OnOutput) -> int:
        if request.arguments[-1] in ("in other", "before"):
            met.wait(60)
        return 0

    bench = benches(act)
    bench.build("FROM scratch AS other\nRUN in other\nFROM scratch\nRUN before\nRUN --mount=from=other,target=/o after")
    order = [event.index for event in bench.events if isinstance(event, StepStarted)]
    assert order.index(5) > max(order.index(2), order.index(4))
    finished = [event.index for event in bench.events if isinstance(event, StepFinished)]
    assert finished[-1] == 5


def test_a_failing_step_stops_the_others_and_is_the_one_that_is_told(benches: Callable[..., Bench]) -> None:
    begun = threading.Event()

    def act(request: RunRequest, on_output: OnOutput) -> int:
        match request.arguments[-1]:
            case "fails":
                begun.wait(60)
                return 7
            case "long":
                stopped = threading.Event()
                with request.cancel.stopping(stopped.set):
                    begun.set()
                    stopped.wait(60)
                return 137
        return 0

    bench = benches(act)
    text = f"FROM scratch AS a\nRUN long\nFROM scratch AS b\nRUN done\nRUN fails\nRUN never\nFROM scratch\n{BOTH}"
    with pytest.raises(StepFailed) as caught:
        bench.build(text)
    assert (caught.value.returncode, caught.value.step) == (7, "Dockerfile:5: RUN fails")
    assert [event for event in bench.events if isinstance(event, StepFailedEvent)] == [StepFailedEvent(5, caught.value.message)]
    assert [event for event in bench.events if isinstance(event, StepCancelled)] == [StepCancelled(2, "another step failed")]
    assert "never" not in [request.arguments[-1] for request in bench.runner.requests]
    done = bench.build("FROM scratch\nRUN done")
    assert done.cached_steps == 2


def test_cancel_stops_all_running_steps_and_keeps_the_finished_ones(benches: Callable[..., Bench]) -> None:
    cancel, both = Cancel(), threading.Barrier(2)

    def act(request: RunRequest, on_output: OnOutput) -> int:
        if request.arguments[-1] == "done":
            return 0
        stopped = threading.Event()
        with request.cancel.stopping(stopped.set):
            if both.wait(60) == 0:
                cancel.cancel()
            stopped.wait(60)
        return 137

    bench = benches(act)
    text = "FROM scratch AS a\nRUN done\nRUN long\nFROM scratch\nRUN longer\nRUN --mount=from=a,target=/a x"
    with pytest.raises(Cancelled, match="cancelled"):
        bench.build(text, cancel=cancel)
    assert sorted(event.index for event in bench.events if isinstance(event, StepCancelled)) == [3, 5]
    assert bench.build("FROM scratch\nRUN done").cached_steps == 2


def test_how_many_steps_at_once_is_said_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCONTAINERS_BUILD_STEPS", raising=False)
    assert most_at_once() >= 4
    monkeypatch.setenv("LABCONTAINERS_BUILD_STEPS", "3")
    assert most_at_once() == 3
    for wrong in ("0", "-1", "x", "65"):
        monkeypatch.setenv("LABCONTAINERS_BUILD_STEPS", wrong)
        with pytest.raises(InvalidArgument, match="LABCONTAINERS_BUILD_STEPS: invalid value"):
            most_at_once()
