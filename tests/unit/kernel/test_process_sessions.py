"""Members of a kernel session: found by the session's number and their start, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from labcontainers.kernel.process_sessions import end_members, members, now_ticks, signal_members
from labcontainers.runtime.handshake import start_time
from tests.waiting import until


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """A shell that leads a session of three: two that sleep, one of which ignores SIGHUP."""
    script = "sleep 1000 & (trap '' HUP; exec sleep 2000) & echo; read x"
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    start = start_time(process.pid)
    process.stdout.readline()
    yield process
    end_members(process.pid, start)
    process.kill()
    process.communicate()


def test_members_are_told_by_their_start(leader: subprocess.Popen[bytes]) -> None:
    began = start_time(leader.pid)
    until(lambda: len(members(leader.pid, began, 0)) == 2, "both sleep")
    assert leader.pid not in dict(members(leader.pid, began, 0))
    assert members(leader.pid, began, now_ticks() + 1) == []
    assert members(leader.pid, began - 1, 0) == [], "the pid is another process' by now"
    assert signal_members(leader.pid, began, now_ticks() + 1, 0, True) == 1
    assert members(os.getpid(), 0, 0) == []


def test_all_that_is_left_is_ended(leader: subprocess.Popen[bytes]) -> None:
    began = start_time(leader.pid)
    until(lambda: len(members(leader.pid, began, 0)) == 2, "both sleep")
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    assert end_members(leader.pid, began) == 2
    assert members(leader.pid, began, 0) == []
    assert end_members(leader.pid, began) == 0
