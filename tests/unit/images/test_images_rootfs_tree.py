"""A tree that is filled from the host stays inside its own directory and does not depend on who fills it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from labcontainers.images.rootfs_tree import RootTree


@pytest.fixture
def tree(tmp_path: Path) -> RootTree:
    (tmp_path / "source").write_text("content")
    (tmp_path / "outside").mkdir()
    (tmp_path / "fs").mkdir()
    return RootTree(tmp_path / "fs")


@pytest.mark.parametrize("path", ["../outside/x", "a/../../outside/x", "a/../b/x", "way/x", "a/way/x"])
def test_no_path_leads_out(tree: RootTree, tmp_path: Path, path: str) -> None:
    tree.directory("a")
    for place in ("way", "a/way"):
        tree.symlink(str(tmp_path / "outside"), place)
    with pytest.raises(ValueError, match="leads out"):
        tree.copy(str(tmp_path / "source"), path, 0o644)
    with pytest.raises(ValueError, match="leads out"):
        tree.text(path, "text")
    assert list((tmp_path / "outside").iterdir()) == []


def test_modes_do_not_depend_on_the_umask(tree: RootTree, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        tree.copy(str(tmp_path / "source"), "deep/er/copy", 0o755)
        tree.text("etc/text", "text")
        tree.directory("root", 0o700)
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tree.root / name).stat().st_mode) for name in ("deep", "deep/er/copy", "etc/text", "root")}
    assert modes == {"deep": 0o755, "deep/er/copy": 0o755, "etc/text": 0o644, "root": 0o700}


def test_what_is_there_already_is_kept(tree: RootTree, tmp_path: Path) -> None:
    tree.text("file", "first")
    tree.copy(str(tmp_path / "source"), "file", 0o644)
    assert (tree.root / "file").read_text() == "first"


def test_every_time_is_0_when_it_is_finished(tree: RootTree, tmp_path: Path) -> None:
    tree.copy(str(tmp_path / "source"), "a/b", 0o644)
    tree.symlink("b", "a/link")
    tree.finish()
    assert {path.lstat().st_mtime for path in (tree.root, *tree.root.rglob("*"))} == {0}
