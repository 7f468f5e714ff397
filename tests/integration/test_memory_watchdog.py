"""`-m` where no control group can be made: who is counted, how the end is told, and that the limit can be changed."""

from __future__ import annotations

from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import StepFailed
from labcontainers.kernel import levels
from labcontainers.kernel.cgroups import Hierarchy
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

HOLD = "held = bytearray({size} << 20); print('held', flush=True); import time; time.sleep(100)"


@pytest.fixture(autouse=True)
def without_control_groups(engine: Engine) -> None:
    """As on a host where only root may make them, also where the tests' user may: the engine looks once, and keeps what it found."""
    engine.__dict__["_hierarchy"] = Hierarchy("none", reason="an ordinary user may make none")


def run(engine: Engine, *command: str, **options: Any) -> Any:
    return engine.containers.run("lab/python", list(command), **{"network": "none", "detach": True, "mem_limit": "80m", **options})


def is_told(container: Any) -> None:
    state = container.state
    assert (state.exit_code, state.oom_killed) == (137, True)
    assert "80 MiB are allowed" in state.error
    assert container.inspect()["State"]["OOMKilled"]
    assert "memory watchdog" in repr(container.autopsy())


def test_a_program_that_takes_more_is_ended_and_told_of(engine: Engine) -> None:
    container = run(engine, "python3", "-c", HOLD.format(size=200))
    assert any("a watchdog looks ten times a second" in warning for warning in container.warnings)
    assert levels.UNLIMITED in container.level
    container.wait(60)
    is_told(container)


def test_children_and_execs_count_together(engine: Engine) -> None:
    forks = "import os\nfor _ in range(3):\n    os.fork() or (" + "bytearray(40 << 20), __import__('time').sleep(100))\nos.wait()"
    container = run(engine, "python3", "-c", forks)
    container.wait(60)
    is_told(container)
    container = run(engine, "sleep", "100")
    container.exec(["python3", "-c", HOLD.format(size=200)])
    container.wait(60)
    is_told(container)


@pytest.mark.parametrize("folder", ["/dev/shm", "/in memory"])
def test_files_of_a_tmpfs_count(engine: Engine, folder: str) -> None:
    fill = f"head -c 60000000 /dev/zero > '{folder}/a'; echo filled; sleep 1; head -c 60000000 /dev/zero > '{folder}/b'; sleep 100"
    container = run(engine, "sh", "-c", fill, tmpfs=["/in memory:size=1g"], shm_size="1g")
    container.wait(60)
    is_told(container)
    assert "filled" in container.logs().text


def test_shared_memory_counts_once(engine: Engine) -> None:
    """As that of a database, whose processes all have it; and a file in /dev/shm that is mapped is no second one."""
    share = "import mmap, os, time\nfile = open('/dev/shm/shared', 'w+b')\nfile.truncate(30 << 20)\n"
    share += "for shared in (mmap.mmap(-1, 20 << 20), mmap.mmap(file.fileno(), 0)):\n    shared.write(b'x' * len(shared))\n"
    share += "    for _ in range(4):\n        os.fork() or (sum(shared[::4096]), print('shares', flush=True), time.sleep(100))\n"
    container = run(engine, "python3", "-c", share + "time.sleep(100)", mem_limit="120m")
    until(lambda: container.logs().text.count("shares") >= 8, "all have it")
    # longer than it believes what it found
    assert container.exec(["sleep", "2"]).exit_code == 0
    assert container.state.running


def test_a_step_of_a_build_is_watched(engine: Engine) -> None:
    steps = {
        "processes": 'RUN python3 -c "held = bytearray(200 << 20); import time; time.sleep(60)"',
        "files": "RUN head -c 200000000 /dev/zero > /dev/shm/full; sleep 60",
    }
    for what, step in steps.items():
        with pytest.raises(StepFailed) as failed:
            engine.images.build(dockerfile_text=f"FROM lab/python\n{step}\n", mem_limit="80m", shm_size="1g", no_cache=True, network="none")
        told = failed.value.output
        assert "it used up the memory of the build" in told, what
        assert "a watchdog looks ten times a second instead" in told, what


def test_one_that_stays_below_lives_until_its_limit_is_lowered(engine: Engine) -> None:
    container = run(engine, "python3", "-c", HOLD.format(size=20))
    until(lambda: "held" in container.logs().text, "it holds its memory")
    warnings = container.update(mem_limit="70m", memswap_limit="140m")["Warnings"]
    assert any("a watchdog looks" in warning for warning in warnings)
    assert container.state.running
    container.update(mem_limit="12m", memswap_limit="24m")
    container.wait(60)
    assert "12 MiB are allowed" in container.state.error


def test_each_life_is_watched(engine: Engine) -> None:
    container = run(engine, "python3", "-c", HOLD.format(size=200), restart_policy="on-failure:2")
    until(lambda: not container.state.running and container.state.restart_count == 2, "it has used its lives up")
    is_told(container)


def test_without_a_limit_nobody_looks(engine: Engine) -> None:
    done = engine.containers.run("lab/python", ["python3", "-c", "bytearray(200 << 20)"], network="none", remove=True)
    assert (done.exit_code, done.warnings) == (0, ())
