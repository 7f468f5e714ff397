"""Restart policies as arithmetic: Docker's back-off, limits, and what a signal means."""

from __future__ import annotations

import signal

import pytest

from labcontainers.runtime.restart import Restarts, should_restart

# (policy, exit code, restarts so far, stopped by hand, started again)
CASES = [
    ("no", 1, 0, False, False),
    ("always", 0, 0, False, True),
    ("always", 0, 9, True, True),
    ("unless-stopped", 1, 5, False, True),
    ("unless-stopped", 0, 0, True, False),
    ("on-failure", 0, 0, False, False),
    ("on-failure", 3, 500, False, True),
    ("on-failure:2", 3, 1, False, True),
    ("on-failure:2", 3, 2, False, False),
]


@pytest.mark.parametrize(("policy", "exit_code", "count", "by_hand", "expected"), CASES)
def test_a_policy_decides_by_exit_code_count_and_whether_it_was_stopped(
    policy: str, exit_code: int, count: int, by_hand: bool, expected: bool
) -> None:
    parsed = Restarts(policy)
    assert should_restart(parsed.policy, parsed.most, count, exit_code, by_hand) is expected


def test_delays_double_from_100_ms_up_to_a_minute_and_begin_anew_after_ten_seconds_of_running() -> None:
    restarts = Restarts("always")
    delays = [restarts.delay_s(1, 0.5) for _ in range(12)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]
    assert restarts.delay_s(1, 10.0) == 0.1
    assert restarts.count == 13


# (the container's stop signal or 0, signal, to stop, whether the container is to end by it)
SIGNALS = [
    (0, signal.SIGTERM, True, True),
    (0, signal.SIGHUP, False, True),
    (signal.SIGQUIT, signal.SIGHUP, False, False),
    (signal.SIGQUIT, signal.SIGQUIT, False, True),
    (signal.SIGQUIT, signal.SIGKILL, False, True),
    (signal.SIGQUIT, signal.SIGHUP, True, True),
]


@pytest.mark.parametrize(("own", "number", "stop", "ends"), SIGNALS)
def test_a_signal_ends_the_policy_unless_the_container_has_another_stop_signal(own: int, number: int, stop: bool, ends: bool) -> None:
    restarts = Restarts("always", own)
    assert restarts.signalled(number, stop) is ends
    assert (restarts.delay_s(1, 0.0) is None) is ends
    assert restarts.stopped_by_hand


def test_another_policy_takes_effect_at_the_next_end() -> None:
    restarts = Restarts("no")
    assert restarts.delay_s(1, 0) is None
    restarts.change("on-failure:1")
    assert (restarts.delay_s(1, 0), restarts.delay_s(1, 0)) == (0.1, None)
