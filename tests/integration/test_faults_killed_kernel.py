"""A kernel that is killed at any instant leaves a store that the next one opens clean; detached containers go on, all else ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.containers.state import shim_alive
from labcontainers.errors import NotFound

pytestmark = pytest.mark.alike("ordinary users")

NETWORKS = [pytest.param("none"), pytest.param("bridge")]
STARTS_S = [0.0, 0.003, 0.006, 0.01, 0.015, 0.025, 0.04, 0.3]


class Kernels:
    """Starts processes with an Engine of their own on one store, and kills them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.context = place / "context"
        self.context.mkdir()
        (self.context / "file").write_text("in the context")
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, work: str, name: str, network: str = "none", **environment: str) -> subprocess.Popen[bytes]:
        """A process that waits for `go`."""
        arguments = [str(self.place / "s"), str(self.place / "r"), work, name, network]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.faults_child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "CONTEXT": str(self.context), **environment},
            cwd=Path(__file__).parents[2],
        )
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    @staticmethod
    def go(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()

    def run_and_kill(self, work: str, name: str, after_s: float | None, network: str) -> None:
        """Let it work for `after_s` seconds, or until it says that it has started what it shall."""
        process = self.start(work, name, network)
        self.go(process)
        if after_s is None:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
        else:
            time.sleep(after_s)
        self.kill(process)

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def kernels(place: Path) -> Iterator[Kernels]:
    made = Kernels(place)
    yield made
    for process in made.started:
        if process.poll() is None:
            made.kill(process)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def settled(container: Container) -> bool:
    """Whether no shim of it is just starting or ending it."""
    return container.state.running or not shim_alive(container._record.directory)


def ended(container: Container) -> bool:
    try:
        return settled(container) and not container.state.running
    except NotFound:
        return True


@pytest.mark.parametrize("network", ["bridge"])
def test_build_killed_at_any_instant_leaves_a_clean_store_and_the_next_build_works(
    kernels: Kernels, make_engine: Callable[[], Engine], network: str
) -> None:
    chance = random.Random(network)
    for trial in range(8):
        kernels.run_and_kill("build", f"killed-{trial}", chance.uniform(0, 0.5), network)
        with make_engine() as engine:
            assert engine.verify() == []
            assert engine.containers.list(all=True) == []
    engine = make_engine()
    built = engine.images.build(
        kernels.context, dockerfile_text="FROM lab/base\nRUN echo first > /first\nRUN cat /first\n", network=network
    )
    assert engine.containers.run(built.image, ["cat", "/first"], network="none", remove=True).stdout == "first\n"
    assert engine.store.verify(deep=True) == []
    engine.store.sweep()
    assert [path for path in engine.store.leftovers() if path.parent != engine.paths.trash] == []


@pytest.mark.parametrize(("work", "network"), [("foreground", "bridge"), ("foreground_rm", "bridge"), ("foreground_rm", "none")])
def test_foreground_container_ends_with_its_kernel_whenever_that_is_killed(
    kernels: Kernels, make_engine: Callable[[], Engine], work: str, network: str
) -> None:
    for trial, after_s in enumerate(STARTS_S):
        kernels.run_and_kill(work, f"box-{trial}", after_s, network)
        with make_engine() as engine:
            assert engine.verify() == []
            for container in engine.containers.list(all=True):
                wait_until(lambda container=container: ended(container), f"{container} ended")
                check_ended(container, removed=work == "foreground_rm")
            assert engine.containers.list(all=True) == []
            assert engine.verify() == []


def check_ended(container: Container, removed: bool) -> None:
    """Exit code 137, or never started; with `--rm` gone, unless nothing of it was started yet."""
    try:
        if container.status == "exited":
            assert container.state.exit_code == 137
            if removed:
                container.wait(60, condition="removed")
                return
        container.remove()
    except NotFound:
        assert removed


def test_foreground_container_with_rm_is_gone_after_its_kernel_was_killed(kernels: Kernels, make_engine: Callable[[], Engine]) -> None:
    process = kernels.start("foreground_rm", "box")
    kernels.go(process)
    engine = make_engine()
    wait_until(lambda: bool(engine.containers.list()), "it runs")
    kernels.kill(process)
    wait_until(lambda: engine.containers.list(all=True) == [], "it is gone")
    assert not list(engine.paths.containers.iterdir())


@pytest.mark.parametrize("network", NETWORKS)
def test_detached_container_is_adopted_or_was_never_started_whenever_its_kernel_is_killed(
    kernels: Kernels, make_engine: Callable[[], Engine], network: str
) -> None:
    adopted = 0
    for trial, after_s in enumerate([*STARTS_S, None]):
        kernels.run_and_kill("detached", f"box-{trial}", after_s, network)
        with make_engine() as engine:
            assert engine.verify() == []
            for container in engine.containers.list(all=True):
                # Its start may still be going on.
                wait_until(lambda container=container: settled(container), "it runs, or not")
                if container.state.running:
                    adopted += 1
                    check_adopted(container)
                container.remove(force=True)
    assert adopted > 0


def check_adopted(container: Container) -> None:
    """Logs go on, exec works, stop is obeyed, and the exit code that the container chose is recorded."""
    seen = len(container.logs().text)
    wait_until(lambda: len(container.logs().text) > seen, "the log goes on")
    lines = container.logs().text.splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert container.exec(["ls", "/count"]).stdout == "/count\n"
    assert container.sample().memory_bytes >= 0
    container.stop()
    assert (container.status, container.state.exit_code) == ("exited", 7)


def test_state_of_a_container_that_ended_while_no_kernel_lived_is_told_by_the_next(
    kernels: Kernels, make_engine: Callable[[], Engine]
) -> None:
    process = kernels.start("detached", "box")
    kernels.go(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    kernels.kill(process)
    with make_engine() as first:
        pid = first.containers.get("box").state.pid
    os.kill(pid, signal.SIGTERM)
    engine = make_engine()
    container = engine.containers.get("box")
    assert container.wait(20) == 7
    assert container.state.finished_at is not None
    assert [event.action for event in engine.events.read() if event.type == "container"] == ["create", "start", "die"]


def test_rm_of_a_detached_container_is_kept_though_its_kernel_was_killed(kernels: Kernels, make_engine: Callable[[], Engine]) -> None:
    with make_engine() as first:
        first.containers.run("lab/base", ["sleep", "600"], name="box", detach=True, remove=True, network="none")
    engine = make_engine()
    engine.containers.get("box").kill()
    wait_until(lambda: engine.containers.list(all=True) == [], "it is gone")
    assert not list(engine.paths.containers.iterdir())
    wait_until(lambda: [event.action for event in engine.events.read()][-2:] == ["die", "destroy"], "it is told")
