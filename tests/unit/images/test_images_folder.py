"""An archive that is unpacked in a folder: read as the archive, and never by a way that leads out of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.archive.contents import MOST_DOCUMENT_BYTES
from labcontainers.images.archive.folder import FolderContents, open_folder
from labcontainers.images.archive.loading import read_images
from labcontainers.images.layer_source import Reader
from labcontainers.oci.descriptor import Platform
from tests.fakes.image_archive import config_of, digest_of, docker, oci
from tests.fakes.layer_source import gzipped, tar_of

LAYERS = [gzipped(tar_of({"a": b"1" * 5000})), gzipped(tar_of({"b": b"2"}))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_bytes(b"not for images")
    return tmp_path / "folder"


@pytest.fixture
def contents(folder: Path) -> Iterator[FolderContents]:
    with open_folder(folder) as contents:
        yield contents


def content_of(reader: Reader) -> bytes:
    found, buffer = b"", memoryview(bytearray(999))
    while count := reader.readinto(buffer):
        found += buffer[:count]
    return found


@pytest.mark.parametrize("form", [oci, docker])
def test_the_image_is_that_of_the_archive(folder: Path, contents: FolderContents, form: object) -> None:
    for name, content in form(LAYERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (image,) = read_images(contents, Platform("linux", "amd64"))
    assert (image.id, image.names) == (digest_of(config_of(LAYERS)), ["it:latest"])
    assert [content_of(layer.open(0)) for layer in image.layers] == [layer.stored for layer in LAYERS]
    assert content_of(image.layers[0].open(7)) == LAYERS[0].stored[7:]


def test_a_link_within_the_folder_is_followed(folder: Path, contents: FolderContents) -> None:
    (folder / "a").mkdir()
    (folder / "a/layer.tar").write_bytes(b"layer")
    (folder / "link").symlink_to("a/layer.tar")
    (folder / "a/back").symlink_to("../link")
    for name in ("link", "a/back", "./a//layer.tar"):
        assert (contents.has(name), contents.size(name), contents.document(name)) == (True, 5, b"layer")


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "a/../../secret", "/proc/self/environ"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, contents: FolderContents, target: str) -> None:
    (folder / "a").mkdir()
    (folder / "link").symlink_to(target)
    for read in (contents.has, contents.size, contents.document, contents.open):
        with pytest.raises(InvalidArgument, match="leads out of the folder"):
            read("link")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret"])
def test_a_name_out_of_the_folder_is_refused(contents: FolderContents, name: str) -> None:
    with pytest.raises(InvalidArgument, match="leads out"):
        contents.has(name)


def test_what_is_no_file_is_not_there_and_holds_nobody_up(folder: Path, contents: FolderContents) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "directory").mkdir()
    (folder / "circle").symlink_to("circle")
    for name in ("pipe", "directory", "circle", "nothing", "pipe/below"):
        assert not contents.has(name)
        with pytest.raises(NotFound, match="has no file"):
            contents.open(name)


def test_a_document_is_not_read_when_it_is_too_large(folder: Path, contents: FolderContents) -> None:
    with open(folder / "index.json", "wb") as file:
        file.truncate(MOST_DOCUMENT_BYTES + 1)
    with pytest.raises(InvalidArgument, match="a document may have"):
        contents.document("index.json")


def test_files_that_were_opened_are_closed_at_the_end_and_outlive_the_folder(folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    before = set(os.listdir("/proc/self/fd"))
    with open_folder(folder) as contents:
        piece = contents.open("file", 3)
    assert content_of(piece) == b"tent"
    piece.close()
    piece.close()
    assert set(os.listdir("/proc/self/fd")) == before
