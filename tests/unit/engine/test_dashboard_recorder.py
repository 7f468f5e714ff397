"""The dashboard's recorder and value over containers that a fake plays: what a tick tells, what is kept, tables, CSV and DataFrame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.engine.dashboard.dashboard import Dashboard
from labcontainers.engine.dashboard.recorder import Recorder, Tick
from labcontainers.errors import NotFound, Unavailable
from tests.fakes.dashboard_source import FakeSource, dashboard_of, pass_time
from tests.waiting import until


@pytest.fixture
def source() -> FakeSource:
    return FakeSource("web", "db")


@pytest.fixture
def dashboard(source: FakeSource, tmp_path: Path) -> Iterator[Dashboard]:
    made, _ = dashboard_of(source, tmp_path)
    yield made
    made.close()


def test_a_tick_tells_only_of_those_of_which_something_changed(source: FakeSource) -> None:
    recorder = Recorder(source, lambda: source.now)
    first = recorder.round()
    assert first is not None
    assert len(first.used) == len(first.running) == len(first.seen) == 2
    for _ in range(3):
        source.now += 1
        tick = recorder.round()
    assert tick is not None
    assert (dict(tick.used), len(tick.running), list(tick.seen)) == ({}, 2, [])
    source.uses["web"] = (0.5, 1 << 20)
    source.now += 1
    changed = recorder.round()
    assert changed is not None
    assert [usage.cpu_percent for usage in changed.used.values()] == [50.0]
    assert changed.total.cpu_percent == 60.0
    assert changed.total.memory_bytes == 2 << 20


def test_containers_are_looked_at_anew_only_when_something_has_happened(source: FakeSource) -> None:
    recorder = Recorder(source, lambda: source.now)
    for _ in range(10):
        source.now += 1
        recorder.round()
    assert source.looked == 1
    source.change("db", "exited", exit_code=3)
    tick = recorder.round()
    assert tick is not None
    assert source.looked == 2
    assert [one.state.exit_code for one in tick.seen] == [3]
    assert [event.action for event in tick.events] == ["exited"]
    source.now += 60
    recorder.round()
    assert source.looked == 3, "now and then it looks all the same"


def test_what_has_ended_before_its_event_is_looked_at_in_the_next_round(source: FakeSource) -> None:
    recorder = Recorder(source, lambda: source.now)
    recorder.round()
    source.change("web", "exited")
    source.happened.clear()
    recorder.round()
    tick = recorder.round()
    assert tick is not None
    assert [one.state.status for one in tick.seen] == ["exited"]


def test_the_history_of_a_container_stays_when_it_is_gone(dashboard: Dashboard, source: FakeSource) -> None:
    pass_time(dashboard, source, 30)
    source.remove("web")
    pass_time(dashboard, source, 5)
    gone = dashboard.find("web")
    assert gone.gone
    assert gone.status(source.now) == "Removed"
    rows = dashboard.history("web")
    assert len(rows) >= 30
    assert {row[1] for row in rows} == {"web"}
    assert max(row[0] for row in rows) <= 1030
    assert [row[0] for row in dashboard.table()] == ["db"]
    source.add("web")
    pass_time(dashboard, source, 1)
    assert not dashboard.find("web").gone


def test_a_name_that_is_used_again_is_that_of_the_one_that_is_there(dashboard: Dashboard, source: FakeSource) -> None:
    with pytest.raises(NotFound, match="the dashboard has seen no container 'nothing'"):
        dashboard.history("nothing")
    assert dashboard.find(dashboard.find("db").id[:8]).name == "db"


def test_failures_of_a_look_are_told_and_the_samples_go_on(source: FakeSource) -> None:
    recorder = Recorder(source, lambda: source.now)
    recorder.round()
    source.fails = Unavailable("the database is locked", "try again")
    source.tell("web", "start")
    source.uses["db"] = (0.9, 1 << 20)
    source.now += 1
    tick = recorder.round()
    assert tick is not None
    assert tick.failure is source.fails
    assert 90.0 in [usage.cpu_percent for usage in tick.used.values()]
    source.fails = None
    healed = recorder.round()
    assert healed is not None
    assert healed.failure is None


def test_a_listener_that_fails_stops_nobody(source: FakeSource, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(source, lambda: source.now)
    heard: list[Tick] = []

    def broken(_: Tick) -> None:
        raise ValueError("broken")

    recorder.listen(broken, lambda: True)
    recorder.listen(heard.append, lambda: True)
    recorder.round()
    assert len(heard) == 1
    assert "a listener of a dashboard failed" in caplog.text
    recorder.leave(heard.append)


def test_a_round_that_fails_ends_none_that_are_to_come(source: FakeSource, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(source)
    ticks: list[Tick] = []
    recorder.listen(ticks.append, lambda: True)
    source.fails = ValueError("damaged")
    recorder.start()
    until(lambda: "a round of a dashboard failed" in caplog.text, "it is logged")
    source.fails = None
    recorder.hurry()
    until(lambda: len(ticks) >= 1, "the next round is as ever")
    recorder.close()


def test_the_thread_beats_while_somebody_looks_and_ends_with_close(source: FakeSource) -> None:
    recorder = Recorder(source)
    ticks: list[Tick] = []
    recorder.listen(ticks.append, lambda: True)
    recorder.start()
    until(lambda: len(ticks) >= 3, "it beats")
    assert [thread.name for thread in threading.enumerate()].count("lab-dashboard") == 1
    recorder.close()
    assert "lab-dashboard" not in [thread.name for thread in threading.enumerate()]
    assert source.closed
    assert recorder.round() is None
    recorder.start()
    assert "lab-dashboard" not in [thread.name for thread in threading.enumerate()]


def test_history_is_a_table_with_csv_text_and_html(dashboard: Dashboard, source: FakeSource, tmp_path: Path) -> None:
    pass_time(dashboard, source, 3)
    table = dashboard.history("web")
    assert table.columns[:4] == ("time", "container", "id", "cpu_percent")
    text = table.to_csv(tmp_path / "web.csv")
    assert (tmp_path / "web.csv").read_bytes().decode() == text
    head, *lines = text.split("\r\n")
    assert head == "time,container,id,cpu_percent,memory_bytes,network_rx,network_tx,block_read,block_write,pids"
    assert lines[-2].split(",")[3:5] == ["10.0", "1048576.0"]
    assert lines[-2].split(",")[5] == "", "what is not known is empty"
    assert "web" in repr(table)
    assert "<table" in table._repr_html_()
    assert {row[1] for row in dashboard.history()} == {"web", "db"}
    assert dashboard.history("total")[-1][3] == 20.0
    assert len(dashboard.history("web", since=source.now)) == 1


def test_history_becomes_a_dataframe(dashboard: Dashboard, source: FakeSource) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pass_time(dashboard, source, 3)
    frame = dashboard.history().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame[frame.container == "web"].memory_bytes.iloc[-1] == 1 << 20
    assert frame.network_rx.isna().all()


def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_written_as_text() -> None:
    from labcontainers.engine.dashboard.table import Table

    assert Table(("text",), [("=1+1",)]).to_csv() == "text\r\n'=1+1\r\n"
    assert repr(Table(("text",), [], "there is none")) == "text\nthere is none"


def test_the_dashboard_prints_what_there_is(dashboard: Dashboard, source: FakeSource) -> None:
    pass_time(dashboard, source, 2)
    text = repr(dashboard)
    assert "web" in text
    assert "10.0 %" in text
    assert "0.0.0.0:8080->80/tcp" in text
    source.remove("web")
    source.remove("db")
    pass_time(dashboard, source, 1)
    assert "there are no containers" in repr(dashboard)
