"""--restart on the real kernel: kept by the shim alone, with the same network, log and groups, until somebody stops it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.errors import InvalidArgument, StartFailed
from tests import leaks
from tests.waiting import DEADLINE_S, until, until_over

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
FAILS = ["sh", "-c", "echo life; exit 3"]


def actions(engine: Engine, container: Container) -> list[str]:
    return [event.action for event in engine.events.read() if event.id == container.id and event.type == "container"]


def shim_of(container: Container) -> int:
    (pid,) = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(f"lab-shim {container.name}")]
    return pid


def test_on_failure_restarts_as_often_as_allowed_and_keeps_the_log_the_count_and_the_last_code(engine: Engine) -> None:
    container = engine.containers.run(BASE, FAILS, detach=True, network="none", restart="on-failure:2")
    assert until_over(engine, container) == ["create", "start", "die", "start", "die", "start", "die"]
    assert (container.state.exit_code, container.state.restart_count) == (3, 2)
    assert container.logs().text == "life\n" * 3
    document = container.inspect()
    assert (document["RestartCount"], document["State"]["Restarting"]) == (2, False)
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}


def test_each_pause_before_a_restart_is_at_least_twice_the_one_before(engine: Engine) -> None:
    container = engine.containers.run(BASE, FAILS, detach=True, network="none", restart="on-failure:4")
    until_over(engine, container)
    times = [event.time_ns / 1e9 for event in engine.events.read() if event.id == container.id and event.action in ("start", "die")]
    pauses = [start - die for die, start in zip(times[1::2], times[2::2], strict=False)]
    # a busy machine makes them longer, and nothing shorter
    assert len(pauses) == 4
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True)), pauses


def test_on_failure_does_not_restart_after_success(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["true"], detach=True, network="none", restart_policy={"Name": "on-failure"})
    until(lambda: container.status == "exited", "it has ended")
    assert container.state.restart_count == 0


def test_while_it_waits_it_is_restarting_and_stop_ends_that_at_once(engine: Engine) -> None:
    container = engine.containers.run(BASE, FAILS, detach=True, network="none", restart="always")
    until(lambda: container.state.restart_count >= 6 and container.status == "restarting", "a long wait")
    assert container.summary().startswith("Restarting (3) ")
    assert container in engine.containers.list()
    assert container in engine.containers.list(filters={"status": "restarting"})
    document = container.inspect()["State"]
    assert (document["Running"], document["Restarting"], document["Pid"], document["ExitCode"]) == (True, True, 0, 3)
    container.stop()
    assert (container.status, container.state.exit_code) == ("exited", 3)
    assert container.start().status in ("running", "restarting")
    container.stop(0)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_kill_and_stop_end_a_container_for_good_whatever_its_policy(engine: Engine, policy: str) -> None:
    for end in (Container.kill, lambda container: container.stop(0)):
        container = engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none", restart=policy)
        end(container)
        until(lambda container=container: container.status == "exited", "it has ended")
        assert (container.state.exit_code, container.state.restart_count) == (137, 0)


def test_a_crash_is_restarted_under_the_same_address_with_published_ports(engine: Engine) -> None:
    script = "ip -o -4 addr show eth0 | sed 's/.*inet //;s/ .*//'; ip route | head -1; exec sleep 600"
    container = engine.containers.run(BASE, ["sh", "-c", script], detach=True, restart="unless-stopped", ports={"80/tcp": None})
    until(lambda: container.logs().text.count("\n") == 2, "it has told its address")
    first, port = container.state.pid, container.ports
    os.kill(first, signal.SIGKILL)
    until(lambda: container.logs().text.count("\n") == 4, "it has told its address again")
    lines = container.logs().text.splitlines()
    assert lines[:2] == lines[2:]
    assert container.state.pid not in (0, first)
    assert container.ports == port
    assert container.exec(["echo", "here"]).stdout == "here\n"
    container.stop(0)


@pytest.mark.needs("cgroups")
def test_memory_kills_are_told_of_the_life_that_had_them(engine: Engine) -> None:
    script = "if [ -e /second ]; then exec sleep 600; fi; touch /second; exec tail /dev/zero"
    container = engine.containers.run(BASE, ["sh", "-c", script], detach=True, network="none", mem_limit="24m", restart="on-failure")
    until(lambda: container.state.restart_count == 1 and container.status == "running", "its second life")
    assert "oom" in actions(engine, container)
    container.kill()
    until(lambda: container.status == "exited", "it has ended")
    assert not container.state.oom_killed


def test_logs_are_followed_over_restarts_and_wait_tells_the_next_end(engine: Engine) -> None:
    container = engine.containers.run(
        BASE, ["sh", "-c", "echo life; sleep 0.3; exit 4"], detach=True, network="none", restart="on-failure:2"
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(line.text for line in container.logs(follow=True)))
    reader.start()
    assert container.wait(DEADLINE_S) == 4
    reader.join(DEADLINE_S)
    assert lines == ["life"] * 3


def test_a_foreground_run_returns_at_the_first_end_and_the_container_goes_on(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["sh", "-c", "echo life; exit 5"], network="none", restart="always", name="box")
    assert (result.exit_code, result.stdout) == (5, "life\n")
    container = engine.containers.get("box")
    until(lambda: container.state.restart_count >= 2, "it is restarted")
    container.stop()
    assert container.status == "exited"


def test_restarting_by_hand_begins_to_count_anew(engine: Engine) -> None:
    container = engine.containers.run(BASE, FAILS, detach=True, network="none", restart="always")
    until(lambda: container.state.restart_count >= 3, "it is restarted")
    container.restart(0)
    assert container.state.restart_count < 3
    container.remove(force=True)


def test_an_engine_that_is_gone_is_not_needed(make_engine: Callable[[], Engine]) -> None:
    with make_engine() as first:
        container = first.containers.run(BASE, ["sh", "-c", "sleep 0.2; exit 1"], detach=True, restart="always", name="box")
    engine = make_engine()
    container = engine.containers.get("box")
    count = container.state.restart_count
    until(lambda: container.state.restart_count > count, "it was restarted without its engine")
    container.stop()


def test_a_policy_changed_while_it_runs_holds_from_then_on(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "echo life; exec sleep 600"], detach=True)
    container.update(restart="on-failure:1")
    for number in range(1, 3):
        until(lambda number=number: container.logs().text == "life\n" * number, "it runs")
        pid = container.state.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: container.state.pid != pid, "it has ended")
    until(lambda: container.status == "exited", "it has ended for good")
    assert container.state.restart_count == 1
    assert container.logs().text == "life\n" * 2


def test_a_start_that_fails_at_a_restart_is_recorded_and_not_tried_again(engine: Engine) -> None:
    container = engine.containers.run(
        BASE, ["/bin/once"], detach=True, network="none", restart="always", entrypoint=["sh", "-c", "exec sleep 600"]
    )
    container.remove(force=True)
    prepared = engine.containers.create(BASE, ["/once"], network="none", restart="always")
    upper = prepared._record.directory / "upper"
    (upper / "once").write_text("#!/bin/sh\nrm /once\nexit 1\n")
    (upper / "once").chmod(0o755)
    prepared.start()
    until(lambda: prepared.status == "exited", "it has ended for good")
    assert prepared.state.exit_code == 127
    assert "/once: no such file or directory" in prepared.state.error
    with pytest.raises(StartFailed, match="no such file"):
        prepared.start()


BAD = [
    ({"restart": "sometimes"}, "unknown policy 'sometimes'"),
    ({"restart": "always:3"}, "cannot be used with 'always'"),
    ({"restart": "on-failure:x"}, "must be an integer: 'x'"),
    ({"restart": "on-failure:-1"}, "cannot be negative"),
    ({"restart_policy": {"Name": "on-failure", "Count": 3}}, "unknown key 'Count' of restart_policy"),
    ({"restart": 3}, "is a text or a dict: 3"),
    ({"restart": "always", "remove": True}, "cannot specify both --restart and --rm"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_bad_policies_are_refused_before_anything_is_made(engine: Engine, options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        engine.containers.create(BASE, ["true"], **options)
    assert engine.containers.list(all=True) == []


def test_no_with_rm_is_no_conflict(engine: Engine) -> None:
    assert engine.containers.run(BASE, ["true"], network="none", restart="no", remove=True).exit_code == 0
