"""The build cache on a real store: told, pruned by hand and by itself beside others, and work that two builds share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.progress import BuildEvent, StepWaiting
from labcontainers.commands.table import execute, understand
from labcontainers.engine.build_cache import BuildCaches
from labcontainers.engine.cache_told import CacheUsages
from labcontainers.engine.gc_settings import GcSettings
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.store.cache_mounts import CacheMounts
from tests.waiting import until

HOUSE = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("builds_child.py")
MIB = 1 << 20
# a step that tells that it runs, and then waits for a file
GATED = (
    "FROM lab/base\nRUN --mount=type=cache,id=gate,target=/g "
    "echo x >> /g/count; until [ -e /g/go ]; do sleep 0.01; done; echo done > /made\n"
)
Say = Callable[..., Any]


@pytest.fixture
def say(engine: Engine) -> Say:
    return lambda *words: execute(lambda: engine, understand(words))


def build(engine: Engine, text: str, **keywords: Any) -> Any:
    return engine.images.build(dockerfile_text=text, network="none", **keywords)


def big(number: int, size: int = MIB) -> str:
    return f"FROM lab/base\nRUN head -c {size} /dev/urandom > /big{number}\n"


def ages(engine: Engine, **used_at: float) -> None:
    """Let steps whose text has a word be used last at that time."""
    for row in engine.store.records.list_cache_from("step:"):
        for word, moment in used_at.items():
            if word in row.about:
                engine.store.records.put_cache(row.key, row.result, moment, row.about)


class TestTold:
    def test_steps_and_folders_are_listed_with_size_uses_and_what_they_are(self, engine: Engine, say: Say) -> None:
        text = big(1) + "RUN --mount=type=cache,target=/c head -c 500000 /dev/zero > /c/file\n"
        build(engine, text, tag="kept")
        build(engine, text, tag="kept")
        found = engine.images.build_cache.usage()
        steps = {one.row.about: one for one in found if not one.is_folder}
        step = next(one for about, one in steps.items() if "big1" in about)
        assert step.row.uses == 2
        assert step.shared
        assert MIB <= step.size_bytes < 1.1 * MIB
        (folder,) = [one for one in found if one.is_folder]
        assert (folder.type, folder.row.uses, folder.in_use) == ("exec.cachemount", 1, False)
        assert 500_000 <= folder.size_bytes < 550_000
        assert found.private_bytes == found.reclaimable_bytes == folder.size_bytes
        assert found.shared_bytes >= step.size_bytes
        assert [one.row.used_at for one in found] == sorted((one.row.used_at for one in found), reverse=True)
        shown = repr(say("buildx", "du"))
        assert f"{folder.id}*" in shown
        assert f"Usage count:    {step.row.uses}" in repr(say("builder", "du", "--verbose", "--filter", f"id={step.id}"))
        assert str(say("buildx", "du", "--filter", "type=exec.cachemount", "--format", "{{.ID}} {{.UsageCount}}")) == f"{folder.id} 1"
        assert step_of(say, step.id)["UsageCount"] == "2"

    def test_the_builder_is_told_of(self, say: Say) -> None:
        assert str(say("buildx", "version")).startswith("labcontainers ")
        assert "default*" in repr(say("buildx", "ls"))
        assert "Keep Duration:" in str(say("buildx", "inspect"))
        with pytest.raises(NotFound, match="no such builder: other"):
            say("buildx", "inspect", "other")


def step_of(say: Say, name: str) -> Any:
    document = json.loads(str(say("system", "df", "-v", "--format", "json")))
    return next(one for one in document["BuildCache"] if one["ID"] == name)


class TestPrune:
    def test_what_no_image_needs_goes_with_its_layers_and_the_rest_stays(self, engine: Engine, say: Say) -> None:
        kept = build(engine, big(1), tag="kept")
        lost = build(engine, big(2), tag="lost")
        engine.images.remove("lost", no_prune=True)
        pruned = say("builder", "prune", "-f")
        assert [one.row.about for one in pruned.records] == [next(step.text for step in lost.steps if "big2" in step.text)]
        assert MIB <= pruned.reclaimed_bytes < 1.1 * MIB
        assert not engine.store.snapshots.has(pruned.records[0].chain)
        assert all(step.cached for step in build(engine, big(1)).steps)
        again = build(engine, big(2), tag="lost")
        assert [step.reason for step in again.steps if not step.cached] == ["pruned: what it made was removed"]
        assert engine.images.get("kept") == kept.image

    def test_everything_goes_with_all_but_what_images_have(self, engine: Engine) -> None:
        kept = build(engine, big(1) + "RUN --mount=type=cache,target=/c touch /c/file\n", tag="kept").image
        pruned = engine.images.prune_builds(all=True)
        assert len(pruned.records) == 3
        assert len(engine.images.build_cache.usage()) == 0
        assert engine.containers.run("kept", ["stat", "/big1"], network="none", remove=True)
        assert engine.images.get("kept") == kept

    def test_filters_say_what(self, engine: Engine) -> None:
        for number in (1, 2):
            build(engine, big(number), tag="x")
            engine.images.remove("x", no_prune=True)
        ages(engine, big1=1000.0)
        pruned = engine.images.build_cache.prune({"until": "2000"})
        assert [one.row.about[-4:] for one in pruned.records] == ["big1"]
        assert engine.images.build_cache.prune({"id": "nothing"}).records == ()
        assert [one.row.about[-4:] for one in engine.images.build_cache.usage({"type": "regular"}) if one.chain] == ["big2"]
        with pytest.raises(InvalidArgument, match="nope"):
            engine.images.prune_builds({"nope": "1"})

    def test_with_a_limit_only_what_was_used_longest_ago_goes(self, engine: Engine, say: Say) -> None:
        for number in (1, 2, 3):
            build(engine, big(number), tag="x")
            engine.images.remove("x", no_prune=True)
        ages(engine, big1=3000.0, big2=1000.0, big3=2000.0)
        pruned = say("buildx", "prune", "-f", "--max-used-space", "1500k")
        assert [one.row.about[-4:] for one in pruned.records] == ["big2", "big3"]
        assert say("buildx", "prune", "-f", "--keep-storage", "10g").records == ()
        with pytest.raises(InvalidArgument, match="--keep-storage"):
            say("builder", "prune", "-f", "--keep-storage", "1g", "--reserved-space", "1g")

    def test_a_folder_that_a_step_has_now_and_the_steps_of_a_running_build_stay(self, engine: Engine, gate: Gate) -> None:
        build(engine, big(1), tag="x")
        engine.images.remove("x", no_prune=True)
        with gate.building() as result:
            assert [one.in_use for one in engine.images.build_cache.usage({"type": "exec.cachemount"})] == [True]
            pruned = engine.images.prune_builds(all=True)
            assert (pruned.records, pruned.waits) == ((), True)
            assert "prune again" in repr(pruned)
            gate.open()
        assert result() == [True, False]
        assert len(engine.images.prune_builds(all=True).records) == 3


class TestByItself:
    def settings(self, place: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        (place / "labcontainers").mkdir()
        (place / "labcontainers" / "builder.toml").write_text(text)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(place))

    def test_after_a_build_what_is_too_much_goes_as_the_settings_say(
        self, engine: Engine, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.settings(place, monkeypatch, "[gc]\nreserved_space = 0\nmax_used_space = 0\nmin_free_space = 0\nkeep_duration = 0\n")
        build(engine, big(1), tag="kept")
        assert len(engine.images.build_cache.usage()) == 0
        build(engine, big(2), tag="kept")
        assert len(engine.images.build_cache.usage()) == 1, "it looks once in a while only"

    def test_it_can_be_off_and_wrong_settings_hinder_no_build(self, engine: Engine, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings(place, monkeypatch, "[gc]\nenabled = false\nkeep_duration = 0\n")
        build(engine, big(1), tag="kept")
        assert len(engine.images.build_cache.usage()) == 1
        (place / "labcontainers" / "builder.toml").write_text("[gc]\nnonsense = 1\n")
        (engine.paths.builds / "gc").unlink(missing_ok=True)
        build(engine, big(2), tag="kept")

    def test_age_and_size_are_kept_apart(self, engine: Engine) -> None:
        caches: BuildCaches = engine.images.build_cache
        for number in (1, 2, 3):
            build(engine, big(number), tag="x")
            engine.images.remove("x", no_prune=True)
        ages(engine, big1=time.time() - 7200, big2=time.time() - 600)
        gone = caches.collect(GcSettings(keep_s=3600, reserved_bytes=0, most_bytes=1_500_000, free_bytes=0))
        assert [one.row.about[-4:] for one in gone.records] == ["big1", "big2"]
        assert engine.verify() == []

    def test_nothing_is_looked_at_after_a_build_that_did_nothing(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        build(engine, big(1))
        looked: list[CacheUsages] = []
        monkeypatch.setattr(BuildCaches, "tidy", lambda self: looked.append(self.usage()))
        build(engine, big(1))
        assert looked == []


class Gate:
    """Builds that wait in their step until they are let go on."""

    def __init__(self, engine: Engine, place: Path) -> None:
        self._engine = engine
        self._place = place
        self._children: list[subprocess.Popen[str]] = []

    @property
    def folder(self) -> Path | None:
        entries = CacheMounts(self._engine.store).entries()
        return next((one.path / "content" for one in entries if one.id == "gate"), None)

    def runs(self) -> int:
        """How often the step was begun."""
        count = self.folder / "count" if self.folder else None
        return len(count.read_text().split()) if count and count.exists() else 0

    def open(self) -> None:
        assert self.folder is not None
        (self.folder / "go").touch()

    def process(self) -> subprocess.Popen[str]:
        """A build in a process of its own."""
        command = [sys.executable, str(CHILD), str(self._place / "s"), str(self._place / "r"), GATED]
        environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    def building(self, *tags: str) -> _Building:
        return _Building(self, tags)

    def thread(self, tags: Sequence[str] = ()) -> tuple[threading.Thread, list[Any]]:
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append([step.cached for step in build(self._engine, GATED, tags=tags).steps])
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        return thread, outcome

    def end(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.communicate()


class _Building:
    """A build in a thread, while it waits in its step; its outcome afterwards."""

    def __init__(self, gate: Gate, tags: Sequence[str]) -> None:
        self._gate = gate
        self._tags = tags

    def __enter__(self) -> Callable[[], Any]:
        before = self._gate.runs()
        self._thread, self._outcome = self._gate.thread(self._tags)
        until(lambda: self._gate.runs() > before or not self._thread.is_alive(), "the step runs")
        return lambda: self._outcome[0]

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._gate.open()
        self._thread.join()


@pytest.fixture
def gate(engine: Engine, place: Path) -> Iterator[Gate]:
    made = Gate(engine, place)
    yield made
    made.end()


def last_line(child: subprocess.Popen[str]) -> Any:
    output, _ = child.communicate(timeout=90)
    return json.loads(output.splitlines()[-1])


class TestSharedWork:
    def test_in_one_process_a_step_that_another_build_does_is_waited_for(self, gate: Gate) -> None:
        with gate.building() as first:
            thread, second = gate.thread()
            gate.open()
        thread.join()
        assert (first(), second[0]) in (([True, False], [True, True]), ([True, True], [True, False]))
        assert gate.runs() == 1

    def test_in_two_processes_too(self, gate: Gate) -> None:
        first = gate.process()
        until(lambda: gate.runs() == 1, "the step runs")
        second = gate.process()
        told = second.stdout
        assert told is not None
        until(lambda: told.readline() == f"StepWaiting another build in process {first.pid}\n", "it waits")
        gate.open()
        assert (last_line(first), last_line(second)) == ([True, False], [True, True])
        assert gate.runs() == 1

    def test_an_interrupt_ends_waiting_at_once(self, gate: Gate) -> None:
        with gate.building():
            waits = gate.process()
            told = waits.stdout
            assert told is not None
            until(lambda: told.readline() == f"StepWaiting another build in process {os.getpid()}\n", "it waits")
            waits.send_signal(signal.SIGINT)
            assert waits.wait(timeout=30) != 0
            assert gate.runs() == 1

    def test_whom_it_waits_for_is_told_by_the_name_of_the_image(self, engine: Engine, gate: Gate) -> None:
        events: list[BuildEvent] = []
        with gate.building("web:2"):
            thread = threading.Thread(target=lambda: build(engine, GATED, on_event=events.append))
            thread.start()
            until(lambda: any(isinstance(event, StepWaiting) for event in events), "it waits")
        thread.join()
        waiting = next(event for event in events if isinstance(event, StepWaiting))
        assert waiting == StepWaiting(2, "the build of web:2 in this process")
        assert [type(event).__name__ for event in events[-3:]] == ["StepWaiting", "StepCached", "BuildFinished"]

    def test_whoever_waits_does_it_himself_when_the_other_is_killed(self, engine: Engine, gate: Gate) -> None:
        first = gate.process()
        until(lambda: gate.runs() == 1, "the step runs")
        thread, outcome = gate.thread()
        assert thread.is_alive()
        first.kill()
        first.wait()
        until(lambda: gate.runs() == 2, "the other build does the step")
        gate.open()
        thread.join()
        assert outcome == [[True, False]]
        engine.store.sweep()

    def test_whoever_waits_does_it_himself_when_the_other_fails(self, engine: Engine, gate: Gate) -> None:
        text = GATED.replace("echo done > /made", "[ -e /g/may ]")
        outcomes: list[Any] = []

        def work() -> None:
            try:
                outcomes.append([step.cached for step in build(engine, text).steps])
            except Exception as error:
                outcomes.append(type(error).__name__)
                assert gate.folder is not None
                (gate.folder / "may").touch()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: gate.runs() == 1, "the step runs")
        gate.open()
        for thread in threads:
            thread.join()
        assert outcomes[0] == "StepFailed"
        assert gate.runs() == 2
