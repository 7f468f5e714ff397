"""The memory limit where no control group holds one: who is counted, when it ends, and that it looks again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from labcontainers.runtime.reactor import Reactor
from labcontainers.runtime.used_memory import FilesInMemory, at_most, exact
from labcontainers.runtime.watchdog import Watchdog

MEBIBYTE = 1 << 20
HOLD = "import sys; held = bytearray(b'x' * int(sys.argv[1])); print(flush=True); sys.stdin.read()"


@contextmanager
def holding(size: int, *, below: bool = False) -> Iterator[int]:
    """The pid of a child that holds that much memory, itself or by a child of its own."""
    command = [sys.executable, "-I", "-S", "-c", HOLD, str(size)]
    if below:
        command = ["sh", "-c", '"$@"; true', "sh", *command]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid


def test_children_and_theirs_are_counted_and_who_is_ignored_is_not() -> None:
    before = at_most(os.getpid())
    with holding(40 * MEBIBYTE) as pid:
        assert 40 * MEBIBYTE <= at_most(os.getpid()) - before < 70 * MEBIBYTE
        assert at_most(os.getpid(), pid) == before
    with holding(40 * MEBIBYTE, below=True):
        assert 40 * MEBIBYTE <= at_most(os.getpid()) - before < 70 * MEBIBYTE
    assert at_most(os.getpid()) == before


def test_a_process_that_is_no_more_has_nothing() -> None:
    with holding(0) as pid:
        pass
    assert at_most(pid) == 0


def test_it_ends_what_has_more_than_allowed_and_tells_why_once() -> None:
    ended: list[int] = []
    reactor = Reactor()
    request = {"memory_watch": at_most(os.getpid()) + 30 * MEBIBYTE}
    watchdog = Watchdog(request, reactor, 0, 0, lambda: ended.append(1))
    assert (ended, watchdog.stop()) == ([], "")
    watchdog = Watchdog(request, reactor, 0, 0, lambda: ended.append(1))
    with holding(40 * MEBIBYTE):
        reactor.turn()
        assert ended == [1]
        assert "ended by the memory watchdog: its processes and files in memory had" in watchdog.stop()
        request["memory_watch"] *= 4
        assert Watchdog(request, reactor, 0, 0, lambda: ended.append(2)).stop() == ""
    assert ended == [1]


def test_a_limit_that_is_taken_away_is_none() -> None:
    ended: list[int] = []
    with holding(MEBIBYTE):
        Watchdog({"memory_watch": 0}, Reactor(), 0, 0, lambda: ended.append(1)).stop()
    assert ended == []


def test_what_several_share_is_counted_for_each_at_first_and_once_exactly() -> None:
    program = (
        "import mmap, os, sys\nshared = mmap.mmap(-1, int(sys.argv[1]))\nshared.write(b'x' * len(shared))\n"
        "for _ in range(3):\n    os.fork() or (shared.seek(0), sum(shared[::4096]), print(flush=True), sys.stdin.read(), os._exit(0))\n"
        "for _ in range(3):\n    os.wait()\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(40 * MEBIBYTE)]
    nothing: frozenset[tuple[int, int]] = frozenset()
    before = at_most(os.getpid()), exact(os.getpid(), 0, nothing)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(3):
            child.stdout.readline()
        assert at_most(os.getpid()) - before[0] >= 4 * 40 * MEBIBYTE
        assert 40 * MEBIBYTE <= exact(os.getpid(), 0, nothing) - before[1] < 2 * 40 * MEBIBYTE
        ended: list[int] = []
        request = {"memory_watch": before[0] + 100 * MEBIBYTE}
        assert (Watchdog(request, Reactor(), 0, 0, lambda: ended.append(1)).stop(), ended) == ("", [])
        child.communicate()


def test_no_tmpfs_that_this_process_has_as_well_is_the_containers() -> None:
    files = FilesInMemory(os.getpid())
    assert (files.devices, files.used_bytes()) == (frozenset(), 0)
    assert FilesInMemory(2**22 + 1).devices == frozenset()
