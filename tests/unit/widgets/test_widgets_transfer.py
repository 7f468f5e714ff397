"""The progress of a transfer: what is said of layers, how fast their bytes come, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from labcontainers.errors import NotFound
from labcontainers.images.transfer import LayerProgress
from labcontainers.widgets.transfer import Rate, TransferProgress, Verb
from tests.unit.widgets.surfaces import Clock, RecordingSurface, wait_until


class Bench:
    """A transfer's progress with its surface and a clock that stands still; its pulse is never started."""

    def __init__(self, verb: Verb = "pull") -> None:
        self.clock = Clock()
        self.surface = RecordingSurface()
        self.progress = TransferProgress(verb, "team/tool:1", clock=self.clock, beat_s=3600)
        self.progress.show_on(self.surface)

    def say(self, *words: tuple[str, str, int, int]) -> None:
        for each in words:
            self.progress(LayerProgress(*each))

    @property
    def phases(self) -> dict[str, str]:
        return {layer["id"]: layer["phase"] for layer in self.progress.everything()["layers"]}


@pytest.fixture
def bench() -> Bench:
    return Bench()


# what is said of one layer, one after the other; its phase, bytes and total then
SAID: list[tuple[list[tuple[str, int, int]], tuple[str, int, int]]] = [
    ([("Pulling fs layer", 0, 100)], ("waiting", 0, 100)),
    ([("Downloading", 40, 100)], ("downloading", 40, 100)),
    ([("Downloading", 40, 100), ("Download complete", 100, 100)], ("unpacking", 100, 100)),
    ([("Downloading", 100, 100), ("Extracting", 900, 900)], ("unpacking", 100, 100)),
    ([("Extracting", 900, 900), ("Pull complete", 100, 100)], ("done", 100, 100)),
    ([("Already exists", 0, -1)], ("exists", 0, -1)),
    ([("Pull complete", 100, 100), ("Already exists", 0, -1)], ("done", 100, 100)),
    ([("Preparing", 10, 100), ("Pushing", 0, 100)], ("pushing", 0, 100)),
    ([("Pushing", 50, 100), ("Pushed", 100, 100)], ("done", 100, 100)),
    ([("Layer already exists", 0, 100)], ("exists", 0, 100)),
    ([("Mounted from team/base", 0, 100)], ("mounted", 0, 100)),
    ([("Loading layer", 7, -1)], ("loading", 7, -1)),
    ([("Importing", 7, 10)], ("importing", 7, 10)),
    ([("Something new", 7, 10)], ("waiting", 7, 10)),
]


@pytest.mark.parametrize(("said", "expected"), SAID, ids=[" then ".join(word for word, *_ in said) for said, _ in SAID])
def test_a_layer_is_what_was_last_said_of_it(bench: Bench, said: list[tuple[str, int, int]], expected: tuple[str, int, int]) -> None:
    bench.say(*(("abc", *words) for words in said))
    bench.progress.beat()
    layer = bench.surface.last("layers")[0]
    assert (layer["phase"], layer["current"], layer["total"]) == expected


def test_a_mounted_layer_tells_from_where(bench: Bench) -> None:
    bench.say(("abc", "Mounted from team/base", 0, 100))
    assert bench.progress.everything()["layers"][0]["source"] == "team/base"
    assert "mounted from team/base" in bench.progress.snapshot().text


def test_a_beat_sends_the_layers_that_changed_as_one_message_however_often(bench: Bench) -> None:
    bench.say(("a", "Pulling fs layer", 0, 9), ("b", "Pulling fs layer", 0, 9))
    bench.progress.beat()
    bench.say(*(("b", "Downloading", count, 1000) for count in range(1000)))
    bench.progress.beat()
    bench.progress.beat()
    first, second = bench.surface.updates
    assert [layer["id"] for layer in first["layers"]] == ["a", "b"]
    assert [(layer["id"], layer["current"]) for layer in second["layers"]] == [("b", 999)]


def test_rates_are_measured_layer_by_layer_and_for_all(bench: Bench) -> None:
    for count in (0, 100, 200):
        bench.say(("a", "Downloading", count, 1000), ("b", "Downloading", 2 * count, 1000), ("c", "Pulling fs layer", 0, 5))
        bench.progress.beat()
        bench.clock.now += 1
    rates = {layer["id"]: layer["rate"] for layer in bench.progress.everything()["layers"]}
    assert rates == {"a": 100.0, "b": 200.0, "c": 0.0}
    assert bench.surface.last("transfer")["rate"] == 300.0
    bench.say(("a", "Pull complete", 1000, 1000))
    assert bench.progress.everything()["layers"][0]["rate"] == 0.0


# moments and bytes; the rate at the last
RATES: list[tuple[list[tuple[float, int]], float]] = [
    ([(0, 5)], 0.0),
    ([(0, 0), (0, 5)], 0.0),
    ([(0, 0), (2, 100)], 50.0),
    ([(0, 1000), (1, 1000), (2, 1000), (3, 1000), (4, 1000), (5, 1000)], 0.0),
    ([(0, 0), (1, 9000), (4, 9000), (7, 9300)], 100.0),
    ([(0, 1000), (1, 10), (2, 30)], 20.0),
]


