"""The line of a container's checkpoints: what lies on what, and what a step means."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.containers.files.checkpoint_line import lanes
from labcontainers.errors import Conflict, Failed, InvalidArgument, NotFound
from labcontainers.store import layer_line
from labcontainers.store.layer_line import Frozen, Line
from tests.fakes.in_process_worker import InProcessWorker

WORKER = InProcessWorker()


def frozen(number: int, parent: int, base: int, label: str = "") -> Frozen:
    return Frozen(number, label, 0.0, parent, base, f"layers/{number}/fs")


# 2 was taken while the container ran on 1, 3 after it had ended, and 4 after a rollback to 1
LINE = Line("layers/u/fs", 3, 3, 4, (frozen(1, 0, 0, "a"), frozen(2, 1, 1, "b"), frozen(3, 2, 1), frozen(4, 1, 1)))


@pytest.mark.parametrize(
    ("number", "trees"),
    [(0, ()), (1, ("layers/1/fs",)), (2, ("layers/2/fs", "layers/1/fs")), (3, ("layers/3/fs", "layers/1/fs"))],
)
def test_a_checkpoint_lies_on_its_base_and_not_on_what_was_before_it(number: int, trees: tuple[str, ...]) -> None:
    assert LINE.trees(number) == trees


@pytest.mark.parametrize(("step", "number"), [(0, 0), ("0", 0), (1, 1), ("4", 4), ("a", 1), ("b", 2)])
def test_a_step_is_a_number_or_a_label(step: int | str, number: int) -> None:
    assert LINE.find(step) == number


@pytest.mark.parametrize("step", [5, "5", "c", "", "-1", -1])
def test_a_step_that_is_not_there_is_told(step: int | str) -> None:
    with pytest.raises(NotFound, match="no such checkpoint"):
        LINE.find(step)


@pytest.mark.parametrize("label", ["7", " ", "a ", "-a", "a\tb", "a\x00", "y" * 129])
def test_a_label_cannot_be_taken_for_something_else(label: str) -> None:
    with pytest.raises(InvalidArgument, match="not a label"):
        layer_line.check_label(LINE, label)


def test_two_checkpoints_have_no_label_in_common() -> None:
    assert layer_line.check_label(LINE, "before the upgrade ü") == "before the upgrade ü"
    with pytest.raises(Conflict, match="number 2"):
        layer_line.check_label(LINE, "b")


def test_branches_are_drawn_beside_each_other() -> None:
    assert lanes([(1, 0), (2, 1), (3, 2), (4, 1), (5, 4), (6, 0)]) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 2}


def test_a_container_without_checkpoints_has_no_file_and_writes_to_its_first_layer(tmp_path: Path) -> None:
    assert layer_line.read(tmp_path) == Line()
    assert (Line().upper, Line().work) == ("upper", "work")
    assert LINE.work == "layers/u/work"
    assert layer_line.verify(tmp_path) == []
    assert layer_line.strays(tmp_path) == []


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()

    def fail(target: Path) -> None:
        (target / "half").touch()
        raise Conflict("it ended")

    with pytest.raises(Conflict, match="it ended"):
        layer_line.keep_copy(tmp_path, WORKER, fail)
    assert layer_line.read(tmp_path) == Line()
    assert list((tmp_path / "layers").iterdir()) == []


def test_a_damaged_line_is_refused_with_its_path(tmp_path: Path) -> None:
    for text in ("", "[]", '{"frozen": 1}', '{"frozen": [], "more": 1}'):
        (tmp_path / "line.json").write_text(text)
        with pytest.raises(Failed, match=r"line\.json is damaged"):
            layer_line.read(tmp_path)


def test_what_was_measured_is_kept_by_tree_and_forgotten_with_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        layer_line.write_measured(tmp_path, name, changes=1)
    layer_line.write_measured(tmp_path, "a", size_bytes=2)
    assert layer_line.read_measured(tmp_path) == {"a": {"changes": 1, "size_bytes": 2}, "b": {"changes": 1}}
    (tmp_path / "b").rmdir()
    layer_line.write_measured(tmp_path, "a", size_bytes=3)
    assert layer_line.read_measured(tmp_path) == {"a": {"changes": 1, "size_bytes": 3}}
