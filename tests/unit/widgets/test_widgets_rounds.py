"""The rounds: one thread for many beats, which ends with the last, and in which nobody's beat is lost."""

from __future__ import annotations

import threading

import pytest

from labcontainers.widgets.rounds import Rounds
from tests.unit.widgets.surfaces import wait_until

NAME = "lab-test-rounds"


class Beating:
    """A beat that goes on as long as it is told, and remembers which threads called it."""

    def __init__(self) -> None:
        self.called: list[threading.Thread] = []
        self.more = True

    def beat(self) -> bool:
        self.called.append(threading.current_thread())
        return self.more


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_all_beat_in_one_thread_and_it_ends_with_the_last() -> None:
    rounds, beating = Rounds(NAME, 0.001), [Beating() for _ in range(3)]
    for each in beating:
        rounds.start(each.beat)
    wait_until(lambda: all(len(each.called) > 2 for each in beating))
    assert len({thread for each in beating for thread in each.called}) == 1
    for each in beating:
        each.more = False
    wait_until(lambda: NAME not in names())
    rounds.start(beating[0].beat)
    before = len(beating[1].called)
    wait_until(lambda: NAME not in names())
    assert len(beating[1].called) == before, "it was not started again"


def test_start_during_its_last_beat_is_not_lost() -> None:
    rounds, called = Rounds(NAME, 0.001), []

    def beat() -> bool:
        called.append(1)
        if len(called) == 1:
            rounds.start(beat)
        return False

    rounds.start(beat)
    wait_until(lambda: len(called) == 2 and NAME not in names())


def test_stop_waits_for_the_beat_in_hand_while_others_go_on() -> None:
    rounds, other = Rounds(NAME, 0.001), Beating()
    entered, let_go = threading.Event(), threading.Event()
    done: list[str] = []

    def beat() -> bool:
        entered.set()
        let_go.wait(60)
        done.append("beat")
        return True

    rounds.start(beat)
    rounds.start(other.beat)
    entered.wait(60)
    threading.Timer(0.05, let_go.set).start()
    rounds.stop(beat)
    assert done == ["beat"]
    seen = len(other.called)
    wait_until(lambda: len(other.called) > seen + 1)
    assert done == ["beat"]
    rounds.stop(other.beat)
    assert NAME not in names(), "the thread is joined with the last"


def test_stop_from_within_a_beat_does_not_wait_for_itself() -> None:
    rounds, called = Rounds(NAME, 0.001), []

    def beat() -> bool:
        rounds.stop(beat)
        called.append(1)
        return True

    rounds.start(beat)
    wait_until(lambda: called == [1] and NAME not in names())


def test_beat_that_raises_is_logged_and_left_out_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    rounds, other, called = Rounds(NAME, 0.001), Beating(), []

    def beat() -> bool:
        called.append(1)
        raise ZeroDivisionError

    rounds.start(beat)
    rounds.start(other.beat)
    wait_until(lambda: len(other.called) > 3)
    assert called == [1]
    assert "a beat of a widget failed" in caplog.text
    rounds.stop(other.beat)
