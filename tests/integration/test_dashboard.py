"""The dashboard over containers that really run: samples, history of one that is removed, logs by a worker, and the end of its thread."""

from __future__ import annotations

import threading

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.logs import LogLine
from labcontainers.errors import InvalidArgument, Unavailable
from labcontainers.store.event_tail import EventTail
from labcontainers.store.events import Event, EventLog
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

SAYS = "echo hello from $0; echo and an error >&2; sleep 1000"


def test_what_runs_is_recorded_and_stays_when_it_is_gone(engine: Engine) -> None:
    dashboard = engine.dashboard()
    assert engine.dashboard() is dashboard
    dashboard.recorder.listen(lambda tick: None, lambda: True)
    one = engine.containers.run("lab/base", ["sh", "-c", SAYS, "one"], name="one", network="none", detach=True)
    until(lambda: any(seen.name == "one" for seen in dashboard.containers), "it is seen")
    until(lambda: len(dashboard.history("one")) >= 2, "it is sampled")
    row = dashboard.history("one")[-1]
    assert row[1:3] == ("one", one.id)
    assert row[4] > 0
    assert row[-1] >= 1
    until(lambda: "one" in repr(dashboard) and "Up " in repr(dashboard), "it is shown")
    one.remove(force=True)
    until(lambda: dashboard.find("one").gone, "it is seen to be gone")
    assert len(dashboard.history("one")) >= 2
    assert "one" not in repr(dashboard)


def test_states_are_seen_as_they_change(engine: Engine) -> None:
    dashboard = engine.dashboard()
    dashboard.recorder.listen(lambda tick: None, lambda: True)
    one = engine.containers.run("lab/base", ["sh", "-c", "sleep 0.3; exit 3"], name="failing", network="none", detach=True)
    until(lambda: dashboard.find("failing").state.status == "exited" if dashboard.containers else False, "its end is seen")
    seen = dashboard.find("failing")
    assert seen.state.exit_code == 3
    assert "exit code 3" in seen.why
    one.remove()


def test_logs_of_several_are_searched_together(engine: Engine) -> None:
    dashboard = engine.dashboard()
    for name in ("one", "two"):
        engine.containers.run("lab/base", ["sh", "-c", SAYS, name], name=name, network="none", detach=True)
    dashboard.recorder.hurry()
    until(lambda: len(dashboard.containers) == 2, "both are seen")
    until(lambda: len(dashboard.logs()) == 4, "all lines are there")
    assert [row[1] for row in dashboard.logs("HELLO from (one|two)$")] == ["one", "two"]
    assert [row[2] for row in dashboard.logs("error", containers="one")] == ["stderr"]
    first = dashboard.logs()[0]
    assert first[0] == LogLine(next(iter(engine.containers.get(first[1]).logs())).time_ns, 1, b"").timestamp()
    assert len(dashboard.logs(since="1h")) == 4
    assert len(dashboard.logs(until="1h")) == 0
    with pytest.raises(InvalidArgument, match="not a regular expression"):
        dashboard.logs("(")


def test_the_command_gives_the_dashboard_and_the_engine_ends_its_thread(engine: Engine) -> None:
    assert execute(lambda: engine, understand(["dashboard"])) is engine.dashboard()
    assert "there are no containers" in repr(engine.dashboard())
    engine.dashboard().close()
    assert "lab-dashboard" not in [thread.name for thread in threading.enumerate()]
    again = engine.dashboard()
    assert not again.recorder.closed
    engine.close()
    assert again.recorder.closed
    with pytest.raises(Unavailable, match="the engine is closed"):
        engine.dashboard()
    assert "lab-dashboard" not in [thread.name for thread in threading.enumerate()]


def test_the_end_of_the_event_log_is_followed_over_its_rotation(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    log, tail = EventLog(path, largest_bytes=2000), EventTail(path, first_bytes=150)
    assert tail.read() == []
    for number in range(5):
        log.append(Event("container", "start", f"c{number}", "", {}, number))
    first = tail.read()
    assert first[-1].id == "c4"
    assert len(first) < 5, "of a long log only the end is read at first"
    seen = []
    for number in range(5, 100):
        log.append(Event("container", "start", f"c{number}", "", {}, number))
        if number % 7 == 0:
            seen += tail.read()
    seen += tail.read()
    assert [event.id for event in seen] == [f"c{number}" for number in range(5, 100)]
    with path.open("ab") as file:
        file.write(b"torn")
    assert tail.read() == []
    tail.close()
