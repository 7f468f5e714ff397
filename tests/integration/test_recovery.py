"""What survives SIGKILL of the kernel, the launcher and any shim, and a reboot: states, logs, codes, policies and checks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.containers.state import read_state
from tests import leaks
from tests.integration.test_faults_killed_parts import is_dead, processes, shim_of
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
COUNT = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"
CHECK: dict[str, Any] = {"test": "true", "interval": 10**8}


def kill_shim(container: Container) -> None:
    """Kill it, and wait until the workload is dead, too."""
    pid, shim = container.state.pid, shim_of(container)
    os.kill(shim, signal.SIGKILL)
    until(lambda: is_dead(shim) and is_dead(pid), "shim and workload are dead")


def another_boot(container: Container) -> None:
    """Make its state one of an earlier boot of the machine, if it has any."""
    path = container._record.directory / "state.json"
    if path.exists():
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "00000000-0000-0000-0000-000000000000"}))


def runs(container: Container) -> bool:
    return container.status == "running" and container.state.pid > 0


CASES = [("no", False), ("always", True), ("unless-stopped", True), ("on-failure", True), ("on-failure:3", True)]


@pytest.mark.parametrize(("policy", "comes_back"), CASES)
def test_a_container_whose_shim_was_killed_is_told_as_such_and_comes_back_if_its_policy_says_so(
    engine: Engine, policy: str, comes_back: bool
) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", COUNT], detach=True, restart=policy)
    until(lambda: container.logs().text.count("\n") > 3, "it writes")
    address = container.inspect()["NetworkSettings"]["IPAddress"]
    kill_shim(container)
    before = container.logs().text
    assert before.splitlines() == [f"line {number}" for number in range(1, before.count("\n") + 1)]
    if comes_back:
        until(lambda: runs(container), "it was started again")
        until(lambda: len(container.logs().text) > len(before), "it writes again")
        assert container.logs().text.startswith(before)
        assert container.exec(["true"]).ok
    else:
        state = container.state
        assert (state.status, state.exit_code, state.error, state.pid) == ("exited", 137, "its shim died", 0)
        assert address
        until(lambda: engine.networks.find_endpoint(container.id) is None or not runs(container), "it has no place in the network")

    def codes() -> list[str]:
        return [event.attributes["exitCode"] for event in engine.events.read() if event.id == container.id and event.action == "die"]

    until(lambda: bool(codes()), "its end is told")
    assert codes() == ["137"]


def test_the_shims_death_while_waiting_between_two_lives_is_survived(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "exit 6"], detach=True, network="none", restart="always")
    until(lambda: container.state.restart_count >= 6 and container.status == "restarting", "a long wait")
    os.kill(shim_of(container), signal.SIGKILL)
    until(lambda: container.state.restart_count in (1, 2, 3), "another shim counts anew")
    assert container.state.exit_code in (0, 6)
    container.stop()
    assert container.status == "exited"


def test_health_checks_end_with_the_shim_and_begin_with_the_next(engine: Engine) -> None:
    plain = engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none", healthcheck=CHECK)
    kept = engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none", healthcheck=CHECK, restart="always")
    for container in (plain, kept):
        container.wait_healthy(DEADLINE_S)
        kill_shim(container)
    assert (plain.status, plain.health) == ("exited", "unhealthy")
    until(lambda: runs(kept), "it was started again")
    kept.wait_healthy(DEADLINE_S)


@pytest.mark.needs("cgroups")
def test_a_paused_container_whose_shim_was_killed_leaves_nothing_frozen(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none")
    container.pause()
    pid, shim = container.state.pid, shim_of(container)
    os.kill(shim, signal.SIGKILL)
    until(lambda: is_dead(shim), "the shim is dead")
    assert (container.status, container.state.exit_code) == ("exited", 137)
    container.remove()
    until(lambda: is_dead(pid), "the workload is dead")
    assert not [path for path in leaks.cgroups([]) if container.id in path]


def test_many_engines_that_look_at_once_start_it_again_once(make_engine: Callable[[], Engine]) -> None:
    engines = [make_engine() for _ in range(3)]
    container = engines[0].containers.run(BASE, ["sh", "-c", "echo life; exec sleep 600"], detach=True, network="none", restart="always")
    until(lambda: container.logs().text == "life\n", "it has written")
    kill_shim(container)
    threads = [threading.Thread(target=lambda engine=engine: engine.containers.list(all=True)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: container.logs().text == "life\n" * 2, "its second life")
    time.sleep(0.5)
    actions = [event.action for event in engines[0].events.read() if event.id == container.id]
    assert actions == ["create", "start", "die", "start"]
    assert container.logs().text == "life\n" * 2


def test_the_next_engine_after_a_killed_kernel_finds_policies_and_checks_at_work(engine: Engine, place: Path) -> None:
    engine.images.get(BASE)
    script = (
        "import sys\nfrom labcontainers import Engine\ne = Engine(root=sys.argv[1], run_root=sys.argv[2])\n"
        "e.containers.run('lab/base', ['sh', '-c', 'sleep 1; exit 2'], detach=True, name='box', restart='always',"
        " healthcheck={'test': 'true', 'interval': 10**8})\nprint('ready', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(place / "s"), str(place / "r")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        # with the kernel its launcher
        for pid in [
            child.pid,
            *(pid for pid in processes("lab-launcher") if f"PPid:\t{child.pid}\n" in Path(f"/proc/{pid}/status").read_text()),
        ]:
            os.kill(pid, signal.SIGKILL)
    container = engine.containers.get("box")
    count = container.state.restart_count
    until(lambda: container.state.restart_count > count, "it is restarted")
    until(lambda: container.health == "healthy", "it is healthy")
    container.stop(0)


AFTER_BOOT = [
    # (policy, ended before the machine did, comes back)
    ("no", False, False),
    ("no", True, False),
    ("always", False, True),
    ("always", True, True),
    ("unless-stopped", False, True),
    ("unless-stopped", True, False),
    ("on-failure", False, True),
]


def test_after_a_reboot_everything_is_told_and_what_should_run_runs_again(make_engine: Callable[[], Engine], place: Path) -> None:
    groups_before = set(leaks.cgroups([]))
    with make_engine() as first:
        names = [f"box-{number}" for number in range(len(AFTER_BOOT))]
        for name, (policy, ended, _) in zip(names, AFTER_BOOT, strict=True):
            container = first.containers.run(BASE, ["sleep", "600"], detach=True, name=name, restart=policy)
            if ended:
                container.stop(0)
        alive_then = sum(not ended for _, ended, _ in AFTER_BOOT)
        until(lambda: len(processes("lab-shim")) == alive_then, "those that were stopped have been tidied up")
        first.containers.create(BASE, ["sleep", "600"], name="never", restart="always")
        reboot(first, place)
    engine = make_engine()
    engine.containers.list(all=True)
    for name, (policy, ended, comes_back) in zip(names, AFTER_BOOT, strict=True):
        container = engine.containers.get(name)
        if comes_back:
            until(lambda container=container: runs(container), f"{policy} runs again")
            assert container.exec(["true"]).ok
        else:
            expected = 137 if ended else 255
            assert (container.status, container.state.exit_code) == ("exited", expected)
            assert container.state.error == ("" if ended else "the machine was restarted while it ran")
            assert engine.networks.find_endpoint(container.id) is None
    assert engine.containers.get("never").status == "created"
    alive = {container.id for container in engine.containers.list()}
    assert len(alive) == sum(comes_back for _, _, comes_back in AFTER_BOOT)
    names = {Path(path).name for path in set(leaks.cgroups([])) - groups_before}
    assert {name for name in names if len(name) == 64} <= alive
    assert engine.verify() == []


def reboot(engine: Engine, place: Path) -> None:
    """What a boot does, without one: all processes are killed, /run is empty, and the machine has another boot id."""
    everything = engine.containers.list(all=True)
    engine.close()
    for pid in [*processes("lab-shim"), *processes("lab-forward")]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not processes("lab-") and not processes("sleep 600"), "all is dead")
    for container in everything:
        another_boot(container)
    shutil.rmtree(place / "r")


def test_after_a_reboot_one_that_was_to_be_removed_is_gone_and_one_between_two_lives_goes_on(
    make_engine: Callable[[], Engine], place: Path
) -> None:
    with make_engine() as first:
        first.containers.run(BASE, ["sleep", "600"], detach=True, network="none", name="passing", remove=True, volumes=["/data"])
        waiting = first.containers.run(
            BASE, ["sh", "-c", "echo life; exit 3"], detach=True, network="none", name="waiting", restart="always"
        )
        until(lambda: waiting.state.restart_count >= 6 and waiting.status == "restarting", "a long wait")
        checked = first.containers.run(BASE, ["sleep", "600"], detach=True, network="none", name="checked", healthcheck=CHECK)
        kept = first.containers.run(
            BASE, ["sleep", "600"], detach=True, network="none", name="kept", healthcheck=CHECK, restart="unless-stopped"
        )
        for container in (checked, kept):
            container.wait_healthy(DEADLINE_S)
        reboot(first, place)
    engine = make_engine()
    until(lambda: "passing" not in [container.name for container in engine.containers.list(all=True)], "it is removed")
    assert engine.volumes.list() == []
    lives = engine.containers.get("waiting")
    before = lives.logs().text.count("life")
    until(lambda: lives.logs().text.count("life") > before, "it lives again")
    lives.stop(0)
    told = engine.containers.get("checked")
    assert (told.status, told.state.exit_code, told.health) == ("exited", 255, "unhealthy")
    until(lambda: engine.containers.get("kept").health == "healthy", "it runs again, and is checked")
    assert engine.verify() == []


@pytest.mark.needs("cgroups")
def test_after_a_reboot_nothing_is_paused(make_engine: Callable[[], Engine], place: Path) -> None:
    with make_engine() as first:
        for name, policy in (("ended", "no"), ("again", "always")):
            first.containers.run(BASE, ["sleep", "600"], detach=True, network="none", name=name, restart=policy).pause()
        reboot(first, place)
    engine = make_engine()
    ended, again = engine.containers.get("ended"), engine.containers.get("again")
    assert (ended.status, ended.state.exit_code) == ("exited", 255)
    until(lambda: runs(again), "it runs again")
    assert again.exec(["true"]).ok


def test_one_that_cannot_be_started_again_says_why_and_is_not_tried_over_and_over(make_engine: Callable[[], Engine], place: Path) -> None:
    folder = place / "folder"
    folder.mkdir()
    with make_engine() as first:
        container = first.containers.run(
            BASE, ["sleep", "600"], detach=True, network="none", name="box", restart="always", volumes=[f"{folder}:/folder"]
        )
        kill_shim(container)
    folder.rmdir()
    engine = make_engine()
    container = engine.containers.get("box")
    until(lambda: container.status != "running" and "folder" in container.state.error, "it says why")
    time.sleep(0.3)
    starts = [event for event in engine.events.read() if event.id == container.id and event.action == "start"]
    assert len(starts) == 1


def test_a_state_is_read_for_any_boot(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "exit 3"], detach=True, network="none")
    assert container.wait(DEADLINE_S) == 3
    until(lambda: container.status == "exited", "it has ended")
    directory = container._record.directory
    assert not read_state(directory, container.name).unattended
    assert read_state(directory, container.name, boot="another").unattended
    assert read_state(directory, container.name, boot="another").exit_code == 3
