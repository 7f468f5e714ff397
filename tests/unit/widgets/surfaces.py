"""Stand-ins for what a card or a build sends to, which keep what they are given, and for the threads that cards share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from labcontainers.containers.usage.sampler import Sampler
from labcontainers.widgets.rounds import Beat, Rounds


class CountingSampler(Sampler):
    """A Sampler that tells how many are looked at."""

    @property
    def looked_at(self) -> int:
        with self._lock:
            return len(self._subscriptions)


class HandSampler(CountingSampler):
    """A Sampler without a thread: the test says when a round is."""

    def round(self) -> None:
        """Ask every source once."""
        for key in list(self._sources):
            self._sample(key)


class HandRounds(Rounds):
    """Rounds without a thread: the test beats."""

    def __init__(self) -> None:
        super().__init__("by hand", 0)

    def start(self, beat: Beat) -> None:
        self._beats[beat] = True

    def wants(self, beat: Beat) -> bool:
        """Whether `beat` was started and not stopped."""
        return beat in self._beats


class RecordingSurface:
    """Keeps every update and replay, and how often a saved notebook was renewed."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.replays: list[dict[str, Any]] = []
        self.kept_in_output = 0
        self.kept_in_state = 0

    def update(self, data: Mapping[str, Any]) -> None:
        self.updates.append(dict(data))

    def resend(self, data: Mapping[str, Any]) -> None:
        self.replays.append(dict(data))

    def keep(self, *, in_output: bool) -> None:
        if in_output:
            self.kept_in_output += 1
        else:
            self.kept_in_state += 1

    def last(self, name: str) -> Any:
        """The newest value of one part."""
        return next(update[name] for update in reversed(self.updates) if name in update)

    def lines(self) -> list[str]:
        """Every log line that was sent in updates."""
        return [text for update in self.updates if "log" in update for _, _, text in update["log"]["rows"]]

    def skipped(self) -> int:
        return sum(update["log"]["skipped"] for update in self.updates if "log" in update)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def wait_until(true: Callable[[], object]) -> None:
    """Wait for what another thread does; fails after a time that no machine needs."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
