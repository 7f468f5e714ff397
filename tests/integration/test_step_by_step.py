"""Containers that are made step by step on the real kernel: each stage is looked at, and what is not finished leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.planning.stages import NAMES
from labcontainers.containers.stepping import Stepper
from labcontainers.errors import Conflict, InvalidArgument, NotFound, StartFailed, Unsupported
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]


def begin(engine: Engine, *command: str, **options: object) -> Stepper:
    options = {"name": "steps", "network": "none", **options}
    return engine.containers.run("lab/base", list(command or ("sleep", "1000")), step=True, **options)


def nothing_is_left(engine: Engine, pid: int) -> bool:
    folders = os.listdir(engine.paths.root / "containers")
    return not os.path.exists(f"/proc/{pid}") and not engine.containers.list(all=True) and not folders


def test_each_stage_is_there_when_the_next_one_comes(engine: Engine) -> None:
    steps = begin(engine, hostname="made-slowly")
    seen: dict[str, object] = {}
    stages = steps.stages
    while steps.stage:
        stage = steps.stage
        look = steps.look()
        seen.setdefault(stage, look)
        assert look.facts.pid == steps.pid
        assert os.path.exists(f"/proc/{steps.pid}")
        assert steps.container.status == "created"
        steps.next()
    assert stages[-1] == "program"
    assert set(stages) <= set(NAMES)
    host = os.stat("/proc/self/ns/mnt").st_ino
    assert seen["layers"].facts.namespaces["mnt"] != host
    roots = {stage: next(mount.fstype for mount in reversed(look.facts.mounts) if mount.target == "/") for stage, look in seen.items()}
    assert roots["layers"] != "overlay"
    assert roots["program"] == "overlay"
    targets = {stage: {mount.target for mount in look.facts.mounts} for stage, look in seen.items()}
    assert not any(target.endswith("/root/dev/null") for target in targets["devices"])
    # root makes the devices, others bind the machine's
    assert ("/dev/null" in targets["program"]) == (os.geteuid() != 0)
    assert "/proc/sys" in targets["program"]
    assert seen["network"].facts.addresses == ()
    assert "127.0.0.1" in seen["layers"].facts.addresses
    assert seen["layers"].facts.seccomp == "off"
    assert seen["program"].facts.seccomp == "filter"
    assert len(seen["program"].facts.effective) < len(seen["layers"].facts.effective)
    assert steps.status == "running"
    assert steps.container.exec(["sh", "-c", "test -c /dev/null && hostname"]).stdout.strip() == "made-slowly"


def test_a_bridge_is_furnished_between_the_stages(engine: Engine) -> None:
    steps = begin(engine, network="bridge")
    steps.run_to("devices")
    container = steps.finish()
    addresses = container.exec(["ip", "-4", "-o", "addr"]).stdout
    assert "eth0" in addresses


def test_it_tells_what_is_done_and_what_is_planned(engine: Engine) -> None:
    steps = begin(engine)
    assert steps.run_to("devices") == "devices"
    results = {operation.name: operation.result for operation in steps.explain() if operation.by == "init"}
    assert (results["overlay"], results["device"], results["exec"]) == ("ok", "planned", "planned")
    assert "waits before the stage devices" in repr(steps)
    container = steps.finish()
    told = container.explain()
    assert told.made
    assert "pause" not in {operation.name for operation in told}
    assert "pause" not in told.shell
    assert {operation.result for operation in told} == {"ok"}
    assert (repr(steps), steps.stages, steps.stage) == ("<Stepper steps: running>", [], "")


def test_a_stage_that_does_not_come_is_told(engine: Engine) -> None:
    with begin(engine) as steps:
        steps.run_to("mounts")
        with pytest.raises(InvalidArgument, match="no stage 'cgroup' is to come: it has been"):
            steps.run_to("cgroup")
        with pytest.raises(InvalidArgument, match="it is one of namespaces"):
            steps.run_to("kitchen")


def test_an_abort_leaves_nothing_at_any_stage(engine: Engine) -> None:
    with begin(engine) as steps:
        stages = steps.stages
    for number in range(len(stages)):
        steps = begin(engine, volumes=["/scratch"])
        for _ in range(number):
            steps.next()
        pid = steps.pid
        steps.abort()
        assert nothing_is_left(engine, pid)
        assert engine.volumes.list() == []
        assert steps.status == "aborted"
        steps.abort()
        with pytest.raises(Conflict, match="was aborted"):
            steps.next()
        with pytest.raises(Conflict):
            steps.look()


def test_one_that_is_dropped_is_removed(engine: Engine) -> None:
    steps = begin(engine)
    pid = steps.pid
    del steps
    gc.collect()
    until(lambda: nothing_is_left(engine, pid), "it was removed")


def test_the_end_of_a_block_and_of_the_engine_abort(make_engine: Callable[[], Engine], engine: Engine) -> None:
    with begin(engine) as steps:
        pid = steps.pid
    assert nothing_is_left(engine, pid)
    with begin(engine) as steps:
        container = steps.finish()
    assert container.status == "running"
    container.remove(force=True)
    other = make_engine()
    steps = begin(other)
    pid = steps.pid
    other.close()
    assert steps.status == "aborted"
    assert nothing_is_left(engine, pid)


def test_removing_it_by_force_aborts(engine: Engine) -> None:
    steps = begin(engine)
    with pytest.raises(Conflict, match="is being made step by step"):
        engine.containers.get("steps").remove()
    pid = steps.pid
    engine.containers.get("steps").remove(force=True)
    assert nothing_is_left(engine, pid)


def test_another_process_is_told_instead_of_waiting(make_engine: Callable[[], Engine], engine: Engine) -> None:
    other = make_engine()
    with begin(engine) as steps:
        for force in (False, True):
            with pytest.raises(Conflict, match="step by step by another process"):
                other.containers.get("steps").remove(force=force)
        assert other.containers.prune().ids == ()
        container = steps.finish()
    other.containers.get("steps").remove(force=True)
    with pytest.raises(NotFound):
        assert container.state


def test_an_interrupt_while_it_goes_on_aborts(engine: Engine) -> None:
    steps = begin(engine)
    pid = steps.pid
    # held up, so that the interrupt comes while it goes on
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        steps.finish()
    timer.join()
    assert nothing_is_left(engine, pid)


def test_what_fails_is_told_and_kept_as_by_run(engine: Engine) -> None:
    steps = begin(engine, "no-such-program")
    with pytest.raises(StartFailed, match="executable file not found"):
        steps.finish()
    assert steps.status == "failed"
    container = engine.containers.get("steps")
    assert container.explain()[-1].failed
    assert container.explain()[-1].name == "exec"
    container.remove()
    steps = begin(engine, "no-such-program", remove=True)
    with pytest.raises(StartFailed):
        steps.finish()
    assert engine.containers.list(all=True) == []


def test_its_process_may_be_killed_from_outside(engine: Engine) -> None:
    steps = begin(engine)
    os.kill(steps.pid, signal.SIGKILL)
    with pytest.raises(StartFailed):
        steps.finish()
    steps.abort()
    # the shim has seen the end of the process first, or that of the steps
    with contextlib.suppress(NotFound):
        engine.containers.get("steps").remove()


def test_a_container_that_was_there_is_started_step_by_step_and_stays(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sh", "-c", "echo once more >> /file; cat /file"], network="none")
    container.start()
    assert container.wait() == 0
    steps = container.start(step=True)
    steps.run_to("devices")
    steps.abort()
    assert container.status == "created"
    assert container.start(step=True).finish().wait() == 0
    assert container.logs().text.count("once more") == 3  # one line of the first life, two of the second
    with pytest.raises(Conflict):
        engine.containers.run("lab/base", ["sleep", "1000"], detach=True, network="none", name="on").start(step=True)


def test_a_policy_starts_it_again_without_steps(engine: Engine) -> None:
    steps = begin(engine, "sh", "-c", "echo life; exit 3", restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    container = steps.finish()
    until(lambda: container.status == "exited", "its lives are over")
    assert container.logs().text.count("life") == 3


def test_the_command_gives_a_stepper_and_says_where_it_cannot(engine: Engine) -> None:
    def say(*words: str, **more: object) -> object:
        return execute(lambda: engine, understand(words), **more)

    steps = say("run", "--step", "--rm", "--network", "none", "lab/base", "true")
    assert isinstance(steps, Stepper)
    steps.finish()
    say("create", "--name", "still", "--network", "none", "lab/base", "sleep", "1000")
    assert say("start", "--step", "still").finish().status == "running"
    with pytest.raises(Unsupported, match="ends before the next step"):
        say("run", "--step", "lab/base", live=True)
    with pytest.raises(InvalidArgument, match="with no input"):
        say("run", "--step", "-i", "lab/base")
    with pytest.raises(InvalidArgument, match="no input, no output"):
        begin(engine, stdin="text")


def test_nothing_is_left_when_the_process_that_steps_ends_by_itself(engine: Engine, place: Path) -> None:
    program = KERNEL.replace("sys.stdin.read()", "")
    answer = subprocess.run(
        [sys.executable, "-c", program, str(place), "none"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )
    assert answer.stderr == ""
    until(lambda: nothing_is_left(engine, int(answer.stdout)), "the half-made container was removed")


KERNEL = """
import sys
from labcontainers import Engine
engine = Engine(root=sys.argv[1] + "/s", run_root=sys.argv[1] + "/r")
steps = engine.containers.run("lab/base", ["sleep", "1000"], step=True, name="steps", network=sys.argv[2])
steps.run_to("devices")
print(steps.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_nothing_is_left_when_the_process_that_steps_is_killed(engine: Engine, place: Path, network: str) -> None:
    engine.images.get("lab/base")
    with subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(place), network],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert os.path.exists(f"/proc/{pid}")
        program.kill()
    until(lambda: nothing_is_left(engine, pid), "the half-made container was removed")
