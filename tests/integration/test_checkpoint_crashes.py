"""A process is killed at every single line of every change of a container's line of checkpoints: the old line or the new one stays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from labcontainers.store import layer_line
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import ContainerRow
from tests.fakes.in_process_worker import InProcessWorker
from tests.killing import killed_at_line

pytestmark = pytest.mark.alike("ordinary users")

ROW = ContainerRow("1" * 64, "one", "lab/base", "i", "{}", 1.0)
WORKER = InProcessWorker()


def open_store(root: Path) -> Store:
    return Store.open(StorePaths(root, root / "run"), WORKER)


def container(root: Path) -> Path:
    return StorePaths(root, root / "run").containers / ROW.id


def create(root: Path) -> None:
    store = open_store(root)
    for name in ("upper", "work"):
        (container(root) / name).mkdir(parents=True)
    store.records.put_container(ROW)
    store.close()
    write(root, "first")


def write(root: Path, text: str) -> None:
    line = layer_line.read(container(root))
    (container(root) / line.upper / "file").write_text(text)


def freeze(root: Path) -> None:
    layer_line.freeze(container(root), WORKER, "label")


def copy(root: Path) -> None:
    layer_line.keep_copy(container(root), WORKER, lambda target: (target / "file").write_text("first"))


def roll_back(root: Path) -> None:
    layer_line.roll_back(container(root), WORKER, 0, keep=True)


def roll_back_without_keeping(root: Path) -> None:
    layer_line.roll_back(container(root), WORKER, layer_line.read(container(root)).head, keep=False)


def remove(root: Path) -> None:
    layer_line.remove(container(root), WORKER, 1)


def write_second(root: Path) -> None:
    write(root, "second")


# what is done before, and the change that is cut off
Change = Callable[[Path], None]
CHANGES: tuple[tuple[tuple[Change, ...], Change], ...] = (
    ((), freeze),
    ((freeze, write_second), copy),
    ((), copy),
    ((), roll_back),
    ((freeze, write_second), roll_back),
    ((freeze, write_second), roll_back_without_keeping),
    ((), roll_back_without_keeping),
    ((copy,), remove),
    ((freeze, write_second, roll_back_without_keeping, roll_back), remove),
)


def content_of(root: Path) -> tuple[Any, ...]:
    """What is seen in the container, and in each checkpoint."""
    directory = container(root)
    line = layer_line.read(directory)

    def seen(trees: tuple[str, ...]) -> str:
        return next((text for tree in trees if (text := _text(directory / tree)) is not None), "nothing")

    points = tuple((one.number, one.label, one.parent, one.base, seen(line.trees(one.number))) for one in line.frozen)
    return line.base, line.head, seen((line.upper, *line.trees(line.base))), points


def _text(tree: Path) -> str | None:
    file = tree / "file"
    return file.read_text() if file.exists() else None


@pytest.mark.parametrize(("prepare", "change"), CHANGES, ids=lambda value: getattr(value, "__name__", "after") if callable(value) else "")
def test_a_line_of_checkpoints_is_changed_or_not_wherever_its_process_is_killed(
    place: Path, prepare: tuple[Change, ...], change: Change
) -> None:
    def prepared(name: str, *works: Change) -> Path:
        root = place / name
        create(root)
        for work in works:
            work(root)
        return root

    allowed = {content_of(prepared("before", *prepare)), content_of(prepared("after", *prepare, change))}
    assert len(allowed) == 2
    number = 0
    while True:
        number += 1
        root = prepared(str(number), *prepare)
        was_killed = killed_at_line(number, lambda root=root: partial(change, root))
        where = f"killed at line {number}"
        assert content_of(root) in allowed, where
        store = open_store(root)
        try:
            assert store.verify() == [], where
            store.sweep()
            assert [path for path in store.leftovers() if path.parent != store.paths.trash] == [], where
            line = layer_line.read(container(root))
            trees = {line.upper, *(one.tree for one in line.frozen)}
            kept = {path.parent.name for path in (container(root) / tree for tree in trees) if path.name == "fs"}
            layers = container(root) / "layers"
            assert {path.name for path in layers.iterdir()} == kept if layers.exists() else not kept, where
        finally:
            store.close()
        # Whatever was cut off, the next change is made.
        layer_line.freeze(container(root), WORKER)
        assert layer_line.verify(container(root)) == [], where
        if not was_killed:
            assert number > 3
            return


def test_a_damaged_line_is_told_and_nothing_of_the_container_is_swept(place: Path) -> None:
    root = place / "s"
    create(root)
    freeze(root)
    (container(root) / "line.json").write_text('{"upper": ')
    store = open_store(root)
    assert [text for text in store.verify() if "line.json is damaged" in text]
    store.sweep()
    assert len(list((container(root) / "layers").iterdir())) == 1
    store.close()


def test_a_checkpoint_that_lost_its_tree_is_told(place: Path) -> None:
    root = place / "s"
    create(root)
    freeze(root)
    (container(root) / "upper" / "file").unlink()
    (container(root) / "upper").rmdir()
    store = open_store(root)
    assert store.verify() == [f"checkpoint 1 of container {ROW.id[:12]} has no tree"]
    store.close()
