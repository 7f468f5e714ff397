"""A folder that an export fills: whole at the end or as it was before, and nothing outside it is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.build.outputs.folder import check_folder, filling
from labcontainers.errors import Conflict, InvalidArgument


def put(fd: int, path: str, text: str = "new", mode: int = 0o644) -> None:
    """A file in an open directory, made with the directories on its way."""
    place = Path(f"/proc/self/fd/{fd}") / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)


def test_a_new_folder_and_those_above_it_are_made(tmp_path: Path) -> None:
    out = tmp_path / "a/b/out"
    with filling(out) as fd:
        put(fd, "bin/tool", mode=0o755)
        assert not out.exists()
    assert (out / "bin/tool").read_text() == "new"
    assert os.stat(out / "bin/tool").st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path / "a/b") == ["out"]


def test_what_a_folder_has_stays_unless_the_export_has_it_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "etc").mkdir(parents=True)
    (out / "etc/mine").write_text("mine")
    (out / "etc/old").write_text("old")
    with filling(out) as fd:
        put(fd, "etc/old")
        put(fd, "etc/new")
        os.chmod("etc", 0o555, dir_fd=fd)
    assert {path.name: path.read_text() for path in out.rglob("*") if path.is_file()} == {"mine": "mine", "old": "new", "new": "new"}
    assert os.stat(out / "etc").st_mode & 0o777 == 0o555
    assert os.listdir(out) == ["etc"]
    (out / "etc").chmod(0o755)


def test_directories_that_nobody_may_write_to_are_moved_with_their_modes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with filling(out) as fd:
        put(fd, "closed/file")
        os.chmod("closed", 0o500, dir_fd=fd)
    assert os.stat(out / "closed").st_mode & 0o777 == 0o500
    (out / "closed").chmod(0o700)


@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_nothing(tmp_path: Path, existing: bool) -> None:
    out = tmp_path / "deep/out"
    if existing:
        out.mkdir(parents=True)

    def fail() -> None:
        with filling(out) as fd:
            put(fd, "half/done")
            os.chmod("half", 0, dir_fd=fd)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == (["deep", "out"] if existing else [])


def test_a_directory_and_a_file_of_one_name_are_refused_before_anything_is_moved(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "zz").mkdir(parents=True)

    def fill() -> None:
        with filling(out) as fd:
            put(fd, "aa")
            put(fd, "zz")

    with pytest.raises(Conflict, match="zz is a directory in the folder"):
        fill()
    assert os.listdir(out) == ["zz"]
    (out / "zz").rmdir()
    (out / "zz").write_text("file")
    with pytest.raises(Conflict, match="zz is no directory"), filling(out) as fd:
        put(fd, "zz/inner")
    assert (out / "zz").read_text() == "file"


def test_links_in_the_folder_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("safe")
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").symlink_to(outside / "file")
    (out / "dir").symlink_to(outside)
    with filling(out) as fd:
        put(fd, "file")
    assert (outside / "file").read_text() == "safe"
    assert (out / "file").read_text() == "new"
    with pytest.raises(Conflict, match="dir is no directory"), filling(out) as fd:
        put(fd, "dir/file")
    assert (outside / "file").read_text() == "safe"


def test_a_folder_that_became_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "out"
    out.symlink_to(outside)
    with pytest.raises(NotADirectoryError), filling(out) as fd:
        put(fd, "file")
    assert os.listdir(outside) == []


def test_places_where_no_folder_can_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    check_folder(tmp_path / "new/deep", "-o")
    for name, kind, told in (
        ("file", Conflict, "is not a directory"),
        ("file/below", Conflict, "is not a directory"),
        ("link", InvalidArgument, "is a symbolic link"),
    ):
        with pytest.raises(kind, match=told):
            check_folder(tmp_path / name, "-o")
