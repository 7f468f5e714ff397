"""Times of trees: nothing newer than a moment, bytecode that stays good, and trees that were made to be walked badly."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest

from labcontainers.store.tree_times import settle_times
from labcontainers.store.trees import measure, remove

NEWEST_S = 1_000_000_000


def times_s(tree: Path) -> dict[str, float]:
    return {str(path.relative_to(tree)): path.lstat().st_mtime for path in [tree, *sorted(tree.rglob("*"))]}


def test_what_is_newer_gets_the_time_and_what_is_older_keeps_its_own(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d/e").mkdir(parents=True)
    (tree / "d/old").write_text("x")
    (tree / "d/new").write_text("y")
    (tree / "d/link").symlink_to("/etc/passwd")
    os.mkfifo(tree / "d/e/fifo")
    os.utime(tree / "d/old", (5, 5))
    before = os.stat("/etc/passwd").st_mtime_ns
    settle_times(str(tree), NEWEST_S)
    found = times_s(tree)
    assert found.pop("d/old") == 5
    assert set(found.values()) == {NEWEST_S}
    assert os.stat("/etc/passwd").st_mtime_ns == before


def test_two_trees_of_other_times_become_the_same_layer(tmp_path: Path) -> None:
    digests = []
    for number in (1, 2):
        tree = tmp_path / str(number)
        (tree / "d").mkdir(parents=True)
        (tree / "d/f").write_text("x")
        os.utime(tree / "d/f", (2**31 + number, 2**31 + number))
        settle_times(str(tree), 0)
        digests.append(measure(str(tree))["diff_id"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("mode", [py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.CHECKED_HASH])
def test_bytecode_still_belongs_to_its_source(tmp_path: Path, mode: py_compile.PycInvalidationMode) -> None:
    source = tmp_path / "pack" / "some.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    compiled = Path(importlib.util.cache_from_source(str(source)))
    optimized = Path(importlib.util.cache_from_source(str(source), optimization="2"))
    for path in (compiled, optimized, source.with_suffix(".pyc")):
        py_compile.compile(str(source), cfile=str(path), invalidation_mode=mode)
    settle_times(str(tmp_path), NEWEST_S)
    for path in (compiled, optimized, source.with_suffix(".pyc")):
        header = path.read_bytes()[:16]
        timed = mode is py_compile.PycInvalidationMode.TIMESTAMP
        assert int.from_bytes(header[4:8], "little") == (0 if timed else 3)
        assert not timed or int.from_bytes(header[8:12], "little") == NEWEST_S == int(source.stat().st_mtime)


def test_bytecode_that_did_not_belong_to_its_source_does_not_afterwards(tmp_path: Path) -> None:
    source = tmp_path / "some.py"
    source.write_text("x = 1\n")
    compiled = Path(py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP) or "")
    os.utime(source, (2**31, 2**31))
    before = compiled.read_bytes()
    (tmp_path / "__pycache__/short.cpython-311.pyc").write_bytes(b"x")
    (tmp_path / "short.py").touch()
    settle_times(str(tmp_path), NEWEST_S)
    assert compiled.read_bytes() == before


def test_a_tree_deeper_than_pythons_stack_is_walked(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    fd = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.mkdir("last", dir_fd=fd)
    try:
        settle_times(str(tmp_path / "deep"), 0)
        assert os.stat("last", dir_fd=fd).st_mtime == 0
    finally:
        os.close(fd)
        remove(str(tmp_path / "deep"))
