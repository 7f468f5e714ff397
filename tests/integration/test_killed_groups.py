"""Control groups in which all were killed at once by cgroup.kill: some kernels kill whoever is born there later, and here one moves in."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.kernel import births, cgroups, syscalls
from tests.waiting import until

pytestmark = [pytest.mark.needs("root", "cgroups"), pytest.mark.alike("ordinary users")]
BASE = "lab/base"


def group_of(container: Container) -> Path:
    """Its directory in version 2's hierarchy, where it was born."""
    lines = Path(f"/proc/{container.state.pid}/cgroup").read_text().splitlines()
    inside = next(path for number, _, path in (line.split(":", 2) for line in lines) if number == "0")
    return Path(f"{cgroups.detect().unified}{inside}")


@pytest.fixture
def killed() -> Iterator[int]:
    """A descriptor of an empty group that was told to kill all in it."""
    directory = f"{cgroups.detect().unified}/labcontainers-test-{os.getpid()}"
    os.mkdir(directory)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    Path(directory, "cgroup.kill").write_text("1")
    yield fd
    os.close(fd)
    for _ in range(100):
        try:
            os.rmdir(directory)
        except OSError:
            time.sleep(0.01)
        else:
            break


def test_the_next_life_begins_in_a_group_that_was_killed(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True, restart="always")
    group, first = group_of(container), container.state.pid
    (group / "cgroup.kill").write_text("1")
    until(lambda: container.state.pid not in (0, first) and container.state.running, "it lives again")
    assert group_of(container) == group
    assert container.exec(["echo", "in"]).stdout == "in\n"
    container.remove(force=True)


@pytest.mark.parametrize("spare", [False, True], ids=["made then", "made ahead"])
def test_a_start_whose_group_is_killed_before_it_begins_once_more(engine: Engine, spare: bool) -> None:
    """Somebody kills all in the group as soon as it is there, when nothing is in it yet."""
    engine.containers.run(BASE, ["true"], network="none", remove=True).check()
    if spare and cgroups.detect().renames:
        until(lambda: any(name.startswith(f"spare-{os.getpid()}-") for name in cgroups.detect().list()), "a group made ahead is there")
    folder, killed, over = Path(f"{cgroups.detect().unified}/labcontainers"), threading.Event(), threading.Event()
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def kill() -> None:
        while not over.is_set() and not killed.is_set():
            with contextlib.suppress(OSError):
                for path in folder.iterdir():
                    if path.is_dir() and path.name not in before:
                        (path / "cgroup.kill").write_text("1")
                        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done = engine.containers.run(BASE, ["sh", "-c", "cat; cat /proc/self/cgroup"], stdin=b"given\n", network="none", remove=True)
    finally:
        over.set()
        killer.join()
    assert killed.is_set()
    assert done.stdout.startswith("given\n")
    assert {line.rpartition(":")[2] for line in done.stdout.splitlines()[1:]} == {"/"}


def test_a_command_enters_a_group_that_was_killed(engine: Engine) -> None:
    """The group is killed while only processes that have just left it are spared, as a program of its own making may do to a part."""
    container = engine.containers.run(BASE, ["sleep", "100"], network="none", detach=True)
    group, pid = group_of(container), container.state.pid
    outside = group.parent / f"outside-{os.getpid()}"
    outside.mkdir()
    (outside / "cgroup.procs").write_text(str(pid))
    (group / "cgroup.kill").write_text("1")
    (group / "cgroup.procs").write_text(str(pid))
    outside.rmdir()
    done = container.exec(["sh", "-c", "cat /proc/self/cgroup"])
    assert done.exit_code == 0
    assert "0::/\n" in done.stdout or f"0::{group.as_posix().removeprefix(str(cgroups.detect().unified))}" in done.stdout
    container.remove(force=True)


def test_whoever_moves_into_a_killed_group_lives_and_is_in_it(killed: int) -> None:
    pid = os.fork()
    if pid == 0:
        births.move_in(killed)
        child = os.fork()
        if child == 0:
            os._exit(7)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    # what was asked is told truly, whichever kernel this is
    pid = syscalls.clone(0, cgroup_fd=killed)
    if pid == 0:
        os._exit(0)
    assert births.kills(killed) == os.WIFSIGNALED(os.waitpid(pid, 0)[1])
