"""Samples at a beat: one thread, only while somebody looks."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.containers.usage.sampler import Sampler, Source
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import NotFound

TIMEOUT_S = 10.0


class Counter:
    """A source that counts how often it is asked, and ends after `last` samples."""

    def __init__(self, last: int = 10**6) -> None:
        self.last = last
        self.previous: list[StatsSample | None] = []

    def __call__(self, previous: StatsSample | None) -> StatsSample:
        if len(self.previous) >= self.last:
            raise NotFound("no such container")
        self.previous.append(previous)
        return StatsSample(len(self.previous), 0.0, 0, 0)


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    made = Sampler(interval_s=0.01)
    made.start()
    yield made
    made.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "lab-stats"]


def look(sampler: Sampler, key: str, source: Source) -> tuple[object, queue.Queue[StatsSample | None]]:
    seen: queue.Queue[StatsSample | None] = queue.Queue()
    return sampler.subscribe(key, source, seen.put), seen


def wait_until_idle(sampler: Sampler) -> None:
    end = time.monotonic() + TIMEOUT_S
    while sampler.running and time.monotonic() < end:
        time.sleep(0.002)
    assert not sampler.running


def test_no_thread_runs_while_nobody_looks(sampler: Sampler) -> None:
    assert not sampler.running


def test_a_listener_gets_samples_each_made_from_the_one_before(sampler: Sampler) -> None:
    source = Counter()
    _, seen = look(sampler, "a", source)
    taken = [seen.get(timeout=TIMEOUT_S) for _ in range(3)]
    assert [sample.time_ns for sample in taken if sample] == [1, 2, 3]
    assert source.previous[:3] == [None, *taken[:2]]


def test_many_who_look_at_one_container_share_its_samples(sampler: Sampler) -> None:
    source = Counter()
    first = look(sampler, "a", source)[1]
    second = look(sampler, "a", source)[1]
    wanted = second.get(timeout=TIMEOUT_S)
    while (got := first.get(timeout=TIMEOUT_S)) != wanted:
        assert got is not None


def test_the_thread_ends_with_the_last_who_looks_and_starts_again(sampler: Sampler) -> None:
    subscription, seen = look(sampler, "a", Counter())
    seen.get(timeout=TIMEOUT_S)
    sampler.unsubscribe(subscription)
    sampler.unsubscribe(subscription)
    wait_until_idle(sampler)
    source = Counter()
    assert look(sampler, "a", source)[1].get(timeout=TIMEOUT_S)
    assert source.previous[0] is None, "a rate across a pause would be no rate of now"


def test_unsubscribe_that_waits_returns_when_the_thread_of_the_last_has_ended(sampler: Sampler) -> None:
    entered, let_go = threading.Event(), threading.Event()

    def slow(previous: StatsSample | None) -> StatsSample:
        entered.set()
        let_go.wait(TIMEOUT_S)
        return StatsSample(1, 0.0, 0, 0)

    first, _ = look(sampler, "a", slow)
    second, _ = look(sampler, "b", Counter())
    sampler.unsubscribe(second, wait=True)
    assert sampler.running, "another looks"
    assert entered.wait(TIMEOUT_S)
    threading.Timer(0.05, let_go.set).start()
    sampler.unsubscribe(first, wait=True)
    assert let_go.is_set()
    assert "lab-stats" not in [thread.name for thread in threading.enumerate()]


def test_who_comes_later_is_asked_at_once_without_a_round_of_all() -> None:
    sampler, early = Sampler(interval_s=3600), Counter()
    sampler.start()
    try:
        assert look(sampler, "early", early)[1].get(timeout=TIMEOUT_S)
        for number in range(3):
            assert look(sampler, f"late {number}", Counter())[1].get(timeout=TIMEOUT_S)
        assert len(early.previous) == 1
    finally:
        sampler.stop()


def test_the_end_of_a_container_is_told_once_and_forgotten(sampler: Sampler) -> None:
    _, seen = look(sampler, "a", Counter(last=2))
    assert [seen.get(timeout=TIMEOUT_S) is None for _ in range(3)] == [False, False, True]
    wait_until_idle(sampler)
    assert seen.empty()


def test_a_source_with_a_mistake_is_logged_and_stops_nobody(sampler: Sampler, caplog: pytest.LogCaptureFixture) -> None:
    def fail(previous: StatsSample | None) -> StatsSample:
        raise ZeroDivisionError

    _, failed = look(sampler, "a", fail)
    _, seen = look(sampler, "b", Counter())
    assert failed.get(timeout=TIMEOUT_S) is None
    assert seen.get(timeout=TIMEOUT_S)
    assert seen.get(timeout=TIMEOUT_S)
    assert "a source of statistics failed" in caplog.text


def test_a_listener_that_fails_stops_nobody(sampler: Sampler, caplog: pytest.LogCaptureFixture) -> None:
    def fail(sample: StatsSample | None) -> None:
        raise ZeroDivisionError

    sampler.subscribe("a", Counter(), fail)
    _, seen = look(sampler, "a", Counter())
    assert seen.get(timeout=TIMEOUT_S)
    assert seen.get(timeout=TIMEOUT_S)
    assert "a listener of statistics failed" in caplog.text


def test_stop_waits_for_the_thread_and_start_allows_another(sampler: Sampler) -> None:
    look(sampler, "a", Counter())[1].get(timeout=TIMEOUT_S)
    sampler.stop()
    assert not sampler.running
    _, seen = look(sampler, "b", Counter())
    time.sleep(0.03)
    assert seen.empty()
    sampler.start()
    assert seen.get(timeout=TIMEOUT_S)


def test_stop_from_within_a_listener_does_not_wait_for_itself(sampler: Sampler) -> None:
    stopped = threading.Event()

    def stop(sample: StatsSample | None) -> None:
        sampler.stop()
        stopped.set()

    sampler.subscribe("a", Counter(), stop)
    assert stopped.wait(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while any(thread.name == "lab-stats" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.002)


def test_a_program_that_forgets_to_stop_still_ends() -> None:
    program = (
        "from labcontainers.containers.usage.sampler import Sampler\n"
        "from labcontainers.containers.usage.stats import StatsSample\n"
        "sampler = Sampler(interval_s=0.05)\n"
        "sampler.start()\n"
        "sampler.subscribe('a', lambda previous: StatsSample(1, 0.0, 0, 0), lambda sample: None)\n"
    )
    house = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", program], cwd=house, timeout=30, check=False).returncode == 0
