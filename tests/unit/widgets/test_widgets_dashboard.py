"""The dashboard's widget over containers that a fake plays: what it sends and when, what its buttons do, and what it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from labcontainers.engine.dashboard import log_search
from labcontainers.errors import Conflict
from labcontainers.widgets.dashboard.owner import DashboardOwner
from labcontainers.widgets.dashboard.snapshot import ROWS, dashboard_snapshot
from tests.fakes.dashboard_source import FakeSource, container, dashboard_of, pass_time
from tests.unit.widgets.surfaces import RecordingSurface, wait_until


class Desk:
    """A dashboard that somebody looks at. Nothing happens by itself: the tests let time pass."""

    def __init__(self, root: Path, *names: str) -> None:
        self.source = FakeSource(*names)
        self.dashboard, self.engine = dashboard_of(self.source, root)
        self.surface = RecordingSurface()
        self.owner = DashboardOwner(self.dashboard, open_terminal=self.open_terminal, clock=lambda: self.source.now)
        self.owner.shown()
        self.owner.everything()
        self.owner.show_on(self.surface)

    def open_terminal(self, container_id: str) -> str:
        if self.engine.fails is not None:
            raise self.engine.fails
        return f"widget of {container_id}"

    def id_of(self, name: str) -> str:
        return self.dashboard.find(name).id

    def sent_in(self, seconds: float) -> list[dict[str, Any]]:
        """What is sent while time passes."""
        before = len(self.surface.updates)
        pass_time(self.dashboard, self.source, seconds)
        return self.surface.updates[before:]

    def order(self, **order: Any) -> None:
        self.owner.act(json.dumps(order))

    def answer(self, **question: Any) -> dict[str, Any]:
        before = len(self.surface.updates)
        self.order(**question)
        wait_until(lambda: any("answers" in update for update in self.surface.updates[before:]))
        found: dict[str, Any] = self.surface.last("answers")[0]
        assert json.loads(found["question"]) == question
        return found

    def close(self) -> None:
        self.owner.close()
        self.dashboard.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, "web", "db")
    yield desk
    desk.close()


def test_a_second_is_one_message_with_what_changed(desk: Desk) -> None:
    desk.sent_in(2)
    (sent,) = desk.sent_in(1)
    assert set(sent) == {"tick"}
    assert sent["tick"]["used"] == []
    assert sent["tick"]["total"][:2] == [20, 2 << 20]
    desk.source.uses["web"] = (0.5, 1 << 20)
    (sent,) = desk.sent_in(1)
    key = next(row["key"] for row in desk.owner.everything()["containers"] if row["name"] == "web")
    assert sent["tick"]["used"] == [[key, 50, 1 << 20, None, None, 0, 0, 3]]
    json.dumps(desk.surface.updates, allow_nan=False)


def test_a_hundred_idle_containers_are_a_small_message(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *(f"c{number}" for number in range(100)))
    desk.sent_in(2)
    (sent,) = desk.sent_in(1)
    assert len(json.dumps(sent)) < 200
    desk.close()


def test_nobody_who_looks_is_sent_nothing(desk: Desk) -> None:
    desk.owner._watchers.anyone = lambda: False
    assert desk.sent_in(5) == []


def test_containers_that_change_come_and_go_are_sent_once(desk: Desk) -> None:
    desk.sent_in(1)
    desk.source.change("db", "exited", exit_code=3)
    desk.source.add("new")
    sent, more = desk.sent_in(2)
    assert {row["name"]: row["status"] for row in sent["containers"]} == {"db": "exited", "new": "running"}
    assert [event["action"] for event in sent["events"]] == ["exited", "create"]
    assert "containers" not in more
    desk.source.remove("web")
    (sent,) = desk.sent_in(1)
    assert [(row["name"], row["status"], row["gone"]) for row in sent["containers"]] == [("web", "removed", True)]
    assert desk.answer(ask="history", id=desk.id_of("web"))["data"] != []


def test_a_replay_has_everything_with_the_last_minute_of_each(desk: Desk) -> None:
    desk.sent_in(90)
    everything = desk.owner.everything()
    assert [row["name"] for row in everything["containers"]] == ["web", "db"]
    assert {len(points) for points in everything["recent"].values()} == {60}
    assert len(everything["total"]) >= 90
    json.dumps(everything, allow_nan=False)
    desk.owner.replay()
    assert desk.surface.replays[-1].keys() == everything.keys()


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "pause", "unpause", "remove"])
def test_buttons_act_on_a_container(desk: Desk, verb: str) -> None:
    web = desk.id_of("web")
    desk.order(do=verb, kind="container", id=web, name="web")
    wait_until(lambda: desk.engine.acted == [(verb, web)])
    wait_until(lambda: desk.surface.last("acting") == {})
    assert desk.owner.everything()["notes"] == []


def test_what_a_button_cannot_do_is_told(desk: Desk) -> None:
    desk.engine.fails = Conflict("image lab/base is in use", "remove its containers first")
    desk.order(do="remove", kind="image", id="lab/base", name="lab/base")
    wait_until(lambda: desk.owner.everything()["notes"])
    (note,) = desk.surface.last("notes")
    assert (note["about"], note["text"], note["hint"], note["tone"]) == (
        "remove lab/base",
        "image lab/base is in use",
        "remove its containers first",
        "bad",
    )
    wait_until(lambda: desk.surface.last("acting") == {})


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"do": "explode", "kind": "container", "id": "x"}, "a dashboard cannot do this: 'explode' of 'container'"),
        ({"do": "prune", "kind": "container"}, "the disk is on fire"),
        ({"do": "remove", "kind": "volume", "id": "data"}, "AttributeError"),
    ],
)
def test_failures_of_every_kind_become_notes(desk: Desk, order: dict[str, str], said: str) -> None:
    desk.order(**order)
    wait_until(lambda: desk.owner.everything()["notes"])
    assert said in desk.surface.last("notes")[0]["text"]


@pytest.mark.parametrize("action", ["", "{", "[]", "null", '"stop"'])
def test_orders_that_are_none_are_told(desk: Desk, action: str) -> None:
    desk.owner.act(action)
    assert "not an order of a dashboard" in desk.surface.last("notes")[0]["text"]


def test_one_thing_at_a_time_is_done_with_a_container(desk: Desk) -> None:
    going, go = threading.Event(), threading.Event()

    def slow(*_: str) -> None:
        going.set()
        go.wait(30)

    desk.engine._do = slow
    web = desk.id_of("web")
    desk.order(do="stop", kind="container", id=web, name="web")
    going.wait(30)
    assert desk.owner.everything()["acting"] == {f"container {web}": "stop"}
    desk.order(do="remove", kind="container", id=web, name="web")
    assert desk.owner.everything()["acting"] == {f"container {web}": "stop"}
    go.set()
    wait_until(lambda: desk.owner.everything()["acting"] == {})


def test_a_terminal_is_a_widget_of_its_own(desk: Desk) -> None:
    web = desk.id_of("web")
    desk.order(do="terminal", kind="container", id=web, name="web")
    wait_until(lambda: desk.owner.everything()["terminals"] == {web: f"widget of {web}"})


def test_questions_are_answered_or_their_failure_is(desk: Desk) -> None:
    desk.sent_in(3)
    history = desk.answer(ask="history", id=desk.id_of("web"))["data"]
    assert history[-1][:3] == [1003.0, 10, 1 << 20]
    assert desk.answer(ask="csv", id=desk.id_of("web"))["data"].startswith("time,container,id,cpu_percent")
    assert desk.answer(ask="table", name="volumes")["data"] == []
    assert json.loads(desk.answer(ask="inspect", kind="container", id="x")["data"]) == {"Id": "x"}
    assert "no table 'wishes'" in desk.answer(ask="table", name="wishes")["failure"]["message"]
    assert "not known: 'why'" in desk.answer(ask="why")["failure"]["message"]
    wrong = desk.answer(ask="logs", containers=None, wish={"pattern": "a(", "regex": True})["failure"]
    assert wrong["message"].startswith("not a regular expression: 'a(': missing ), unterminated subpattern at character 2")


def test_the_output_is_renewed_when_containers_came_or_went_and_nobody_is_at_work_in_it(desk: Desk) -> None:
    desk.sent_in(12)
    before = desk.surface.kept_in_output
    desk.source.change("db", "exited")
    desk.order(busy=True)
    desk.sent_in(8)
    assert desk.surface.kept_in_output == before
    desk.order(busy=False)
    desk.sent_in(5)
    assert desk.surface.kept_in_output == before + 1
    desk.sent_in(60)
    assert desk.surface.kept_in_output == before + 1
    assert desk.surface.kept_in_state >= 5


def test_snapshot_is_a_table_that_stays_small(desk: Desk) -> None:
    desk.sent_in(2)
    snapshot = desk.owner.snapshot()
    assert snapshot.text.startswith("dashboard: 2 containers, 2 running (as of ")
    assert "web" in snapshot.text
    assert "10.0 %" in snapshot.text
    assert "<b>web</b>" in snapshot.html
    many = [(container(f"c{number} <b>"), None) for number in range(ROWS + 7)]
    large = dashboard_snapshot(many, 1000.0)
    assert "… and 7 more" in large.text
    assert "… and 7 more" in large.html
    assert "c1 <b>" not in large.html
    assert len(large.html) < 30_000
    assert dashboard_snapshot([], 1000.0).text.startswith("dashboard: no containers (as of ")


def test_a_page_of_a_dashboard_that_was_closed_is_told(desk: Desk) -> None:
    desk.owner.watch("page", 1)
    assert desk.surface.updates[-1] == {}
    desk.dashboard.close()
    desk.owner.watch("page", 1)
    assert desk.surface.last("failure")["message"] == "This dashboard was closed."


def test_lines_that_follow_are_asked_for_after_the_last_and_none_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # a worker has an alarm clock, and a thread has none
    monkeypatch.setattr(log_search, "_alarm", lambda seconds: nullcontext())
    first = desk.answer(ask="logs", containers=None, wish={"after": ""})["data"]
    again = desk.answer(ask="logs", containers=None, wish={"after": first["last"]})["data"]
    assert (first["lines"], again["lines"]) == ([], [])
    assert int(again["last"]) > int(first["last"])


def test_closing_ends_its_threads_and_the_dashboard_goes_on(desk: Desk) -> None:
    desk.answer(ask="table", name="volumes")
    desk.owner.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("lab-dashboard-")]
    assert desk.sent_in(3) == []
    desk.order(ask="table", name="volumes")
    desk.order(do="stop", kind="container", id="x", name="x")
    assert desk.engine.acted == []
    assert len(desk.dashboard.history("web")) >= 3
