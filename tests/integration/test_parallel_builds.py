"""Builds of several stages in real containers: they run beside each other, and an end before the time leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.cancelling import Cancel
from labcontainers.build.progress import BuildEvent, StepCancelled, StepFailedEvent, StepOutput
from labcontainers.build.result import Build
from labcontainers.errors import Cancelled, StepFailed
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

# each writes that it is there, and waits for the other
MEET = "touch /meet/{0}; n=0; until test -e /meet/{1}; do n=$((n + 1)); test $n -lt 1200 || exit 9; sleep 0.05; done; echo met {1}"
MOUNT = "--mount=type=cache,id={id},target=/meet"
FOREVER = "echo up; while :; do sleep 0.05; done"


def rendezvous(cache: str) -> str:
    mount = MOUNT.format(id=cache)
    return f"""FROM lab/base AS one
RUN {mount} {MEET.format("one", "two")}
RUN echo 1 > /one
FROM lab/base AS two
RUN {mount} {MEET.format("two", "one")}
RUN echo 2 > /two
FROM lab/base
RUN {mount} touch /meet/three
COPY --from=one /one /
COPY --from=two /two /
"""


@pytest.fixture
def context(place: Path) -> Path:
    folder = place / "context"
    folder.mkdir()
    return folder


def test_stages_run_beside_each_other(engine: Engine, context: Path) -> None:
    build = engine.images.build(context, dockerfile_text=rendezvous("meeting"))
    assert [step.output for step in build.steps if "met" in step.output] == ["met two\n", "met one\n"]
    assert [step.index for step in build.steps] == list(range(1, 11))
    again = engine.images.build(context, dockerfile_text=rendezvous("meeting"))
    assert (again.cached_steps, again.image.id) == (10, build.image.id)


def test_two_at_once_are_enough_and_one_at_a_time_gives_the_same(
    make_engine: Callable[[], Engine], context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context / "a").write_text("a")
    text = (
        "FROM lab/base AS one\nCOPY a /x/\nWORKDIR /w\nFROM lab/base AS two\nENV a=b\nCOPY a /y/\nWORKDIR /v\n"
        "FROM one\nCOPY --from=two /y/a /z/\nCOPY --from=two / /all\nCMD a"
    )

    def built(steps: str) -> Build:
        monkeypatch.setenv("LABCONTAINERS_BUILD_STEPS", steps)
        return make_engine().images.build(context, dockerfile_text=text, no_cache=True)

    serial, parallel = built("1"), built("2")
    assert parallel.image.id == serial.image.id
    assert [(step.text, step.cached) for step in parallel.steps] == [(step.text, step.cached) for step in serial.steps]


class Watcher:
    """Does something once so many steps have said that they are up."""

    def __init__(self, steps: int, then: Callable[[], object]) -> None:
        self.events: list[BuildEvent] = []
        self._steps = steps
        self._then = then
        self._up: set[int] = set()

    def __call__(self, event: BuildEvent) -> None:
        self.events.append(event)
        if isinstance(event, StepOutput) and b"up\n" in event.data and event.index not in self._up:
            self._up.add(event.index)
            if len(self._up) == self._steps:
                self._then()


def endless(name: str) -> str:
    return f"FROM lab/base AS a\nRUN echo {name}\nRUN {FOREVER}\nFROM lab/base\nRUN {FOREVER}; echo other\nCOPY --from=a /etc/passwd /p\n"


def nothing_is_left(engine: Engine) -> None:
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lab-build")] == []
    assert list(engine.store.paths.tmp.iterdir()) == []
    assert engine.verify() == []


def test_cancel_from_another_thread_stops_all_containers_and_keeps_what_was_done(engine: Engine, context: Path) -> None:
    cancel = Cancel()
    watcher = Watcher(2, lambda: threading.Thread(target=cancel.cancel).start())
    with pytest.raises(Cancelled, match="the build was stopped: cancelled"):
        engine.images.build(context, dockerfile_text=endless("cancel"), on_event=watcher, cancel=cancel)
    assert sorted(event.index for event in watcher.events if isinstance(event, StepCancelled)) == [3, 5]
    nothing_is_left(engine)
    assert engine.images.build(context, dockerfile_text="FROM lab/base\nRUN echo cancel").cached_steps == 2


def test_an_interrupt_stops_all_containers_and_keeps_what_was_done(engine: Engine, context: Path) -> None:
    watcher = Watcher(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        engine.images.build(context, dockerfile_text=endless("interrupt"), on_event=watcher)
    ends = [event for event in watcher.events if isinstance(event, StepCancelled)]
    assert sorted(event.index for event in ends) == [3, 5]
    assert {event.message for event in ends} == {"interrupted"}
    nothing_is_left(engine)
    assert engine.images.build(context, dockerfile_text="FROM lab/base\nRUN echo interrupt").cached_steps == 2


def test_interrupts_at_any_instant_leave_nothing(engine: Engine, context: Path) -> None:
    engine.images.get("lab/base")

    def build(name: str, after_s: float) -> None:
        timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            engine.images.build(context, dockerfile_text=endless(name))
        finally:
            timer.join()

    for number in range(8):
        with pytest.raises(KeyboardInterrupt):
            build(f"instant {number}", 0.02 * number)
        nothing_is_left(engine)


def test_a_failing_step_stops_the_others(engine: Engine, context: Path) -> None:
    text = (
        "FROM lab/base AS a\nRUN --mount=type=cache,id=fails,target=/c touch /c/up; " + FOREVER + "\n"
        "FROM lab/base\nRUN --mount=type=cache,id=fails,target=/c until test -e /c/up; do sleep 0.05; done; echo bad; exit 3\n"
        "COPY --from=a /etc/passwd /p\n"
    )
    events: list[BuildEvent] = []
    with pytest.raises(StepFailed) as caught:
        engine.images.build(context, dockerfile_text=text, on_event=events.append)
    assert (caught.value.returncode, caught.value.output) == (3, "bad\n")
    assert [event.index for event in events if isinstance(event, StepFailedEvent)] == [4]
    assert [event for event in events if isinstance(event, StepCancelled)] == [StepCancelled(2, "another step failed")]
    nothing_is_left(engine)


def test_a_step_that_waits_for_a_cache_is_stopped_too(engine: Engine, context: Path) -> None:
    mount = "--mount=type=cache,id=alone,sharing=locked,target=/c"
    text = f"FROM lab/base AS a\nRUN {mount} {FOREVER}\nFROM lab/base\nRUN {mount} {FOREVER}; echo\nCOPY --from=a /etc/passwd /p\n"
    cancel = Cancel()
    watcher = Watcher(1, cancel.cancel)
    with pytest.raises(Cancelled):
        engine.images.build(context, dockerfile_text=text, on_event=watcher, cancel=cancel)
    nothing_is_left(engine)


def test_ctrl_c_on_the_command_line_ends_it_with_130(make_engine: Callable[[], Engine], context: Path) -> None:
    paths = make_engine().store.paths
    (context / "Dockerfile").write_text(endless("command line"))
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(paths.root), "LABCONTAINERS_RUN": str(paths.run)}
    words = [sys.executable, "-m", "labcontainers", "build", str(context)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        said = b""
        while said.count(b" up\n") < 2:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        assert process.wait(60) == 130
    assert said.count(b"CANCELED") == 2
    until(lambda: list(paths.tmp.iterdir()) == [], "nothing half-made is left")
