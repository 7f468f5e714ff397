"""The container card over a fake container: what it reads and when, what it sends, and what its buttons do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import Conflict, Unavailable
from labcontainers.widgets.card import SAMPLES_KEPT, ContainerCard, sample_of
from labcontainers.widgets.log_tail import ROWS_PER_BATCH
from labcontainers.widgets.messages import State
from tests.fakes.card_source import FakeContainer
from tests.unit.widgets.surfaces import Clock, HandRounds, HandSampler, RecordingSurface, wait_until


class Desk:
    """A card that somebody looks at, with all around it. Nothing happens by itself: the tests sample and call `beat`."""

    def __init__(self, container: FakeContainer) -> None:
        self.container = container
        self.clock = Clock()
        self.surface = RecordingSurface()
        self.sampler, self.rounds = HandSampler(), HandRounds()
        self.card = ContainerCard(container, clock=self.clock, rounds=self.rounds, sampler=self.sampler)
        self.card.shown()
        self.card.beat()
        self.card.show_on(self.surface)

    def beat_after(self, seconds: float) -> dict[str, Any]:
        """Let time pass, beat once, and give the one message that this sent, {} for none."""
        self.clock.now += seconds
        before = len(self.surface.updates)
        self.card.beat()
        sent = self.surface.updates[before:]
        assert len(sent) <= 1, "a beat sends one message"
        return sent[0] if sent else {}

    def sample_and_beat(self) -> dict[str, Any]:
        """Let a second pass, in which a sample is taken."""
        self.sampler.round()
        return self.beat_after(1)

    def act(self, action: str) -> None:
        self.card.act(action)
        wait_until(lambda: self.surface.last("acting") == "")


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(FakeContainer(lines_per_s=0, stop_takes_s=0))
    yield desk
    desk.card.close()


def test_a_beat_sends_all_that_is_new_as_one_message(desk: Desk) -> None:
    desk.container.write("one", "two")
    sent = desk.sample_and_beat()
    assert [text for _, _, text in sent["log"]["rows"]] == ["one", "two"]
    assert len(sent["samples"]) == 1


def test_terminal_button_opens_one_and_a_page_that_comes_later_is_told(desk: Desk) -> None:
    desk.card._open_terminal = lambda: "widget of a terminal"
    desk.act("terminal")
    assert desk.surface.last("terminal") == "widget of a terminal"
    assert desk.card.everything()["terminal"] == "widget of a terminal"


def test_why_there_is_no_terminal_is_told(desk: Desk) -> None:
    def refuse() -> str:
        raise Conflict("container web is not running", "start it first")

    desk.card._open_terminal = refuse
    desk.act("terminal")
    assert desk.surface.last("failure") == {"message": "container web is not running", "hint": "start it first"}
    assert desk.card.everything()["terminal"] == ""


def test_nothing_new_sends_nothing(desk: Desk) -> None:
    desk.sample_and_beat()
    assert desk.beat_after(0) == {}


def test_samples_are_the_samplers_however_fast_it_beats(desk: Desk) -> None:
    sent = [desk.sample_and_beat(), *(desk.beat_after(0.1) for _ in range(40)), desk.sample_and_beat()]
    assert ["samples" in message for message in sent] == [True, *[False] * 40, True]
    assert desk.sampler.looked_at == 1


def test_only_the_last_samples_are_kept(desk: Desk) -> None:
    for _ in range(SAMPLES_KEPT + 20):
        desk.sample_and_beat()
    assert len(desk.card.everything()["samples"]) == SAMPLES_KEPT


def test_ten_thousand_lines_at_once_are_one_message_of_limited_size(desk: Desk) -> None:
    desk.container.write(*(f"line {number}" for number in range(10_000)))
    sent = desk.beat_after(0.1)
    assert len(sent["log"]["rows"]) == ROWS_PER_BATCH
    assert sent["log"]["skipped"] == 10_000 - ROWS_PER_BATCH
    assert sent["log"]["rows"][-1][2] == "line 9999"


def test_end_sends_the_last_lines_and_renews_the_saved_output(desk: Desk) -> None:
    desk.beat_after(1)
    desk.container.act("stop")
    desk.beat_after(1)
    assert desk.surface.last("state")["status"] == "exited"
    assert desk.surface.lines()[-1] == "goodbye"
    assert desk.surface.kept_in_output == 1
    assert "exited" in desk.card.snapshot().text.lower()


def test_no_samples_are_taken_of_a_container_that_does_not_run(desk: Desk) -> None:
    desk.container.act("stop")
    desk.beat_after(2)
    assert desk.sampler.looked_at == 0
    assert "samples" not in desk.sample_and_beat()


def test_samples_go_on_when_it_runs_again_and_the_first_has_no_rates(desk: Desk) -> None:
    desk.sample_and_beat()
    assert desk.sample_and_beat()["samples"][0]["network_rx"] is not None
    desk.container.act("stop")
    # the sampler may see the end before the card does
    desk.sample_and_beat()
    assert desk.sampler.looked_at == 0
    desk.container.act("restart")
    desk.beat_after(1)
    assert desk.sample_and_beat()["samples"][0]["network_rx"] is None


def test_source_that_fails_is_shown_and_asked_again_after_a_second() -> None:
    class Failing(FakeContainer):
        broken = True

        def sample(self) -> StatsSample | None:
            if self.broken:
                raise OSError("read error")
            return super().sample()

    container = Failing(lines_per_s=0)
    desk = Desk(container)
    desk.sampler.round()
    assert "read error" in desk.beat_after(0.1)["failure"]["message"]
    desk.beat_after(0.5)
    assert desk.sampler.looked_at == 0
    container.broken = False
    desk.beat_after(0.6)
    assert len(desk.sample_and_beat()["samples"]) == 1
    desk.card.close()


def test_saved_state_is_renewed_now_and_then_while_it_runs(desk: Desk) -> None:
    for _ in range(11):
        desk.beat_after(1)
    assert desk.surface.kept_in_state == 2
    assert desk.surface.kept_in_output == 0


def test_beats_go_on_while_a_page_looks_and_end_with_its_last_view(desk: Desk) -> None:
    desk.card.watch("page", 1)
    assert desk.card.beat()
    assert desk.sampler.looked_at == 1
    desk.card.watch("page", 0)
    assert not desk.card.beat()
    assert desk.sampler.looked_at == 0
    desk.card.watch("page", 1)
    assert desk.card.beat()
    assert desk.sampler.looked_at == 1


@pytest.mark.parametrize(("action", "status"), [("stop", "exited"), ("remove", "removed"), ("restart", "running")])
def test_button_does_what_it_says_in_a_thread_of_its_own(desk: Desk, action: str, status: str) -> None:
    desk.act(action)
    assert desk.container.acts == [action]
    assert desk.surface.updates[0]["acting"] == action
    assert desk.card.everything()["state"]["status"] == status
    assert desk.surface.last("failure") is None


def test_error_of_a_button_is_shown_with_its_hint_until_the_next_press(desk: Desk) -> None:
    desk.container.fails_to = "stop"
    desk.act("stop")
    failure = desk.surface.last("failure")
    assert failure == {"message": "cannot stop web: the shim does not answer", "hint": "try again, or look at its log"}
    desk.container.fails_to = ""
    desk.act("stop")
    assert desk.surface.last("failure") is None
    assert desk.card.everything()["state"]["status"] == "exited"


def test_error_that_nobody_foresaw_is_shown_as_well() -> None:
    class Broken(FakeContainer):
        def act(self, action: str) -> None:
            raise ZeroDivisionError("division by zero")

    desk = Desk(Broken(lines_per_s=0))
    desk.act("stop")
    assert desk.surface.last("failure") == {"message": "ZeroDivisionError: division by zero", "hint": ""}
    desk.card.close()


def test_second_press_while_the_first_is_under_way_does_nothing() -> None:
    let_go = threading.Event()

    class Slow(FakeContainer):
        def act(self, action: str) -> None:
            self.acts.append(action)
            let_go.wait(60)

    container = Slow(lines_per_s=0)
    desk = Desk(container)
    desk.card.act("stop")
    desk.card.act("remove")
    let_go.set()
    wait_until(lambda: desk.surface.last("acting") == "")
    assert container.acts == ["stop"]
    desk.card.close()


def test_error_while_reading_is_shown_and_reading_goes_on() -> None:
    class Flaky(FakeContainer):
        broken = True

        def state(self) -> State:
            # what the card asks before it reads the log is how it was when it was made
            if self.broken and self.reads:
                raise Unavailable("the store is locked", "close the other notebook")
            return super().state()

    container = Flaky(lines_per_s=0)
    desk = Desk(container)
    desk.beat_after(1)
    assert desk.surface.last("failure") == {"message": "the store is locked", "hint": "close the other notebook"}
    container.broken = False
    container.write("still here")
    desk.beat_after(1)
    assert desk.surface.lines() == ["still here"]
    desk.card.close()


def test_replay_holds_everything_and_later_updates_repeat_nothing(desk: Desk) -> None:
    desk.container.write(*(str(number) for number in range(600)))
    desk.sample_and_beat()
    desk.card.replay()
    replay = desk.surface.replays[0]
    assert replay["facts"]["name"] == "web"
    assert replay["state"]["status"] == "running"
    assert len(replay["samples"]) == 1
    already = [text for _, _, text in replay["log"]["rows"]]
    assert already == desk.surface.lines()
    desk.beat_after(0.1)
    desk.beat_after(0.1)
    assert desk.surface.lines() == [str(number) for number in range(600)]


def test_close_sends_the_rest_and_lets_go_of_source_and_threads() -> None:
    desk = Desk(FakeContainer(name="closing", lines_per_s=0))
    desk.container.write(*(str(number) for number in range(900)))
    desk.card.beat()
    desk.card.close()
    assert desk.surface.lines() == [str(number) for number in range(900)]
    assert desk.container.closed
    assert desk.sampler.looked_at == 0
    desk.card.watch("page", 1)
    assert not desk.rounds.wants(desk.card.beat)
    assert not desk.card.beat()
    desk.card.act("stop")
    assert desk.container.acts == []


def stats(seconds: int, **values: Any) -> StatsSample:
    usual: dict[str, Any] = {"cpu_percent": 12.345, "cpu_ns": 0, "memory_bytes": 5, "memory_limit_bytes": None, "pids": 1}
    usual |= {"block_read_bytes": None, "block_write_bytes": None, "network_rx_bytes": None, "network_tx_bytes": None}
    return StatsSample(time_ns=seconds * 10**9, **{**usual, **values})


def test_first_sample_has_the_engines_cpu_and_no_rates() -> None:
    sample = sample_of(stats(1, network_rx_bytes=4000), None)
    assert sample["cpu_percent"] == pytest.approx(12.345, abs=0.006)
    assert sample["network_rx"] is None


def test_rates_and_cpu_are_between_two_samples() -> None:
    sample = sample_of(stats(3, cpu_ns=10**9, network_rx_bytes=5000), stats(1, cpu_ns=0, network_rx_bytes=1000))
    assert sample["cpu_percent"] == 50.0
    assert sample["network_rx"] == 2000.0
    assert sample["network_tx"] is None


def test_counter_that_starts_anew_is_no_negative_rate() -> None:
    assert sample_of(stats(2, network_rx_bytes=10), stats(1, network_rx_bytes=1000))["network_rx"] == 0.0
