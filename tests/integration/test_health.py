"""Health checks on the real kernel: run by the shim, judged and told as Docker does it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.errors import Conflict, Failed, InvalidArgument
from tests import leaks
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
SECOND = 10**9
FAST: dict[str, Any] = {"interval": SECOND // 20, "retries": 2}


def sleeper(engine: Engine, **options: Any) -> Container:
    return engine.containers.run(BASE, ["sleep", "600"], detach=True, network="none", **options)


def actions(engine: Engine, container: Container) -> list[str]:
    return [event.action for event in engine.events.read() if event.id == container.id and event.type == "container"]


def told(engine: Engine, container: Container) -> list[str]:
    return [action for action in actions(engine, container) if action.startswith("health_status")]


def results(container: Container) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = container.inspect()["State"]["Health"]["Log"]
    return log


def test_a_container_becomes_healthy_then_unhealthy_then_healthy_again_and_tells_each_once(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": "echo looked; test ! -e /sick", **FAST})
    assert container.health in ("starting", "healthy")
    container.wait_healthy(DEADLINE_S)
    assert container.summary().endswith("(healthy)")
    container.exec(["touch", "/sick"])
    until(lambda: container.health == "unhealthy", "it is unhealthy")
    assert container.state.failing_streak >= 2
    assert container.summary().endswith("(unhealthy)")
    with pytest.raises(Failed, match="unhealthy: looked"):
        container.wait_healthy(DEADLINE_S)
    container.exec(["rm", "/sick"])
    until(lambda: container.health == "healthy", "it is healthy again")
    assert container.state.failing_streak == 0
    # what is told is written after what is so
    until(lambda: len(told(engine, container)) > 2, "it is told")
    assert told(engine, container) == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]


def test_each_check_leaves_its_times_code_and_output_and_the_last_five_are_kept(engine: Engine) -> None:
    container = sleeper(
        engine,
        healthcheck={"test": ["CMD", "sh", "-c", "n=$(( $(cat /n 2>/dev/null || echo 0) + 1 )); echo $n > /n; echo $n; exit 7"], **FAST},
    )
    until(lambda: len(results(container)) == 5 and int(results(container)[0]["Output"]) > 1, "six checks")
    log = results(container)
    numbers = [int(result["Output"]) for result in log]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert {result["ExitCode"] for result in log} == {7}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", result[key]) for result in log for key in ("Start", "End"))
    assert all(result["Start"] <= result["End"] for result in log)


def test_output_is_cut_at_4096_bytes_and_does_not_block_the_check(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": "head -c 300000 /dev/zero | tr '\\0' x; exit 1", **FAST})
    until(lambda: bool(results(container)), "a check")
    assert results(container)[0]["Output"] == "x" * 4096 + "..."


def test_a_check_that_takes_too_long_is_killed_and_counts_as_failure(engine: Engine) -> None:
    check = {"test": "echo begun; exec sleep 500", "interval": SECOND // 20, "timeout": SECOND, "retries": 1}
    container = sleeper(engine, healthcheck=check)
    until(lambda: container.health == "unhealthy", "it is unhealthy")
    assert (results(container)[0]["ExitCode"], results(container)[0]["Output"]) == (-1, "Health check exceeded timeout (1s): begun\n")
    container.remove(force=True)
    until(lambda: not any("sleep 500" in leaks.describe(pid) for pid in leaks.descendants()), "its process is gone")


def test_a_program_that_is_not_there_is_a_failed_check_that_says_so(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": ["CMD", "/no/such"], **FAST})
    until(lambda: container.health == "unhealthy", "it is unhealthy")
    assert results(container)[0]["ExitCode"] == -1
    assert "no such file" in results(container)[0]["Output"]


def test_failures_in_the_start_period_do_not_count_but_success_ends_it(engine: Engine) -> None:
    check = {"test": "test -e /up", **FAST, "start_period": 600 * SECOND, "start_interval": SECOND // 20, "interval": 600 * SECOND}
    container = sleeper(engine, healthcheck=check)
    until(lambda: len(results(container)) >= 4, "some failures")
    assert (container.health, container.state.failing_streak) == ("starting", 0)
    assert container.summary().endswith("(health: starting)")
    container.exec(["touch", "/up"])
    container.wait_healthy(DEADLINE_S)


def test_checks_run_as_the_containers_user_in_its_directory_and_environment(engine: Engine) -> None:
    user = "0" if engine.info()["IDs"] == "single" else "1:1"
    container = sleeper(
        engine, user=user, working_dir="/tmp", environment={"A": "b"}, healthcheck={"test": "echo $(id -u) $(pwd) $A", **FAST}
    )
    container.wait_healthy(DEADLINE_S)
    assert results(container)[0]["Output"] == f"{user[0]} /tmp b\n"


def test_events_of_a_check_are_those_of_an_exec(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": "true", **FAST})
    container.wait_healthy(DEADLINE_S)
    events = [event for event in engine.events.read() if event.id == container.id and event.action.startswith("exec_")][:3]
    assert [event.action for event in events] == ["exec_create: /bin/sh -c true", "exec_start: /bin/sh -c true", "exec_die"]
    assert len({event.attributes["execID"] for event in events}) == 1
    assert events[2].attributes["exitCode"] == "0"


@pytest.mark.needs("cgroups")
def test_a_paused_container_is_not_checked(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": "true", **FAST})
    container.wait_healthy(DEADLINE_S)
    container.pause()
    before = results(container)
    time.sleep(0.5)
    assert results(container) == before
    container.unpause()
    until(lambda: results(container) != before, "another check")
    assert container.health == "healthy"


def test_after_the_end_it_is_unhealthy_and_a_new_start_begins_anew(engine: Engine) -> None:
    container = sleeper(engine, healthcheck={"test": "true", "interval": SECOND // 20})
    container.wait_healthy(DEADLINE_S)
    container.stop(0)
    assert container.inspect()["State"]["Health"]["Status"] == "unhealthy"
    assert "healthy" not in container.summary()
    container.start()
    container.wait_healthy(DEADLINE_S)


def test_checks_go_on_without_any_engine_and_over_restarts(make_engine: Callable[[], Engine]) -> None:
    with make_engine() as first:
        container = sleeper(first, healthcheck={"test": "test -e /up", **FAST}, restart="always", name="box")
        container.exec(["touch", "/up"])
    engine = make_engine()
    container = engine.containers.get("box")
    container.wait_healthy(DEADLINE_S)
    pid = container.state.pid
    os.kill(pid, 9)
    until(lambda: container.state.pid not in (0, pid), "it is restarted")
    container.wait_healthy(DEADLINE_S)
    container.stop(0)


def test_an_image_says_how_it_is_checked_and_options_change_parts_of_that_or_switch_it_off(engine: Engine, tmp_path: Any) -> None:
    flags = "--interval=70s --timeout=5s --start-period=1m --start-interval=100ms --retries=4"
    text = f"FROM lab/base\nHEALTHCHECK {flags} CMD test -e /up || exit 1\n"
    image = engine.images.build(tmp_path, dockerfile_text=text, tags=["checked"], network="none").image
    expected = {
        "Test": ["CMD-SHELL", "test -e /up || exit 1"],
        "Interval": 70 * SECOND,
        "Timeout": 5 * SECOND,
        "StartPeriod": 60 * SECOND,
        "StartInterval": SECOND // 10,
        "Retries": 4,
    }
    assert image.inspect()["Config"]["Healthcheck"] == expected
    container = engine.containers.run("checked", ["sh", "-c", "touch /up; exec sleep 600"], detach=True, network="none")
    container.wait_healthy(DEADLINE_S)
    changed = engine.containers.create("checked", ["true"], healthcheck={"retries": 9})
    assert changed.inspect()["Config"]["Healthcheck"] == {**expected, "Retries": 9}
    off = engine.containers.run("checked", ["sleep", "600"], detach=True, network="none", healthcheck={"test": ["NONE"]})
    assert off.health == "unknown"
    assert "Health" not in off.inspect()["State"]
    with pytest.raises(Conflict, match="no health check"):
        off.wait_healthy(1)


def test_ps_filters_by_health(engine: Engine) -> None:
    checked = sleeper(engine, healthcheck={"test": "true", **FAST})
    plain = sleeper(engine)
    checked.wait_healthy(DEADLINE_S)
    assert engine.containers.list(filters={"health": "healthy"}) == [checked]
    assert engine.containers.list(filters={"health": "none"}) == [plain]


BAD = [
    ({"interval": -1}, "--health-interval: cannot be negative"),
    ({"interval": 5}, "cannot be less than 1ms"),
    ({"timeout": "3s"}, "--health-timeout: not a whole number of nanoseconds: '3s'"),
    ({"retries": -2}, "--health-retries: not a number from 0 on: -2"),
    ({"test": ["RUN", "x"]}, "must begin by CMD, CMD-SHELL or NONE"),
    ({"test": ["CMD"]}, "must begin by CMD, CMD-SHELL or NONE"),
    ({"test": 5}, "test is a text or a list of texts: 5"),
    ({"colour": 1}, "unknown key 'colour' of healthcheck"),
    ("true", "healthcheck is a dict: 'true'"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_bad_checks_are_refused_before_anything_is_made(engine: Engine, value: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        engine.containers.create(BASE, ["true"], healthcheck=value)
    assert engine.containers.list(all=True) == []


def test_a_closed_notebook_costs_no_wake_ups(engine: Engine) -> None:
    container = sleeper(engine)
    (shim,) = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(f"lab-shim {container.name}")]

    def switches() -> int:
        with open(f"/proc/{shim}/status") as file:
            return int(re.findall(r"voluntary_ctxt_switches:\s+(\d+)", file.read())[0])

    time.sleep(0.3)
    before = switches()
    time.sleep(1.0)
    assert switches() == before
    assert json.loads((container._record.directory / "state.json").read_text())["status"] == "running"
