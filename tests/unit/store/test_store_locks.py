"""Named locks exclude threads; between processes they are tested in the integration tests."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from labcontainers.errors import Unavailable
from labcontainers.store.locks import Locks

NAMES = ("plain", "docker.io/lab/base:latest", "..", ".", "", "/", "x" * 500, "é", "a\0b", "\udcff")


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_one_file_in_the_directory(locks: Locks, tmp_path: Path, name: str) -> None:
    with locks.hold(name), pytest.raises(Unavailable):
        with locks.hold(name, timeout_s=0):
            pass
    assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]


def test_different_names_are_different_locks(locks: Locks) -> None:
    pairs = (("a/b", "a_b"), ("x" * 200, "x" * 201), ("é", "è"), (".a", "a"))
    for first, second in pairs:
        with locks.hold(first), locks.hold(second, timeout_s=0):
            pass


def test_a_lock_that_is_not_free_in_time_is_named(locks: Locks) -> None:
    start = time.monotonic()
    with locks.hold("images"), pytest.raises(Unavailable, match="'images'"):
        with locks.hold("images", timeout_s=0.05):
            pass
    assert 0.05 <= time.monotonic() - start < 5


def test_threads_exclude_each_other(locks: Locks) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locks.hold("one"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_shared_holders_do_not_exclude_each_other_but_one_who_wants_it_alone(locks: Locks) -> None:
    with locks.hold("x", shared=True), locks.hold("x", shared=True, timeout_s=0), pytest.raises(Unavailable):
        with locks.hold("x", timeout_s=0):
            pass


def test_who_waits_can_read_what_the_holder_has_noted_and_afterwards_nobody_can(locks: Locks) -> None:
    assert locks.note_of("x") == ""
    with locks.hold("x", note="me, at work"):
        assert locks.note_of("x") == "me, at work"
    with locks.hold("x"):
        assert locks.note_of("x") == ""


def test_a_lock_is_free_after_an_error(locks: Locks) -> None:
    with pytest.raises(KeyError), locks.hold("x"):
        raise KeyError
    with locks.hold("x", timeout_s=0):
        pass


def test_sweep_removes_only_files_of_locks_that_nobody_holds(locks: Locks, tmp_path: Path) -> None:
    for number in range(5):
        with locks.hold(f"container-{number}"):
            pass
    with locks.hold("held"):
        locks.sweep()
        assert [path.name for path in tmp_path.iterdir()] == ["held"]
        with pytest.raises(Unavailable), locks.hold("held", timeout_s=0):
            pass


def test_locks_exclude_even_while_their_files_are_swept_away(locks: Locks) -> None:
    inside: list[int] = []
    most: list[int] = []
    ended = threading.Event()

    def work() -> None:
        for _ in range(200):
            with locks.hold("one"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    def sweep() -> None:
        while not ended.is_set():
            locks.sweep()

    threads = [threading.Thread(target=work) for _ in range(3)]
    sweeper = threading.Thread(target=sweep)
    for thread in (sweeper, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    sweeper.join()
    assert max(most) == 1
