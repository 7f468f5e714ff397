"""What the tests of the store run in processes of their own: endless or counted work on one store, told line by line on stdout."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from labcontainers.errors import Conflict, NotFound
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import ContainerRow
from tests.fakes.in_process_worker import InProcessWorker


def open_store(root: str) -> Store:
    return Store.open(StorePaths(Path(root), Path(root) / "run"), InProcessWorker())


def say(*words: object) -> None:
    """One line, whole or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def commit(store: Store, content: str, parents: tuple[str, ...] = ()) -> tuple[str, str]:
    """A layer with some files; its chain and diff id."""
    scratch = store.snapshots.new_tree()
    for number in range(5):
        path = scratch / "fs" / f"{number}"
        path.write_text(content * 200)
        os.utime(path, ns=(0, 0))
    layer = store.snapshots.commit(scratch, parents)
    return layer.chain_id, layer.diff_id


def until_killed(root: str, label: str) -> None:
    """Every kind of change again and again. Before each `doing KEY`, after it `done KEY yes|no`: whether KEY is now in the store."""
    store = open_store(root)
    say("ready")
    number = 0

    def change(key: str, present: bool, work: Callable[[], object]) -> None:
        say("doing", key)
        work()
        say("done", key, "yes" if present else "no")

    while True:
        number += 1
        name = f"{label}-{number}"
        row = ContainerRow(name, name, "lab/base", "i", "{}", float(number))
        data = name.encode() * 20_000
        say("doing", "blob", name)
        say("done", "blob", name, "yes", store.blobs.put(data))
        say("doing", "layer", name)
        chain, diff = commit(store, name)
        say("done", "layer", name, "yes", chain)
        say("doing", "layer", name + "/above")
        above, _ = commit(store, "above", (diff,))
        say("done", "layer", name + "/above", "yes", above)
        change(f"container {name}", True, lambda row=row: store.records.put_container(row))
        store.events.append(Event("container", "create", name, name, {}, number))
        if number % 2:
            store.records.rename_container(name, f"{name}-renamed")
            change(f"layer {name}/above", False, lambda above=above: store.snapshots.remove(above))
            change(f"layer {name}", False, lambda chain=chain: store.snapshots.remove(chain))
            change(f"container {name}", False, lambda name=name: store.records.remove_container(name))


def among_others(root: str, label: str, times: str) -> None:
    """So many random changes of things that all processes share: the same names, the same content, the same layers."""
    store = open_store(root)
    chance = random.Random(label)
    say("ready")
    sys.stdin.readline()
    for number in range(int(times)):
        shared = chance.randrange(4)
        row = ContainerRow(f"{label}-{number}", f"name-{shared}", "lab/base", "i", "{}", float(number))
        with contextlib.suppress(Conflict):
            store.records.put_container(row)
            say("has", row.name, row.id)
            store.records.rename_container(row.id, f"{row.id}-mine")
        chain, diff = commit(store, f"shared {shared}")
        if chance.random() < 0.5:
            store.snapshots.remove(chain)
        own = store.snapshots.new_tree()
        store.snapshots.discard(own)
        kept, _ = commit(store, f"{label} {number}")
        # Somebody else may have removed it.
        with contextlib.suppress(NotFound):
            store.snapshots.lower_paths((diff,))
        assert store.snapshots.has(kept)
        digest = store.blobs.put(b"shared %d" % shared * 1000)
        assert store.blobs.read(digest)
        address = store.records.claim_address("net", row.id, lambda taken: next(str(n) for n in range(10_000) if str(n) not in taken))
        say("address", address)
        store.events.append(Event("container", "create", row.id, row.name, {}, number))
        if number % 5 == 0:
            store.sweep()
    store.close()
    say("ended")


if __name__ == "__main__":
    if sys.argv[1] == "until_killed":
        until_killed(*sys.argv[2:])
    else:
        among_others(*sys.argv[2:])
