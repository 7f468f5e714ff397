"""Many cards at once: one thread samples for all and one beats for all, only while somebody looks, and none is another's trouble."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from labcontainers.containers.logs import LogLine
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.widgets.card import ContainerCard
from labcontainers.widgets.rounds import Rounds
from tests.fakes.card_source import FakeContainer
from tests.unit.widgets.surfaces import CountingSampler, RecordingSurface, wait_until

BEATS, SAMPLES = "lab-test-cards", "lab-stats"


def read_error() -> None:
    raise OSError("read error")


def mistake() -> None:
    raise ZeroDivisionError("division by zero")


def slowness() -> None:
    time.sleep(0.1)


TROUBLES = [(read_error, "read error"), (mistake, "ZeroDivisionError: division by zero"), (slowness, "")]


class Numbered(FakeContainer):
    """Uses as many bytes as its number says, and may have trouble to tell that, or what it wrote."""

    number = 0
    asked = 0
    sample_trouble: Callable[[], None] = staticmethod(lambda: None)
    log_trouble: Callable[[], None] = staticmethod(lambda: None)

    def sample(self) -> StatsSample | None:
        self.asked += 1
        self.sample_trouble()
        sample = super().sample()
        return sample and dataclasses.replace(sample, memory_bytes=self.number)

    def new_lines(self, limit: int) -> Sequence[LogLine]:
        self.log_trouble()
        return super().new_lines(limit)


class Deaf(RecordingSurface):
    """A surface whose page cannot be reached."""

    def update(self, data: Mapping[str, Any]) -> None:
        raise BrokenPipeError("the page is gone")


class Board:
    """Five cards that share a sampler and rounds, each with its surface."""

    def __init__(self) -> None:
        self.sampler = CountingSampler(0.02, daemon=True)
        self.sampler.start()
        self.rounds = Rounds(BEATS, 0.005)
        self.containers: list[Numbered] = []
        self.cards: list[ContainerCard] = []
        self.surfaces: list[RecordingSurface] = []
        for number in range(1, 6):
            # all of one name, as two cards may be of one container
            container = Numbered(lines_per_s=0)
            container.number = number
            card, surface = ContainerCard(container, rounds=self.rounds, sampler=self.sampler), RecordingSurface()
            card.show_on(surface)
            self.containers.append(container)
            self.cards.append(card)
            self.surfaces.append(surface)

    def look(self, views: int) -> None:
        for card in self.cards:
            card.watch("page", views)

    def memory(self, index: int) -> list[int]:
        """What memory the card of this index was told of, sample by sample."""
        updates = list(self.surfaces[index].updates)
        return [sample["memory_bytes"] for update in updates for sample in update.get("samples", ())]

    def close(self) -> None:
        for card in self.cards:
            card.close()


def threads(name: str) -> int:
    return [thread.name for thread in threading.enumerate()].count(name)


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    board.close()
    assert threads(BEATS) == threads(SAMPLES) == 0, "the threads are joined with the last card"


def test_five_cards_have_one_sampling_thread_and_each_its_own_samples(board: Board) -> None:
    assert threads(SAMPLES) == threads(BEATS) == 0
    board.look(1)
    wait_until(lambda: all(len(board.memory(index)) >= 3 for index in range(5)))
    assert threads(SAMPLES) == threads(BEATS) == 1
    assert [set(board.memory(index)) for index in range(5)] == [{1}, {2}, {3}, {4}, {5}]


def test_nothing_is_sampled_after_the_last_view_is_gone(board: Board) -> None:
    board.look(1)
    wait_until(lambda: all(board.memory(index) for index in range(5)))
    for card in board.cards[1:]:
        card.watch("page", 0)
    seen = len(board.memory(0))
    wait_until(lambda: len(board.memory(0)) > seen + 2)
    assert threads(SAMPLES) == threads(BEATS) == 1
    board.cards[0].watch("page", 0)
    wait_until(lambda: threads(SAMPLES) == threads(BEATS) == 0)
    asked = [container.asked for container in board.containers]
    board.look(1)
    wait_until(lambda: all(container.asked > before for container, before in zip(board.containers, asked, strict=True)))


@pytest.mark.parametrize(("trouble", "said"), TROUBLES)
def test_trouble_with_one_source_of_samples_does_not_stop_the_others(board: Board, trouble: Callable[[], None], said: str) -> None:
    board.containers[1].sample_trouble = trouble
    board.look(1)
    wait_until(lambda: board.containers[1].asked >= 1 and all(len(board.memory(index)) >= 3 for index in (0, 2, 3, 4)))
    assert threads(SAMPLES) == 1
    if said:
        wait_until(lambda: any(said in (update.get("failure") or {"message": ""})["message"] for update in board.surfaces[1].updates))
        assert board.memory(1) == []
    else:
        wait_until(lambda: len(board.memory(1)) >= 2)
    assert all(not update.get("failure") for index in (0, 2, 3, 4) for update in board.surfaces[index].updates)


@pytest.mark.parametrize(("trouble", "said"), TROUBLES)
def test_trouble_with_one_log_does_not_stop_the_others(board: Board, trouble: Callable[[], None], said: str) -> None:
    board.containers[1].log_trouble = trouble
    board.look(1)
    wait_until(lambda: bool(board.memory(0)))
    for container in board.containers:
        container.write("hello")
    wait_until(lambda: all(board.surfaces[index].lines() == ["hello"] for index in (0, 2, 3, 4)))
    assert threads(BEATS) == 1
    if said:
        assert said in board.surfaces[1].last("failure")["message"]
    else:
        wait_until(lambda: board.surfaces[1].lines() == ["hello"])


def test_card_that_cannot_send_is_left_out_until_a_page_looks_again(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    board.look(1)
    wait_until(lambda: all(board.memory(index) for index in range(5)))
    broken = board.surfaces[1]
    board.cards[1].show_on(Deaf())
    wait_until(lambda: "a beat of a widget failed" in caplog.text)
    wait_until(lambda: board.sampler.looked_at == 4)
    board.cards[1].show_on(broken)
    seen = len(board.memory(1))
    board.cards[1].watch("page", 1)
    wait_until(lambda: len(board.memory(1)) > seen)


def test_one_card_is_closed_while_the_others_go_on(board: Board) -> None:
    board.look(1)
    wait_until(lambda: all(board.memory(index) for index in range(5)))
    board.cards[1].close()
    asked, sent = board.containers[1].reads, len(board.surfaces[1].updates)
    seen = len(board.memory(0))
    wait_until(lambda: len(board.memory(0)) > seen + 2)
    assert (board.containers[1].reads, len(board.surfaces[1].updates)) == (asked, sent)
    assert board.containers[1].closed
