"""Two kernels, real processes, on one store at once: whatever both do, it stays whole, and each hears what the other does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from tests.integration.test_faults_killed_kernel import Kernels, wait_until

pytestmark = pytest.mark.alike("ordinary users")


@pytest.fixture
def kernels(place: Path) -> Iterator[Kernels]:
    made = Kernels(place)
    yield made
    for process in made.started:
        if process.poll() is None:
            made.kill(process)


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_two_busy_kernels_never_corrupt_the_store_and_never_fail_but_for_each_others_changes(
    kernels: Kernels, make_engine: Callable[[], Engine], network: str
) -> None:
    engine = make_engine()
    busy = [kernels.start("busy", name, network, SECONDS_OF_WORK="5") for name in ("first", "second")]
    for process in busy:
        kernels.go(process)
    complaints: list[str] = []
    lines: list[str] = []
    readers = [threading.Thread(target=lambda process=process: lines.extend(read(process.stdout))) for process in busy]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        for container in engine.containers.list(all=True):
            assert container.id
        readers[0].join(0.2)
    assert [process.wait(60) for process in busy] == [0, 0]
    for process in busy:
        kernels.kill(process)
    complaints += [line for line in lines if line.startswith("problem")]
    assert complaints == []
    done = [int(line.split()[1]) for line in lines if line.startswith("done")]
    assert len(done) == 2
    assert min(done) > 5
    assert engine.verify() == []
    assert engine.store.verify(deep=True) == []
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    assert not list(engine.paths.containers.iterdir())


def read(stream) -> list[str]:
    return [line.decode().rstrip("\n") for line in stream]


def test_two_kernels_killed_at_work_leave_a_whole_store(kernels: Kernels, make_engine: Callable[[], Engine]) -> None:
    import time

    for trial in range(3):
        busy = [kernels.start("busy", f"{name}-{trial}", "none", SECONDS_OF_WORK="60") for name in ("first", "second")]
        for process in busy:
            kernels.go(process)
        time.sleep(0.8 + 0.2 * trial)
        for process in busy:
            kernels.kill(process)
        with make_engine() as engine:
            assert engine.verify() == []
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            assert engine.containers.run("lab/base", ["echo", "well"], network="none", remove=True).stdout == "well\n"
            assert engine.store.verify(deep=True) == []


def test_what_one_kernel_does_the_other_hears_at_once(kernels: Kernels, make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    heard: list[str] = []
    stop = threading.Event()
    events = engine.events.follow(stop.is_set)
    follower = threading.Thread(
        target=lambda: heard.extend(f"{event.action} {event.name}" for event in events if event.type == "container")
    )
    follower.start()
    process = kernels.start("detached", "from-afar")
    kernels.go(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    container = engine.containers.get("from-afar")
    assert container.exec(["echo", "hello"]).stdout == "hello\n"
    container.stop()
    container.remove()
    kernels.kill(process)
    stop.set()
    follower.join(20)
    entered = ("exec_create: echo hello", "exec_start: echo hello", "exec_die")
    assert heard == [f"{action} from-afar" for action in ("create", "start", *entered, "kill", "die", "stop", "destroy")]


def test_name_wanted_by_both_goes_to_one(make_engine: Callable[[], Engine]) -> None:
    engines = [make_engine(), make_engine()]
    engines[0].images.get("lab/base")
    outcomes: list[str] = []

    def want(engine: Engine) -> None:
        try:
            outcomes.append(engine.containers.create("lab/base", ["true"], name="wanted").name)
        except Exception as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=want, args=(engine,)) for engine in engines * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["Conflict"] * 7 + ["wanted"]
    wait_until(lambda: len(list(engines[0].paths.containers.iterdir())) == 1, "the directories of the others are gone")
    assert engines[0].verify() == []
