"""The pulse: one thread at a time, started again when somebody comes while it ends, and gone after stop."""

from __future__ import annotations

import threading

from labcontainers.widgets.pulse import Pulse
from tests.unit.widgets.surfaces import wait_until


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_beats_until_the_work_says_that_it_is_done() -> None:
    beats: list[int] = []

    def work() -> bool:
        beats.append(len(beats))
        return len(beats) < 3

    pulse = Pulse("pulse-done", work, interval_s=0.001)
    pulse.start()
    wait_until(lambda: not pulse.beating)
    assert beats == [0, 1, 2]
    wait_until(lambda: "pulse-done" not in names())


def test_starting_twice_makes_one_thread() -> None:
    pulse = Pulse("pulse-once", lambda: True, interval_s=0.001)
    pulse.start()
    pulse.start()
    assert names().count("pulse-once") == 1
    pulse.stop()


def test_start_during_the_last_beat_is_not_lost() -> None:
    beats: list[int] = []

    def work() -> bool:
        beats.append(1)
        if len(beats) == 1:
            pulse.start()
        return False

    pulse = Pulse("pulse-again", work, interval_s=0.001)
    pulse.start()
    wait_until(lambda: len(beats) == 2 and not pulse.beating)


def test_stop_waits_for_the_work_in_hand_and_ends_for_good() -> None:
    entered, let_go = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> bool:
        entered.set()
        let_go.wait(60)
        done.append("work")
        return True

    pulse = Pulse("pulse-stop", work, interval_s=0.001)
    pulse.start()
    entered.wait(60)
    threading.Timer(0.05, let_go.set).start()
    pulse.stop()
    assert done[:1] == ["work"]
    assert not pulse.beating
    pulse.start()
    assert not pulse.beating


def test_stop_from_within_the_work_does_not_wait_for_itself() -> None:
    def work() -> bool:
        pulse.stop()
        return True

    pulse = Pulse("pulse-within", work, interval_s=0.001)
    pulse.start()
    wait_until(lambda: not pulse.beating)
