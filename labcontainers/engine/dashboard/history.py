"""What containers have used in the last hour: each second of the last two minutes, and the means of ten seconds before; bounded memory.

It must not know where the figures come from.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

NAN = math.nan
FINE_S, COARSE_S = 1.0, 10.0
FINE_KEPT, COARSE_KEPT = 120, 360
HOUR_S = COARSE_S * COARSE_KEPT
# containers that are gone, and of which the history is still there
GONE_KEPT = 200


class Usage(NamedTuple):
    """What was used at `time` (seconds since the epoch): 100 percent is one processor, rates are bytes per second; NaN is not known."""

    time: float
    cpu_percent: float
    memory_bytes: float
    network_rx: float = NAN
    network_tx: float = NAN
    block_read: float = NAN
    block_write: float = NAN
    pids: float = NAN


FIGURES = Usage._fields[1:]
_WIDTH = len(Usage._fields)


def usage_of(now: Any, before: Any = None) -> Usage:
    """From a StatsSample, with rates since the one `before`; without that the mean CPU since the start, and no rates."""
    seconds = (now.time_ns - before.time_ns) / 1e9 if before is not None else 0.0

    def rate(name: str) -> float:
        new, old = getattr(now, name), getattr(before, name, None)
        return float(round(max(0.0, (new - old) / seconds))) if new is not None and old is not None and seconds > 0 else NAN

    cpu = rate("cpu_ns")
    return Usage(
        time=round(now.time_ns / 1e9, 3),
        cpu_percent=round(now.cpu_percent if math.isnan(cpu) else cpu / 1e7, 1),
        memory_bytes=float(now.memory_bytes or 0),
        network_rx=rate("network_rx_bytes"),
        network_tx=rate("network_tx_bytes"),
        block_read=rate("block_read_bytes"),
        block_write=rate("block_write_bytes"),
        pids=NAN if now.pids is None else float(now.pids),
    )


def total_of(time: float, parts: list[Usage]) -> Usage:
    """What all use together; a figure that nobody tells is not known."""
    columns = list(zip(*parts, strict=True))[1:]
    sums = [sum(known) if (known := [value for value in column if value == value]) else NAN for column in columns]
    return Usage(time, *(sums or [0.0, 0.0, NAN, NAN, NAN, NAN, 0.0]))


def mean_of(points: list[Usage]) -> Usage:
    """The mean of each figure, of those points that know it."""
    columns = zip(*points, strict=True)
    return Usage(*(sum(known) / len(known) if (known := [value for value in column if value == value]) else NAN for column in columns))


class Ring:
    """The last `capacity` points, as numbers of eight bytes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._numbers = array("d")
        self._start = 0

    def __len__(self) -> int:
        return len(self._numbers) // _WIDTH

    def push(self, point: Usage) -> None:
        if len(self) < self._capacity:
            self._numbers.extend(point)
            return
        at = self._start * _WIDTH
        self._numbers[at : at + _WIDTH] = array("d", point)
        self._start = (self._start + 1) % self._capacity

    def __iter__(self) -> Iterator[Usage]:
        for number in range(len(self)):
            at = (self._start + number) % len(self) * _WIDTH
            yield Usage(*self._numbers[at : at + _WIDTH])


class Track:
    """The history of one container."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._fine = Ring(FINE_KEPT)
        self._coarse = Ring(COARSE_KEPT)
        self._gathered: list[Usage] = []
        self.last: Usage | None = None

    def add(self, point: Usage) -> None:
        """Points come in the order of time; one that does not is left out, as after a clock was put back."""
        if self.last is not None and point.time <= self.last.time:
            if self.last.time - point.time < HOUR_S:
                return
            # what was known is of a time that is yet to come
            self._begin()
        if self._gathered and point.time // COARSE_S != self._gathered[0].time // COARSE_S:
            self._coarse.push(mean_of(self._gathered))
            self._gathered = []
        self._gathered.append(point)
        self._fine.push(point)
        self.last = point

    def fine(self) -> list[Usage]:
        """The points of the last two minutes as they came."""
        return self._within(self._fine, FINE_KEPT * FINE_S)

    def points(self) -> list[Usage]:
        """The last hour: means as far as there are no finer points."""
        fine = self.fine()
        begin = fine[0].time if fine else math.inf
        return [*(point for point in self._within(self._coarse, HOUR_S) if point.time < begin), *fine]

    def _within(self, ring: Ring, seconds: float) -> list[Usage]:
        since = (self.last.time if self.last is not None else 0.0) - seconds
        return [point for point in ring if point.time >= since]


class Tracks:
    """The histories of all containers by their ids, also of those that are gone; thread-safe. "" is all of them together."""

    def __init__(self, gone_kept: int = GONE_KEPT) -> None:
        self._lock = threading.Lock()
        self._gone_kept = gone_kept
        self._tracks: dict[str, Track] = {}
        self._gone: dict[str, None] = {}

    def add(self, container_id: str, point: Usage) -> None:
        with self._lock:
            self._tracks.setdefault(container_id, Track()).add(point)

    def points(self, container_id: str, *, fine: bool = False) -> list[Usage]:
        """What is known of a container, [] for one that is not."""
        with self._lock:
            track = self._tracks.get(container_id)
            return [] if track is None else track.fine() if fine else track.points()

    def last(self, container_id: str) -> Usage | None:
        with self._lock:
            track = self._tracks.get(container_id)
            return None if track is None else track.last

    def leave(self, container_id: str) -> list[str]:
        """The container is gone; the ids of those that are forgotten for it, which have been gone for longest."""
        with self._lock:
            self._gone[container_id] = None
            forgotten = list(self._gone)[: max(0, len(self._gone) - self._gone_kept)]
            for old in forgotten:
                del self._gone[old]
                self._tracks.pop(old, None)
            return forgotten
