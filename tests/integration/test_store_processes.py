"""Several processes work on one store at once, and some of them are killed: the store stays whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labcontainers.errors import Unavailable
from labcontainers.store.layout import Store
from labcontainers.store.locks import Locks
from labcontainers.store.paths import StorePaths
from tests.fakes.in_process_worker import InProcessWorker

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("store_child.py")


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, str(CHILD), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=HOUSE)


@contextmanager
def store_at(root: Path) -> Iterator[Store]:
    store = Store.open(StorePaths(root, root / "run"), InProcessWorker())
    try:
        yield store
    finally:
        store.close()


def half_made(store: Store) -> list[Path]:
    """What is left over outside the trash, which is emptied of what is old."""
    return [path for path in store.leftovers() if path.parent != store.paths.trash]


def test_processes_that_change_the_same_things_at_once_leave_a_whole_store(place: Path) -> None:
    count, times = 4, 25
    children = [start("among_others", str(place / "s"), f"p{number}", str(times)) for number in range(count)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    output = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        output.append(child.communicate(timeout=120)[0].splitlines())
    assert [child.returncode for child in children] == [0] * count
    assert [lines[-1] for lines in output] == ["ended"] * count
    with store_at(place / "s") as store:
        assert store.verify(deep=True) == []
        assert store.leftovers() == []
        addresses = [line.split()[1] for lines in output for line in lines if line.startswith("address")]
        assert sorted(map(int, addresses)) == list(range(count * times))
        assert len(list(store.events.read())) == count * times
        owners = [line.split()[2] for lines in output for line in lines if line.startswith("has")]
        assert {row.id for row in store.records.list_containers()} == set(owners)
        own_layers = count * times
        assert own_layers <= len(store.records.list_layers()) <= own_layers + 4


def test_a_process_that_is_killed_at_any_instant_leaves_what_it_had_done_and_nothing_half_made(place: Path) -> None:
    chance = random.Random(7)
    root = place / "s"
    for round_ in range(25):
        child = start("until_killed", str(root), f"r{round_}")
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 0.06)
        child.kill()
        lines = child.communicate()[0].split("\n")[:-1]
        with store_at(root) as store:
            assert store.verify(deep=True) == []
            assert half_made(store) == []
            store.sweep()
            assert store.verify() == []
            assert list(store.paths.tmp.iterdir()) == []
            check_what_was_done(store, lines)
            list(store.events.read())


def check_what_was_done(store: Store, lines: list[str]) -> None:
    """All that the child said was done is so, but for the one thing that it was about when it was killed."""
    done: dict[tuple[str, str], tuple[bool, str]] = {}
    for words in map(str.split, lines):
        key = (words[1], words[2])
        if words[0] == "doing":
            known = done.pop(key, (False, ""))[1]
        else:
            done[key] = (words[3] == "yes", words[4] if len(words) > 4 else known)
    for (kind, name), (present, digest) in done.items():
        if kind == "blob":
            assert store.blobs.has(digest), name
        elif kind == "layer":
            assert store.snapshots.has(digest) is present, name
        else:
            assert (store.records.find_container(name) is not None) is present, name


def test_processes_that_are_killed_beside_living_ones_do_not_disturb_them(place: Path) -> None:
    root = place / "s"
    living = start("among_others", str(root), "living", "25")
    assert living.stdin is not None
    assert living.stdout is not None
    living.stdout.readline()
    living.stdin.write("go\n")
    living.stdin.flush()
    for round_ in range(3):
        child = start("until_killed", str(root), f"r{round_}")
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.03)
        child.kill()
        child.communicate()
    output, _ = living.communicate(timeout=120)
    assert (living.returncode, output.splitlines()[-1]) == (0, "ended")
    with store_at(root) as store:
        store.sweep()
        assert store.verify(deep=True) == []
        assert half_made(store) == []


def test_many_processes_may_make_the_same_store_at_once(place: Path) -> None:
    children = [start("among_others", str(place / "s"), str(number), "0") for number in range(6)]
    for child in children:
        output, _ = child.communicate("go\n", timeout=60)
        assert (child.returncode, output.splitlines()) == (0, ["ready", "ended"])


def test_a_lock_of_a_dead_process_is_free(place: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from labcontainers.store.locks import Locks\n"
        f"with Locks(Path({str(place)!r})).hold('images'): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=HOUSE)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    locks = Locks(place)
    with pytest.raises(Unavailable, match="images"), locks.hold("images", timeout_s=0.05):
        pass
    child.kill()
    child.communicate()
    with locks.hold("images", timeout_s=5):
        pass
