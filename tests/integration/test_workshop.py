"""The workshop that workers are forked from: one for an engine, replaced when it is killed, gone with its engine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import Failed, KernelFailed, Unavailable
from labcontainers.runtime.process import LauncherProcess
from tests import leaks
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

USAGE = "labcontainers.store.trees:usage"


@pytest.fixture
def launcher(place: Path) -> Iterator[LauncherProcess]:
    made = LauncherProcess(place)
    yield made
    made.close()


def workshops() -> list[int]:
    return [pid for pid in leaks.descendants() if leaks.describe(pid).startswith("lab-workshop")]


def test_all_work_is_done_from_one_workshop_that_ends_with_the_launcher(launcher: LauncherProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    for _ in range(3):
        assert launcher.call(USAGE, path=str(tmp_path))["inodes"] == 1
    assert len(workshops()) == 1
    launcher.close()
    assert workshops() == []
    with pytest.raises(Unavailable, match="the engine is closed"):
        launcher.call(USAGE, path=str(tmp_path))


def test_a_killed_workshop_is_replaced(launcher: LauncherProcess, tmp_path: Path) -> None:
    for _ in range(3):
        assert launcher.call(USAGE, path=str(tmp_path))["inodes"] == 0
        (pid,) = workshops()
        os.kill(pid, signal.SIGKILL)
        while workshops():
            time.sleep(0.01)
    assert launcher.call(USAGE, path=str(tmp_path))["inodes"] == 0


def test_many_threads_get_each_their_own_answer(launcher: LauncherProcess, tmp_path: Path) -> None:
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        answers[number] = launcher.call(USAGE, path=str(tmp_path / str(number)))["inodes"]

    for number in range(12):
        for name in range(number):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            (tmp_path / str(number) / str(name)).touch()
    (tmp_path / "0").mkdir()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: number for number in range(12)}
    assert len(workshops()) == 1


def test_what_a_worker_raises_is_raised_here_and_harms_no_other(launcher: LauncherProcess, tmp_path: Path) -> None:
    with pytest.raises(KernelFailed, match="no such file"):
        launcher.call(USAGE, path=str(tmp_path / "missing"))
    with pytest.raises(Failed, match="not a function of this package"):
        launcher.call("os:getpid")
    with pytest.raises(Failed, match="ModuleNotFoundError"):
        launcher.call("labcontainers.nothing:at_all")
    assert launcher.call(USAGE, path=str(tmp_path))["inodes"] == 0


@pytest.mark.parametrize("begun", [True, False])
def test_bound_work_is_killed_when_it_is_stopped(launcher: LauncherProcess, tmp_path: Path, begun: bool) -> None:
    """The worker opens a pipe into which nobody writes."""
    os.mkfifo(tmp_path / "pipe")
    errand = launcher.begin_bound("labcontainers.build.copying:copy", request=str(tmp_path / "pipe"))
    if begun:
        until(lambda: any(leaks.describe(pid).startswith("lab-worker") for pid in leaks.descendants()), "the worker is at work")
    errand.stop()
    with pytest.raises(Failed, match="a worker ended without an answer"):
        errand.result()
    until(lambda: not any(leaks.describe(pid).startswith("lab-worker") for pid in leaks.descendants()), "the worker is gone")
    errand.stop()


def test_bound_work_that_is_not_stopped_answers(launcher: LauncherProcess, tmp_path: Path) -> None:
    assert launcher.begin_bound(USAGE, path=str(tmp_path)).result()["inodes"] == 0