@pytest.mark.parametrize(("seen", "expected"), RATES)
def test_a_rate_is_that_of_the_last_seconds(seen: list[tuple[float, int]], expected: float) -> None:
    rate = Rate()
    found = 0.0
    for now, count in seen:
        found = rate.take(now, count)
    assert found == expected


def test_at_the_end_all_is_done_and_the_average_is_told(bench: Bench) -> None:
    bench.say(("a", "Downloading", 4000, 8000), ("b", "Already exists", 0, -1), ("a", "Pull complete", 8000, 8000))
    bench.clock.now += 4
    bench.progress.finish(object())
    transfer = bench.surface.last("transfer")
    assert (transfer["status"], transfer["duration_s"], transfer["rate"], transfer["failure"]) == ("done", 4.0, 2000.0, None)
    assert bench.surface.kept_in_output == 1
    assert not bench.progress.beat()
    text = bench.progress.snapshot().text
    assert text.splitlines() == [
        "pull team/tool:1: pulled, 4 s", "  + a  pulled  8kB", "  = b  exists already", "  2 of 2 layers, 8kB, 2kB/s",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["load", "import"])
def test_what_has_no_word_for_its_end_is_done_at_the_end(verb: Verb) -> None:
    bench = Bench(verb)
    bench.say(("abc", "Loading layer" if verb == "load" else "Importing", 5, -1))
    bench.progress.finish()
    assert bench.phases == {"abc": "done"}
    assert f"{verb} team/tool:1: {verb}ed" in bench.progress.snapshot().text


def test_an_interrupt_stops_what_is_on_its_way_and_says_that_it_goes_on(bench: Bench) -> None:
    bench.say(("a", "Pull complete", 10, 10), ("b", "Downloading", 40, 100), ("c", "Pulling fs layer", 0, 7))
    bench.progress.finish(KeyboardInterrupt())
    assert bench.phases == {"a": "done", "b": "stopped", "c": "stopped"}
    transfer = bench.surface.last("transfer")
    assert (transfer["status"], transfer["failure"]["message"]) == ("interrupted", "interrupted")
    assert "goes on from there" in transfer["failure"]["hint"]
    for form in (bench.progress.snapshot().text, bench.progress.snapshot().html):
        assert "interrupted" in form
        assert "40B of 100B" in form


def test_an_error_is_told_with_its_hint(bench: Bench) -> None:
    bench.say(("a", "Downloading", 40, 100))
    bench.progress.finish(NotFound("blob <x> not found", "ask & wait"))
    assert bench.surface.last("transfer")["failure"] == {"message": "blob <x> not found", "hint": "ask & wait"}
    assert "blob &lt;x&gt; not found" in bench.progress.snapshot().html
    assert "<x>" not in bench.progress.snapshot().html


def test_nothing_changes_after_the_end(bench: Bench) -> None:
    bench.say(("a", "Pull complete", 10, 10))
    bench.progress.finish()
    bench.progress.finish(KeyboardInterrupt())
    bench.say(("a", "Downloading", 1, 10))
    assert bench.phases == {"a": "done"}
    assert bench.surface.last("transfer")["status"] == "done"
    assert bench.surface.kept_in_output == 1


def test_a_replay_holds_everything_as_of_the_last_update(bench: Bench) -> None:
    bench.say(("a", "Downloading", 1, 10))
    bench.progress.replay()
    assert len(bench.surface.updates) == 1
    assert bench.surface.replays[0]["layers"][0]["current"] == 1
    assert bench.surface.replays[0]["transfer"]["status"] == "running"


def test_the_thread_sends_while_it_goes_on_and_ends_with_it() -> None:
    surface = RecordingSurface()
    progress = TransferProgress("pull", beat_s=0.001)
    progress.show_on(surface)
    progress.shown()
    progress(LayerProgress("a", "Downloading", 1, 10))
    wait_until(lambda: surface.updates)
    progress.finish()
    assert not [thread for thread in threading.enumerate() if thread.name == "lab-transfer"]
    assert surface.last("layers")[0]["phase"] == "done"


def test_layers_may_be_told_of_by_many_threads_at_once(bench: Bench) -> None:
    def tell(name: str) -> Callable[[], None]:
        return lambda: bench.say(*((name, "Downloading", count, 500) for count in range(500)), (name, "Pull complete", 500, 500))

    threads = [threading.Thread(target=tell(f"layer{number}")) for number in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.progress.beat()
    bench.progress.finish()
    assert set(bench.phases.values()) == {"done"}
    assert {layer["id"]: layer["current"] for update in bench.surface.updates for layer in update.get("layers", ())} == dict.fromkeys(
        bench.phases, 500
    )
