"""The event log: what is appended is read and followed, whatever happens to the file meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from labcontainers.store.events import Event, EventLog


def event(number: int, action: str = "start") -> Event:
    return Event("container", action, f"id{number}", "näme\n", {"image": "lab/base", "n": str(number)}, number * 10**9)


def numbers(events: Iterator[Event]) -> list[int]:
    return [int(one.attributes["n"]) for one in events]


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl")


def test_events_come_back_the_same_in_order(log: EventLog) -> None:
    for number in range(3):
        log.append(event(number))
    assert list(log.read()) == [event(number) for number in range(3)]


def test_a_log_that_is_not_there_is_empty(log: EventLog) -> None:
    assert list(log.read()) == []


def test_since_and_until_are_seconds_and_both_included(log: EventLog) -> None:
    for number in range(6):
        log.append(event(number))
    assert numbers(log.read(since=2.0)) == [2, 3, 4, 5]
    assert numbers(log.read(until=2.0)) == [0, 1, 2]
    assert numbers(log.read(2.0, 3.5)) == [2, 3]


def test_each_event_is_one_line_of_json(log: EventLog, tmp_path: Path) -> None:
    log.append(event(1))
    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["attributes"] == {"image": "lab/base", "n": "1"}


def test_a_line_that_a_crash_cut_short_takes_no_other_with_it(log: EventLog, tmp_path: Path) -> None:
    log.append(event(1))
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(event(2).to_line()[:30])
    log.append(event(3))
    assert numbers(log.read()) == [1, 3]


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"1", b'{"type":"x"}', b"\xff", event(1).to_line().replace(b'{"image"', b'[{"image"')])
def test_what_is_no_event_is_left_out(log: EventLog, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "events.jsonl").write_bytes(line + b"\n" + event(2).to_line())
    assert numbers(log.read()) == [2]


def test_an_event_of_a_newer_version_with_more_keys_is_read(log: EventLog, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(event(1).to_line().replace(b"{", b'{"scope":"local",', 1))
    assert list(log.read()) == [event(1)]


def test_a_log_that_grows_too_large_keeps_one_old_file(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", largest_bytes=1000)
    for number in range(100):
        log.append(event(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "events.old.jsonl"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3000
    kept = numbers(log.read())
    assert kept == list(range(kept[0], 100))
    assert len(kept) >= 8


def test_follow_gives_what_is_appended_after_the_call_and_nothing_before(log: EventLog) -> None:
    log.append(event(1))
    following = log.follow(lambda: True)
    log.append(event(2))
    assert numbers(following) == [2]


def test_follow_waits_for_the_first_event_of_a_log(log: EventLog) -> None:
    following = log.follow(lambda: False)
    timer = threading.Timer(0.05, log.append, (event(1),))
    timer.start()
    assert numbers(islice(following, 1)) == [1]
    timer.join()


def test_follow_loses_nothing_while_the_log_is_replaced_and_many_append(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", largest_bytes=600 * len(event(500).to_line()))

    def write(first: int) -> None:
        for number in range(first, first + 500):
            log.append(event(number))

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 500)]
    following = log.follow(lambda: not any(writer.is_alive() for writer in writers))
    for writer in writers:
        writer.start()
    seen = numbers(following)
    for writer in writers:
        writer.join()
    assert (tmp_path / "events.old.jsonl").exists()
    assert sorted(seen) == list(range(1000))


def test_follow_reads_the_rest_of_a_replaced_log_first(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append(event(0))
    following = log.follow(lambda: True)
    log.append(event(1))
    path.rename(tmp_path / "events.old.jsonl")
    log.append(event(2))
    assert numbers(following) == [1, 2]
