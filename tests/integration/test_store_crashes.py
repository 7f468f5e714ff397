"""A process is killed at every single line of every change that the store can make: the old state or the new one stays, nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from labcontainers.oci.digest import sha256
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import ContainerRow
from tests.fakes.in_process_worker import InProcessWorker
from tests.killing import killed_at_line

pytestmark = pytest.mark.alike("ordinary users")

ROW = ContainerRow("1" * 64, "one", "lab/base", "i", "{}", 1.0)


def open_store(root: Path) -> Store:
    return Store.open(StorePaths(root, root / "run"), InProcessWorker())


def commit(store: Store) -> None:
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "dir").mkdir()
    (scratch / "fs" / "dir" / "file").write_text("content")
    for path in ("fs/dir/file", "fs/dir"):
        os.utime(scratch / path, ns=(0, 0))
    store.snapshots.commit(scratch, ())


def remove_layers(store: Store) -> None:
    for row in store.records.list_layers():
        store.snapshots.remove(row.chain_id)


def put_blob(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"one")
        writer.write(b"two")
        writer.commit(sha256(b"onetwo"))


def remove_blob(store: Store) -> None:
    store.blobs.remove(sha256(b"onetwo"))


def put_container(store: Store) -> None:
    store.records.put_container(ROW)


def remove_container(store: Store) -> None:
    store.records.remove_container(ROW.id)


def rename_container(store: Store) -> None:
    store.records.rename_container(ROW.id, "other")


def claim_address(store: Store) -> None:
    store.records.claim_address("net", ROW.id, lambda taken: "10.0.0.2")


def discard_tree(store: Store) -> None:
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "file").touch()
    store.snapshots.discard(scratch)


def leave_half_made(store: Store) -> None:
    """Leftovers of every kind, for the sweeper to die over."""
    store.snapshots.new_tree()
    commit(store)
    remove_blob(store)
    for row in store.records.list_layers():
        store.records.remove_layer(row.chain_id)


# what is there before, what is done, what the store then holds of it: (layers, blobs, names of containers, addresses)
Content = tuple[int, int, tuple[str, ...], int]
CHANGES: tuple[tuple[tuple[Callable[[Store], None], ...], Callable[[Store], None]], ...] = (
    ((), commit),
    ((commit,), commit),
    ((commit,), remove_layers),
    ((), put_blob),
    ((put_blob,), put_blob),
    ((put_blob,), remove_blob),
    ((), put_container),
    ((put_container,), rename_container),
    ((put_container,), remove_container),
    ((), claim_address),
    ((), discard_tree),
    ((leave_half_made,), Store.sweep),
)


def content_of(store: Store) -> Content:
    names = tuple(sorted(row.name for row in store.records.list_containers()))
    return len(store.records.list_layers()), len(list(store.blobs.list())), names, len(store.records.list_addresses("net"))


def prepared_change(root: Path, prepare: tuple[Callable[[Store], None], ...], change: Callable[[Store], None]) -> Callable[[], None]:
    store = open_store(root)
    for work in prepare:
        work(store)
    return partial(change, store)


@pytest.mark.parametrize(("prepare", "change"), CHANGES, ids=lambda value: getattr(value, "__name__", "after") if callable(value) else "")
def test_a_change_is_made_or_not_made_wherever_its_process_is_killed(
    place: Path, prepare: tuple[Callable[[Store], None], ...], change: Callable[[Store], None]
) -> None:
    allowed: set[Content] = set()
    for label, works in (("before", prepare), ("after", (*prepare, change))):
        store = open_store(place / label)
        for work in works:
            work(store)
        allowed.add(content_of(store))
        store.close()
    number = 0
    while True:
        number += 1
        root = place / str(number % 2)
        # what measures a tree only reads, and would be most of the lines
        was_killed = killed_at_line(number, partial(prepared_change, root, prepare, change), but="tar_writer.py")
        store = open_store(root)
        try:
            where = f"killed at line {number}"
            assert store.verify(deep=True) == [], where
            assert content_of(store) in allowed, where
            assert [path for path in store.leftovers() if path.parent != store.paths.trash] == [], where
            store.sweep()
            assert list(store.paths.tmp.iterdir()) == [], where
            # As it was, for the next one.
            remove_layers(store)
            remove_blob(store)
            remove_container(store)
            store.records.release_addresses(ROW.id)
        finally:
            store.close()
        if not was_killed:
            assert number > 3
            return
