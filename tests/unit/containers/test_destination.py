"""Where `cp` puts things, on paper: Docker's rules for source and destination."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.commands.files import _split
from labcontainers.containers.files.destination import Arrangement, Source, Target, arrange, local_target
from labcontainers.containers.files.packing import asserts_directory, entry_name
from labcontainers.errors import Conflict, InvalidArgument, LabError, NotFound

FILE, FOLDER, CONTENT = Source("s", False), Source("s", True), Source(".", True)

# source, destination (exists, is a directory, written as one), the directory to unpack into and the new name of the first part
ARRANGED = [
    (FILE, (True, True, False), "/a/b", None),
    (FILE, (True, True, True), "/a/b", None),
    (FILE, (True, False, False), "/a", ("s", "b")),
    (FILE, (False, False, False), "/a", ("s", "b")),
    (FOLDER, (True, True, False), "/a/b", None),
    (FOLDER, (False, False, False), "/a", ("s", "b")),
    (FOLDER, (False, False, True), "/a", ("s", "b")),
    (CONTENT, (True, True, False), "/a/b", None),
    (CONTENT, (False, False, False), "/a", ("", "b")),
]
REFUSED = [
    (FOLDER, (True, False, False), Conflict, "cannot copy directory"),
    (CONTENT, (True, False, False), Conflict, "cannot copy directory"),
    (FILE, (False, False, True), NotFound, "no such directory"),
    (FILE, (True, False, True), Conflict, "not a directory"),
]
NAMES = [
    ("/etc/passwd", "passwd", False), ("/etc/", "etc", True), ("/etc/.", ".", True), ("/", ".", True), (".", ".", True),
    ("a/..", ".", True), ("a", "a", False), ("/a//", "a", True), ("/a/.b", ".b", False),
]  # fmt: skip
SIDES = [
    ("web:/etc", ("web", "/etc")), ("web:etc:x", ("web", "etc:x")), ("/a:b", ("", "/a:b")), ("./a:b", ("", "./a:b")),
    ("../a:b", ("", "../a:b")), ("-", ("", "-")), ("plain", ("", "plain")),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "directory", "rename"), ARRANGED)
def test_destination_follows_dockers_rules(
    source: Source, target: tuple[bool, bool, bool], directory: str, rename: tuple[str, str] | None
) -> None:
    assert arrange(source, Target("/a/b", *target)) == Arrangement(directory, rename)


@pytest.mark.parametrize(("source", "target", "error", "words"), REFUSED)
def test_destination_that_does_not_fit_is_refused(
    source: Source, target: tuple[bool, bool, bool], error: type[LabError], words: str
) -> None:
    with pytest.raises(error, match=words):
        arrange(source, Target("/a/b", *target))


@pytest.mark.parametrize(("path", "name", "is_directory"), NAMES)
def test_the_archives_name_of_a_path(path: str, name: str, is_directory: bool) -> None:
    assert (entry_name(path), asserts_directory(path)) == (name, is_directory)


@pytest.mark.parametrize(("text", "sides"), SIDES)
def test_a_side_of_cp_is_taken_apart_as_by_docker(text: str, sides: tuple[str, str]) -> None:
    assert _split(text, "source") == sides


@pytest.mark.parametrize("text", ["", ":/x", "web:"])
def test_a_side_of_cp_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        _split(text, "source")


def test_a_chain_of_links_is_followed_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(tmp_path / "folder")
    (tmp_path / "new").symlink_to("folder/nothing")
    (tmp_path / "circle").symlink_to("circle")
    assert local_target(str(tmp_path / "a")) == Target(str(tmp_path / "folder"), True, True, False)
    assert local_target(str(tmp_path / "new")) == Target(str(tmp_path / "folder" / "nothing"), False, False, False)
    with pytest.raises(Conflict, match="too many symbolic links"):
        local_target(str(tmp_path / "circle"))
