"""The launcher or a shim that is killed: the engine goes on, the state is told rightly, and what was theirs is freed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.containers.state import shim_alive
from labcontainers.errors import Conflict, StartFailed
from tests import leaks

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
COUNT = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def processes(title: str) -> list[int]:
    """Our descendants whose title begins so."""
    return [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(title)]


def shim_of(container: Container) -> int:
    (pid,) = processes(f"lab-shim {container.name}")
    return pid


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_engine_goes_on_after_its_launcher_was_killed_and_containers_do_not_notice(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", COUNT], name="box", detach=True, network="none")
    for number in range(3):
        # with each launcher dies what it has forked in advance, which has its title
        killed = processes("lab-launcher")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda killed=killed: all(map(is_dead, killed)), "they are dead")
        assert engine.containers.run(BASE, ["echo", str(number)], network="none", remove=True).stdout == f"{number}\n"
        assert container.exec(["echo", "here"]).stdout == "here\n"
    container.stop()
    assert container.state.exit_code == 7


def test_only_the_launcher_killed_between_two_requests_is_replaced_without_an_error(engine: Engine) -> None:
    for _ in range(5):
        engine.containers.run(BASE, ["true"], network="none", remove=True)
        launcher = engine._launcher._process
        assert launcher is not None
        launcher.kill()
    assert engine.containers.run(BASE, ["echo", "well"], network="none", remove=True).stdout == "well\n"


def test_launcher_killed_while_containers_are_started_fails_at_most_the_starts_under_way(engine: Engine) -> None:
    problems: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                engine.containers.run(BASE, ["true"], network="none", remove=True)
            except Exception as error:
                problems.append(error)

    engine.images.get(BASE)
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    kills = 0
    for _ in range(6):
        time.sleep(0.07)
        for pid in processes("lab-launcher"):
            os.kill(pid, signal.SIGKILL)
            kills += 1
    stop.set()
    for thread in threads:
        thread.join(30)
    from labcontainers.errors import LabError

    assert all(isinstance(error, LabError) for error in problems), problems
    assert len(problems) <= 3 * kills
    assert engine.containers.run(BASE, ["echo", "well"], network="none", remove=True).stdout == "well\n"
    wait_until(lambda: engine.containers.list(all=True) == [], "nothing is left")
    assert engine.verify() == []


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_container_dies_with_its_shim_and_the_next_look_says_so(engine: Engine, network: str) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", f"sh -c '{COUNT.replace(chr(39), '')}' & sleep 600"], detach=True, network=network)
    pid, shim = container.state.pid, shim_of(container)
    groups = [path for path in leaks.cgroups([]) if container.id in path]
    os.kill(shim, signal.SIGKILL)
    wait_until(lambda: is_dead(pid), "the workload is dead")
    assert (container.status, container.state.exit_code, container.state.error) == ("exited", 137, "its shim died")
    wait_until(lambda: not any(Path(group).exists() for group in groups), "its control groups are gone")
    with pytest.raises(Conflict, match="not running"):
        container.exec(["true"])
    container.start()
    assert container.exec(["echo", "again"]).stdout == "again\n"
    container.kill()
    assert container.wait(20) == 137


def test_workload_that_became_another_user_dies_with_its_shim_too(engine: Engine) -> None:
    if engine.info()["IDs"] == "single":
        with pytest.raises(StartFailed, match="only one user id"):
            engine.containers.run(BASE, ["sleep", "600"], user="1000", detach=True, network="none")
        return
    container = engine.containers.run(BASE, ["sleep", "600"], user="1000", detach=True, network="none")
    pid = container.state.pid
    os.kill(shim_of(container), signal.SIGKILL)
    wait_until(lambda: is_dead(pid), "the workload is dead")
    assert container.status == "exited"


def test_waiting_for_a_container_whose_shim_is_killed_ends(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none")
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(container.wait()))
    thread.start()
    time.sleep(0.1)
    os.kill(shim_of(container), signal.SIGKILL)
    thread.join(20)
    assert codes == [137]


def test_foreground_run_whose_shim_is_killed_ends_with_137(engine: Engine) -> None:
    results: list[int] = []
    run = threading.Thread(
        target=lambda: results.append(engine.containers.run(BASE, ["sleep", "600"], name="box", network="none").exit_code)
    )
    run.start()
    wait_until(lambda: bool(engine.containers.list()), "it runs")
    os.kill(shim_of(engine.containers.get("box")), signal.SIGKILL)
    run.join(20)
    assert results == [137]
    assert engine.containers.get("box").status == "exited"


def test_rm_of_a_container_whose_shim_was_killed_is_kept_by_the_next_engine(make_engine: Callable[[], Engine]) -> None:
    with make_engine() as first:
        container = first.containers.run(BASE, ["sleep", "600"], detach=True, remove=True, network="none")
        pid = container.state.pid
        os.kill(shim_of(container), signal.SIGKILL)
    engine = make_engine()
    wait_until(lambda: is_dead(pid), "the workload is dead")
    assert engine.containers.list(all=True) == []
    assert not list(engine.paths.containers.iterdir())


def test_shim_killed_at_any_instant_of_a_start_leaves_nothing_running(engine: Engine) -> None:
    engine.images.get(BASE)
    for trial in range(12):
        stop = threading.Event()

        def kill(stop: threading.Event = stop, trial: int = trial) -> None:
            while not stop.is_set():
                for pid in processes(f"lab-shim box-{trial}"):
                    time.sleep(0.0015 * trial)
                    os.kill(pid, signal.SIGKILL)
                    return

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            engine.containers.run(BASE, ["sleep", "600"], name=f"box-{trial}", detach=True, network="none")
        except StartFailed:
            pass
        finally:
            killer.join(20)
            stop.set()
        container = engine.containers.get(f"box-{trial}")
        wait_until(lambda container=container: not shim_alive(container._record.directory), "the shim is dead")
        assert container.status in ("created", "exited")
        container.remove()
    assert engine.verify() == []
