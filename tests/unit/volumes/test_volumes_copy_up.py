"""A tree copied into a new volume, without a kernel's help: links, names, modes and times."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.errors import InvalidArgument
from labcontainers.volumes.copy_up import fill


@pytest.fixture
def image(tmp_path: Path) -> Path:
    tree = tmp_path / "image"
    (tree / "data" / "inner").mkdir(parents=True)
    (tree / "data" / "file").write_bytes(os.urandom(100_000))
    os.link(tree / "data" / "file", tree / "data" / "inner" / "same")
    (tree / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(tree / "data" / "fifo", 0o640)
    (tree / "data" / "inner").chmod(0o2750)
    os.utime(tree / "data" / "file", ns=(1, 2_000_000_003))
    (tree / "data").chmod(0o711)
    (tree / "way").symlink_to("/data/inner")
    (tree / "plain").write_text("x")
    return tree


def copy(image: Path, target: str, place: Path, in_place: bool = False) -> bool:
    (place / "_data").mkdir(exist_ok=True)
    done = fill([str(image)], target, str(place / "_data"), str(place / "_copy"), in_place, False)
    assert not (place / "_copy").exists()
    return done


@pytest.mark.parametrize("in_place", [False, True])
def test_everything_is_copied_as_it_is(image: Path, tmp_path: Path, in_place: bool) -> None:
    assert copy(image, "/data", tmp_path, in_place)
    data = tmp_path / "_data"
    assert sorted(os.listdir(data)) == ["fifo", "file", "inner", "link"]
    assert (data / "file").read_bytes() == (image / "data" / "file").read_bytes()
    assert (data / "file").stat().st_mtime_ns == 2_000_000_003
    assert os.path.samefile(data / "file", data / "inner" / "same")
    assert os.readlink(data / "link") == "/etc/passwd"
    assert [oct(path.stat().st_mode) for path in (data, data / "inner", data / "fifo")] == ["0o40711", "0o42750", "0o10640"]
    assert sorted(os.listdir(image / "data")) == ["fifo", "file", "inner", "link"]


def test_a_volume_that_holds_something_is_left_alone(image: Path, tmp_path: Path) -> None:
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "mine").touch()
    assert not copy(image, "/data", tmp_path)
    assert os.listdir(tmp_path / "_data") == ["mine"]


def test_links_are_followed_inside_the_image_only(image: Path, tmp_path: Path) -> None:
    assert copy(image, "/way", tmp_path)
    assert os.listdir(tmp_path / "_data") == ["same"]


@pytest.mark.parametrize("target", ["/nothing", "/plain/below", "/link-to-host", "/../../../../image/../plain/.."])
def test_what_is_not_there_fills_nothing(image: Path, tmp_path: Path, target: str) -> None:
    (image / "link-to-host").symlink_to(tmp_path)
    assert not copy(image, target, tmp_path)
    assert os.listdir(tmp_path / "_data") == []


def test_a_file_cannot_become_a_volume(image: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="existing file of the image: /plain"):
        copy(image, "/plain", tmp_path)
    assert not (tmp_path / "_copy").exists()
