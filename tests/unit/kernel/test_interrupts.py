"""Interrupts while something runs in the foreground: none is raised in the middle of anything, and none is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from labcontainers.errors import raise_interrupt, signal_of
from labcontainers.kernel.interrupts import Interrupts, begin_thread

INT, KILL, TERM, USR1 = signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1
# (the signals that come, with the patience that there is, and what is sent)
CASES: list[tuple[tuple[int, ...], int | None, list[int]]] = [
    ((), 2, []),
    ((INT,), 2, [INT]),
    ((INT, INT), 2, [INT, KILL]),
    ((TERM,), 2, [TERM]),
    ((TERM, INT), 2, [TERM, KILL]),
    ((USR1, USR1, USR1, USR1, INT), 2, [USR1, USR1, USR1, USR1, INT]),
    ((INT, INT, INT, INT), None, [INT, INT, INT, INT]),
]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a command line."""
    former = {number: signal.signal(number, raise_interrupt) for number in (TERM, USR1)}
    former[INT] = signal.signal(INT, signal.default_int_handler)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def come(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(("numbers", "patience", "sent"), CASES)
def test_interrupts_are_handed_on_at_once(numbers: tuple[int, ...], patience: int | None, sent: list[int]) -> None:
    seen: list[int] = []
    with Interrupts(seen.append, patience) as interrupts:
        come(*numbers)
        assert seen == sent
    assert interrupts.count == len([number for number in numbers if number != USR1])


@pytest.mark.parametrize(("numbers", "sent"), [(numbers, sent) for numbers, patience, sent in CASES if patience == 2])
def test_those_that_come_too_early_are_kept(numbers: tuple[int, ...], sent: list[int]) -> None:
    seen: list[int] = []
    with Interrupts() as interrupts:
        come(*numbers)
        assert seen == []
        interrupts.pass_on(seen.append)
        assert seen == sent


def test_a_third_one_is_raised() -> None:
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught, Interrupts(seen.append):
        come(INT, TERM, TERM)
    assert signal_of(caught.value) == TERM
    assert seen == [INT, KILL]


def test_afterwards_they_are_raised_as_before() -> None:
    with Interrupts(lambda number: None):
        come(INT)
    for number in (INT, TERM):
        with pytest.raises(KeyboardInterrupt):
            come(number)


def test_the_handlers_of_others_stay() -> None:
    heard: list[int] = []
    signal.signal(USR1, lambda number, frame: heard.append(number))
    with Interrupts(lambda number: pytest.fail("not for us")):
        come(USR1)
    assert heard == [USR1]


def test_one_that_is_told_to_nobody_any_more_is_counted() -> None:
    def gone(number: int) -> None:
        raise BrokenPipeError

    with Interrupts(gone) as interrupts:
        come(INT)
    assert interrupts.count == 1


def test_in_another_thread_nothing_changes() -> None:
    found: list[object] = []

    def look() -> None:
        with Interrupts():
            found.append(signal.getsignal(INT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


class Interrupted(threading.Thread):
    """An interrupt comes when it has begun, and `start` has not returned."""

    def start(self) -> None:
        super().start()
        come(INT)


def test_an_interrupt_in_the_start_of_a_thread_comes_when_it_runs_and_can_be_waited_for() -> None:
    seen: list[str] = []
    thread = Interrupted(target=seen.append, args=("ran",))
    with pytest.raises(KeyboardInterrupt):
        begin_thread(thread)
    thread.join()
    assert seen == ["ran"]


def test_a_thread_that_begins_without_an_interrupt_leaves_the_handlers_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (INT, TERM, USR1)]
    thread = threading.Thread(target=int)
    begin_thread(thread)
    thread.join()
    assert [signal.getsignal(number) for number in (INT, TERM, USR1)] == before
