"""The hour of history: fine points, means before, bounded memory, and what is kept of containers that are gone."""

from __future__ import annotations

import math

from labcontainers.containers.usage.stats import StatsSample
from labcontainers.engine.dashboard.history import COARSE_KEPT, FINE_KEPT, Ring, Track, Tracks, Usage, mean_of, total_of, usage_of

NAN = math.nan


def point(time: float, cpu: float = 1.0, memory: float = 100.0) -> Usage:
    return Usage(time, cpu, memory, 1.0, NAN, 0.0, 0.0, 2.0)


def test_a_ring_keeps_the_last_points_in_order() -> None:
    ring = Ring(3)
    for time in range(5):
        ring.push(point(time))
    assert [kept.time for kept in ring] == [2, 3, 4]


def test_an_hour_at_a_second_is_two_fine_minutes_and_means_of_ten_seconds_before() -> None:
    track = Track()
    for time in range(7200):
        track.add(point(float(time), cpu=float(time)))
    points = track.points()
    fine = [kept for kept in points if kept.time >= 7199 - 120]
    assert len(fine) == FINE_KEPT
    assert len(points) <= FINE_KEPT + COARSE_KEPT
    assert points[0].time >= 7199 - 3600
    assert [kept.time for kept in points] == sorted({kept.time for kept in points})
    coarse = points[5]
    assert coarse.cpu_percent == coarse.time, "a mean of a line lies on it"


def test_memory_is_bounded_however_long_it_goes_on() -> None:
    track = Track()
    for time in range(30_000):
        track.add(point(float(time)))
    assert len(track._fine) == FINE_KEPT
    assert len(track._coarse) == COARSE_KEPT


def test_points_ten_seconds_apart_fill_the_hour_as_they_are() -> None:
    track = Track()
    for time in range(0, 7200, 10):
        track.add(point(float(time), cpu=float(time)))
    points = track.points()
    assert [kept.time for kept in points] == list(range(3590, 7200, 10))
    assert all(kept.cpu_percent == kept.time for kept in points)


def test_a_clock_that_was_put_back_a_little_adds_nothing_and_one_put_back_far_begins_anew() -> None:
    track = Track()
    track.add(point(10_000.0))
    track.add(point(9_990.0))
    assert [kept.time for kept in track.points()] == [10_000.0]
    track.add(point(100.0))
    assert [kept.time for kept in track.points()] == [100.0]


def test_means_and_sums_leave_out_what_is_not_known() -> None:
    known, unknown = Usage(1.0, 10.0, 4.0, 5.0), Usage(3.0, 20.0, 8.0)
    mean = mean_of([known, unknown])
    assert (mean.time, mean.cpu_percent, mean.memory_bytes, mean.network_rx) == (2.0, 15.0, 6.0, 5.0)
    total = total_of(9.0, [known, unknown])
    assert (total.time, total.cpu_percent, total.memory_bytes, total.network_rx) == (9.0, 30.0, 12.0, 5.0)
    assert math.isnan(total.network_tx)
    assert total_of(9.0, [])[:3] == (9.0, 0.0, 0.0)


def sample(time_s: float, cpu_ns: int, received: int | None) -> StatsSample:
    return StatsSample(int(time_s * 1e9), 7.0, cpu_ns, 4096, None, None, 10, 20, received, None)


def test_rates_are_between_two_samples_and_unknown_without_one_before() -> None:
    first, second = sample(100, 0, 1000), sample(102, 500_000_000, 3000)
    alone, rates = usage_of(first), usage_of(second, first)
    assert alone.cpu_percent == 7.0
    assert math.isnan(alone.network_rx)
    assert (rates.cpu_percent, rates.network_rx, rates.block_read) == (25.0, 1000.0, 0.0)
    assert math.isnan(rates.network_tx)
    assert math.isnan(rates.pids)
    assert usage_of(sample(104, 0, 0), second).network_rx == 0.0, "a counter that began anew is no negative rate"


def test_of_many_that_are_gone_the_oldest_are_forgotten() -> None:
    tracks = Tracks(gone_kept=2)
    for name in "abc":
        tracks.add(name, point(1.0))
    assert tracks.leave("a") == []
    assert tracks.leave("b") == []
    assert tracks.leave("c") == ["a"]
    assert tracks.points("a") == []
    assert [kept.time for kept in tracks.points("c")] == [1.0]
