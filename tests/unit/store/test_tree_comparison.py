"""What is told of two trees that should be the same: the file, and why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers.store.tree_comparison import compare, compare_with
from labcontainers.store.trees import measure


def make(tree: Path, change: Callable[[Path], object] = lambda tree: None) -> str:
    (tree / "d/e").mkdir(parents=True)
    (tree / "d/text").write_text("one\ntwo\nthree\n")
    (tree / "d/e/data").write_bytes(b"\0" * 2_000_000)
    (tree / "link").symlink_to("d/text")
    os.link(tree / "d/text", tree / "d/twin")
    change(tree)
    for path in [tree, *tree.rglob("*")]:
        if path.lstat().st_mtime > 1000:
            os.utime(path, (100, 100), follow_symlinks=False)
    return str(tree)


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def add_many(tree: Path) -> None:
    for number in range(70):
        (tree / f"f{number:03}").touch()


def unshare(path: Path) -> None:
    text = path.read_text()
    path.unlink()
    path.write_text(text)


CHANGES: list[tuple[str, Callable[[Path], object], str, str, str]] = [
    ("content", lambda tree: (tree / "d/text").write_text("one\nTWO\nthree\n"), "/d/text", "content", "line 2: 'two', then 'TWO'"),
    ("shorter", lambda tree: (tree / "d/text").write_text("one"), "/d/text", "content", "line 2: 'two', then its end"),
    ("order", lambda tree: (tree / "d/text").write_text("three\none\ntwo\n"), "/d/text", "content", "the order of its lines"),
    ("bytes", lambda tree: os.truncate(tree / "d/e/data", 1_500_000), "/d/e/data", "content", "from byte 1500000 on"),
    ("target", lambda tree: relink(tree / "link", "/x"), "/link", "content", "leads to 'd/text', then to '/x'"),
    ("mode", lambda tree: (tree / "d/e").chmod(0o700), "/d/e", "mode", "755, then 700"),
    ("time", lambda tree: os.utime(tree / "d/e/data", (7, 7)), "/d/e/data", "time", "100.000000000, then 7.000000000"),
    ("links", lambda tree: unshare(tree / "d/twin"), "/d/twin", "links", "the same file as /d/text, then as no other"),
    ("missing", lambda tree: (tree / "link").unlink(), "/link", "only in one", "only the first time it was there"),
    ("more", lambda tree: (tree / "d/a").touch(), "/d/a", "only in one", "only the second time it was there"),
    ("kind", lambda tree: become_directory(tree / "link"), "/link", "kind", "a symbolic link, then a directory"),
]


@pytest.mark.parametrize(("change", "path", "what", "detail"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_the_first_file_that_differs_is_told_with_the_reason(
    tmp_path: Path, change: Callable[[Path], object], path: str, what: str, detail: str
) -> None:
    first, second = make(tmp_path / "1"), make(tmp_path / "2", change)
    found = compare(first, second)[0]
    assert found["path"] == path
    assert what in found["what"]
    assert detail in found["detail"]


def test_equal_trees_differ_in_nothing(tmp_path: Path) -> None:
    first, second = make(tmp_path / "1"), make(tmp_path / "2")
    assert compare(first, second) == []
    assert compare_with(second, None, first) == {"diff_id": measure(first)["diff_id"], "differences": [], "count": 0}


def test_times_are_settled_before_trees_are_compared(tmp_path: Path) -> None:
    first = make(tmp_path / "1")
    second = make(tmp_path / "2")
    os.utime(tmp_path / "2/d/text", (2**31, 2**31))
    assert compare_with(second, 100, first)["differences"] == []


def test_many_differences_are_counted_and_the_first_ones_told(tmp_path: Path) -> None:
    first = make(tmp_path / "1")
    second = make(tmp_path / "2", add_many)
    found = compare_with(second, None, first)
    assert (found["count"], len(found["differences"])) == (70, 50)
    assert found["differences"][0]["path"] == "/f000"
