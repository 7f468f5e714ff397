"""Who looks: pages that say so, until they say otherwise or fall silent; while a cell runs nobody is forgotten."""

from __future__ import annotations

from labcontainers.widgets.watchers import SILENCE_S, Watchers
from tests.unit.widgets.surfaces import Clock


class Busy:
    def __init__(self) -> None:
        self.now = False

    def __call__(self) -> bool:
        return self.now


def test_nobody_looks_at_first() -> None:
    assert not Watchers(Busy(), Clock()).anyone()


def test_page_looks_until_it_says_that_its_last_view_is_gone() -> None:
    watchers = Watchers(Busy(), Clock())
    watchers.tell("page", 2)
    watchers.tell("page", 1)
    assert watchers.anyone()
    watchers.tell("page", 0)
    assert not watchers.anyone()


def test_each_page_counts() -> None:
    watchers = Watchers(Busy(), Clock())
    watchers.tell("one", 1)
    watchers.tell("two", 1)
    watchers.tell("one", 0)
    assert watchers.anyone()


def test_silent_page_is_forgotten() -> None:
    clock = Clock()
    watchers = Watchers(Busy(), clock)
    watchers.tell("page", 1)
    clock.now += SILENCE_S - 1
    assert watchers.anyone()
    clock.now += 1
    assert not watchers.anyone()


def test_nobody_is_forgotten_while_a_cell_runs_since_nobody_may_be_heard() -> None:
    clock, busy = Clock(), Busy()
    watchers = Watchers(busy, clock)
    watchers.tell("page", 1)
    busy.now = True
    clock.now += 10 * SILENCE_S
    assert watchers.anyone()
    busy.now = False
    clock.now += SILENCE_S - 1
    assert watchers.anyone()
    clock.now += 1
    assert not watchers.anyone()


def test_display_is_expected_to_be_looked_at_for_a_while() -> None:
    clock = Clock()
    watchers = Watchers(Busy(), clock)
    watchers.expect()
    assert watchers.anyone()
    clock.now += SILENCE_S
    assert not watchers.anyone()


def test_expectation_ends_when_a_page_says_that_it_shows_nothing() -> None:
    watchers = Watchers(Busy(), Clock())
    watchers.expect()
    watchers.tell("page", 0)
    assert not watchers.anyone()
