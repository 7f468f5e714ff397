"""pause and unpause on the real kernel: what is frozen does not run, can be stopped all the same, and every engine sees it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.container import Container
from labcontainers.errors import Conflict, Unsupported
from tests import leaks
from tests.conftest import can_limit
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
COUNT = "trap 'exit 7' TERM; while :; do echo line; sleep 0.02; done"
needs_groups = pytest.mark.needs("cgroups")


def counter(engine: Engine, **options: object) -> Container:
    container = engine.containers.run(BASE, ["sh", "-c", COUNT], detach=True, network="none", **options)
    assert isinstance(container, Container)
    return container


def size(container: Container) -> int:
    return (container._record.directory / "log").stat().st_size


@needs_groups
def test_a_paused_container_does_nothing_until_it_is_unpaused(engine: Engine) -> None:
    container = counter(engine)
    until(lambda: size(container) > 0, "it writes")
    container.pause()
    assert (container.status, container.state.running) == ("paused", True)
    assert container.summary().endswith("(Paused)")
    document = container.inspect()["State"]
    assert (document["Status"], document["Paused"], document["Running"]) == ("paused", True, True)
    assert container in engine.containers.list(filters={"status": "paused"})
    time.sleep(0.1)
    before = size(container)
    time.sleep(0.4)
    assert size(container) == before
    container.unpause()
    assert container.status == "running"
    until(lambda: size(container) > before, "it goes on")
    container.stop()
    assert container.state.exit_code == 7
    told = [event.action for event in engine.events.read() if event.id == container.id]
    assert told == ["create", "start", "pause", "unpause", "kill", "die", "stop"]


@needs_groups
def test_the_commands_name_each_container_and_say_what_is_refused(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    names = [counter(engine, name=name).name for name in ("one", "two")]
    assert execute(lambda: engine, understand(["pause", *names])) == "one\ntwo"
    assert [container.status for container in engine.containers.list()] == ["paused", "paused"]
    with pytest.raises(Conflict, match="one is already paused"):
        execute(lambda: engine, understand(["pause", "one"]))
    assert execute(lambda: engine, understand(["unpause", *names])) == "one\ntwo"
    assert [container.status for container in engine.containers.list()] == ["running", "running"]
    with pytest.raises(Conflict, match="two is not paused"):
        execute(lambda: engine, understand(["unpause", "two"]))


@needs_groups
def test_every_engine_sees_it_and_may_let_it_go_on(make_engine: Callable[[], Engine]) -> None:
    with make_engine() as first:
        name = counter(first).name
        first.containers.get(name).pause()
    engine = make_engine()
    container = engine.containers.get(name)
    assert container.status == "paused"
    container.unpause()
    before = size(container)
    until(lambda: size(container) > before, "it goes on")


@needs_groups
def test_what_a_paused_container_cannot_do_is_refused_and_says_what_to_do(engine: Engine) -> None:
    container = counter(engine)
    with pytest.raises(Conflict, match=r"is not paused \(pause it first\)"):
        container.unpause()
    container.pause()
    with pytest.raises(Conflict, match=r"is paused \(unpause the container before exec\)"):
        container.exec(["true"])
    with pytest.raises(Conflict, match="already paused"):
        container.pause()
    with pytest.raises(Conflict, match="paused container"):
        container.attach()
    with pytest.raises(Conflict, match="cannot start the paused container"):
        container.start()
    with pytest.raises(Conflict, match="is running"):
        container.remove()
    assert container.status == "paused"


ENDS: list[tuple[str, Callable[[Container], None], int]] = [
    ("stop", lambda container: container.stop(DEADLINE_S), 7),
    ("stop at once", lambda container: container.stop(0), 137),
    ("kill", lambda container: container.kill(), 137),
    ("kill by TERM", lambda container: container.kill("TERM"), 7),
]


@needs_groups
@pytest.mark.parametrize(("end", "expected"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_a_paused_container_can_be_ended(engine: Engine, end: Callable[[Container], None], expected: int) -> None:
    container = counter(engine)
    until(lambda: size(container) > 0, "its trap is set")
    container.pause()
    end(container)
    until(lambda: container.status == "exited", "it has ended")
    # SIGKILL may come before the process that was let go has heard the other one
    assert container.state.exit_code in ({7, 137} if expected == 137 else {7})


@needs_groups
def test_a_paused_container_can_be_removed_restarted_and_killed_from_outside(engine: Engine) -> None:
    removed, restarted, killed = (counter(engine, restart=policy) for policy in ("no", "no", "always"))
    for container in (removed, restarted, killed):
        container.pause()
    removed.remove(force=True)
    restarted.restart(0)
    assert restarted.status == "running"
    pid = killed.state.pid
    os.kill(pid, 9)
    if killed.status == "paused":
        time.sleep(0.2)
    if killed.status == "paused":  # version 1: it dies once it is let go
        killed.unpause()
    until(lambda: killed.status == "running" and killed.state.pid not in (0, pid), "it is restarted, and not frozen")
    before = size(killed)
    until(lambda: size(killed) > before, "it writes")


@needs_groups
def test_a_foreground_run_returns_when_its_paused_container_is_killed_from_elsewhere(make_engine: Callable[[], Engine]) -> None:
    engine, other = make_engine(), make_engine()
    thread = threading.Thread(target=lambda: engine.containers.run(BASE, ["sleep", "600"], network="none", name="box"))
    thread.start()
    until(lambda: bool(other.containers.list()), "it runs")
    container = other.containers.get("box")
    container.pause()
    (shim,) = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith("lab-shim box")]
    container.kill()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    until(lambda: not os.path.exists(f"/proc/{shim}") or "lab-shim" not in leaks.describe(shim), "its shim has ended")


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_one_that_does_not_run_cannot_be_paused_or_unpaused(engine: Engine, verb: str) -> None:
    container = engine.containers.create(BASE, ["true"])
    with pytest.raises(Conflict, match="not running" if verb == "pause" else "not paused"):
        getattr(container, verb)()


def test_without_a_control_group_it_is_refused_with_the_reason(engine: Engine) -> None:
    container = counter(engine)
    if can_limit():
        container.pause()
        assert container.status == "paused"
        return
    with pytest.raises(Unsupported, match="no control group with a freezer"):
        container.pause()
    assert container.status == "running"
