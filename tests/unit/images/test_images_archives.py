"""Archives of images are understood in every form that tools write, from a file and from a stream."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers.errors import DigestMismatch, InvalidArgument, InvalidReference, NotFound, Unsupported
from labcontainers.images.archive.archived import Archived
from labcontainers.images.archive.contents import Data, open_contents
from labcontainers.images.archive.loading import read_images
from labcontainers.images.archive.moving import move
from labcontainers.images.layer_flow import Reader
from labcontainers.oci.descriptor import Platform
from tests.fakes.image_archive import (
    INDEX,
    MANIFEST,
    Entry,
    config_of,
    descriptor,
    digest_of,
    docker,
    index_of,
    layout,
    link,
    manifest_of,
    named,
    oci,
    pack,
    replaced,
)
from tests.fakes.layer_source import gzipped, tar_of

LAYERS = [gzipped(tar_of({"a": b"1" * 5000})), gzipped(tar_of({"b": b"2"}))]
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def images_of(data: Data, scratch: Path, wanted: Platform | None = AMD64) -> list[tuple[Archived, list[bytes]]]:
    """The images of an archive, each with the stored bytes of its layers."""
    with open_contents(data, scratch) as contents:
        return [(image, [content_of(layer.open(0)) for layer in image.layers]) for image in read_images(contents, wanted)]


def content_of(reader: Reader) -> bytes:
    found, buffer = b"", memoryview(bytearray(999))
    while count := reader.readinto(buffer):
        found += buffer[:count]
    return found


def in_file(data: bytes, folder: Path) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


def behind_something(data: bytes, folder: Path) -> Iterator[bytes]:
    return iter([data[:3], data[3:700], b"", data[700:]])


def open_file(data: bytes, folder: Path) -> io.BufferedReader:
    file = open(in_file(b"before" + data, folder), "rb")  # noqa: SIM115  # whoever reads it closes it with the test's folder
    file.seek(6)
    return file


SOURCES: dict[str, Callable[[bytes, Path], Data]] = {
    "bytes": lambda data, folder: data,
    "a path": in_file,
    "an open file from where it stands": open_file,
    "a file in memory": lambda data, folder: io.BytesIO(data),
    "pieces": behind_something,
    "gzip in a file": lambda data, folder: in_file(gzip.compress(data), folder),
    "bzip2": lambda data, folder: bz2.compress(data),
    "xz": lambda data, folder: lzma.compress(data),
}
FORMS: dict[str, list[Entry]] = {
    "OCI": oci(LAYERS),
    "Docker before 25": docker(LAYERS),
    "both": [*oci(LAYERS), *docker(LAYERS)],
    "both, but the OCI side is not whole": [
        *replaced(oci(LAYERS), {f"blobs/sha256/{digest_of(LAYERS[0].stored)[7:]}": None}), *docker(LAYERS)
    ],
    "from a folder": [(f"./{name}", content) for name, content in docker(LAYERS)],
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_an_archive_is_read_from_wherever_it_comes(tmp_path: Path, source: Callable[[bytes, Path], Data]) -> None:
    (found,) = images_of(source(pack(oci(LAYERS)), tmp_path), tmp_path)
    assert found[1] == [layer.stored for layer in LAYERS]
    assert [path.name for path in tmp_path.iterdir() if path.name != "archive"] == []


@pytest.mark.parametrize("entries", FORMS.values(), ids=FORMS)
def test_every_form_of_an_archive_gives_the_same_image(tmp_path: Path, entries: list[Entry]) -> None:
    ((image, layers),) = images_of(pack(entries), tmp_path)
    assert (image.id, image.names) == (digest_of(config_of(LAYERS)), ["it:latest"])
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in LAYERS]
    assert layers == [layer.stored for layer in LAYERS]


def test_layers_may_be_links_to_others(tmp_path: Path) -> None:
    entries = replaced(docker(LAYERS), {f"{0:064x}/layer.tar": None, "x/first.tar": LAYERS[0].stored})
    entries.append(link(f"{0:064x}/layer.tar", "../x/first.tar"))
    assert images_of(pack(entries), tmp_path)[0][1][0] == LAYERS[0].stored
    entries[-1] = link(f"{0:064x}/layer.tar", "x/first.tar", tarfile.LNKTYPE)
    assert images_of(pack(entries), tmp_path)[0][1][0] == LAYERS[0].stored


def of_platforms() -> tuple[list[Entry], dict[str, str]]:
    """An index in an index, and the ids of the images by their architectures."""
    configs = {name: config_of(LAYERS[:1], name) for name in ("arm64", "amd64")}
    manifests = {name: manifest_of(config, LAYERS[:1]) for name, config in configs.items()}
    told = [descriptor(manifest, MANIFEST, platform={"os": "linux", "architecture": name}) for name, manifest in manifests.items()]
    about = descriptor(b"{}", MANIFEST, platform={"os": "unknown", "architecture": "unknown"})
    inner = index_of(about, *told)
    top = index_of(descriptor(inner, INDEX, **named("docker.io/library/it:latest")))
    blobs = layout(top, inner, LAYERS[0].stored, *configs.values(), *manifests.values())
    return blobs, {name: digest_of(config) for name, config in configs.items()}


@pytest.mark.parametrize("platform", [AMD64, ARM64], ids=str)
def test_the_image_of_the_wanted_platform_is_taken_of_an_index_in_an_index(tmp_path: Path, platform: Platform) -> None:
    entries, ids = of_platforms()
    ((image, _),) = images_of(pack(entries), tmp_path, platform)
    assert (image.id, image.platform) == (ids[platform.architecture], platform)


def test_a_platform_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="linux/amd64, linux/arm64") as caught:
        images_of(pack(of_platforms()[0]), tmp_path, Platform("linux", "s390x"))
    assert "it:latest" in caught.value.message
    for entries in (oci(LAYERS), docker(LAYERS)):
        with pytest.raises(NotFound, match="linux/s390x"):
            images_of(pack(entries), tmp_path, Platform("linux", "s390x"))


def test_an_image_for_another_platform_alone_is_read_unless_one_is_wanted(tmp_path: Path) -> None:
    ((image, _),) = images_of(pack(oci(LAYERS, architecture="s390x")), tmp_path, None)
    assert image.platform.architecture == "s390x"


NAMES: dict[str, list[str]] = {
    "docker.io/library/it:latest": ["it:latest"],
    "localhost:5000/a/b:c": ["localhost:5000/a/b:c"],
    "": [],
}


@pytest.mark.parametrize(("name", "read"), NAMES.items(), ids=NAMES)
def test_names_come_from_the_annotations_of_the_index(tmp_path: Path, name: str, read: list[str]) -> None:
    assert images_of(pack(oci(LAYERS, name)), tmp_path)[0][0].names == read


def test_a_tag_alone_is_no_name_and_a_name_with_a_tag_is_one(tmp_path: Path) -> None:
    config = config_of(LAYERS)
    manifest = manifest_of(config, LAYERS)
    for text, names in (("latest", []), ("it:1", ["it:1"]), ("localhost/it:1", ["localhost/it:1"])):
        index = index_of(descriptor(manifest, MANIFEST, annotations={"org.opencontainers.image.ref.name": text}))
        ((image, _),) = images_of(pack(layout(index, manifest, config, *(layer.stored for layer in LAYERS))), tmp_path)
        assert image.names == names


def test_one_image_of_several_names_is_read_once(tmp_path: Path) -> None:
    config = config_of(LAYERS)
    manifest = manifest_of(config, LAYERS)
    index = index_of(*(descriptor(manifest, MANIFEST, **named(f"docker.io/library/it:{tag}")) for tag in ("1", "2")))
    ((image, _),) = images_of(pack(layout(index, manifest, config, *(layer.stored for layer in LAYERS))), tmp_path)
    assert image.names == ["it:1", "it:2"]


def changed(name: str, content: bytes | None) -> Callable[[list[Entry]], list[Entry]]:
    return lambda entries: replaced(entries, {name: content})


def test_an_archive_that_is_no_images_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="use import"):
        images_of(tar_of({"etc": None, "etc/passwd": b"root"}), tmp_path)
    with pytest.raises(Unsupported, match=r"before 1\.10"):
        images_of(pack([("repositories", b"{}")]), tmp_path)
    with pytest.raises(Unsupported, match=r"version '2\.0'"):
        images_of(pack(replaced(oci(LAYERS), {"oci-layout": b'{"imageLayoutVersion": "2.0"}'})), tmp_path)


def test_two_forms_that_tell_of_different_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="ambiguous"):
        images_of(pack([*oci(LAYERS), *docker(LAYERS[:1])]), tmp_path)
    # of several platforms, the one form may name another than is taken of the other
    entries, ids = of_platforms()
    ((image, _),) = images_of(pack([*entries, *docker(LAYERS[:1], architecture="arm64")]), tmp_path, AMD64)
    assert image.id == ids["amd64"]


def test_wrong_names_and_wrong_digests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidReference):
        images_of(pack(docker(LAYERS, "Bad/Name")), tmp_path)
    config = f"{digest_of(config_of(LAYERS))[7:]}.json"
    with pytest.raises(DigestMismatch):
        images_of(pack(changed(config, config_of(LAYERS) + b" ")(docker(LAYERS))), tmp_path)
    listed = [{"Config": config, "RepoTags": None, "Layers": [f"{0:064x}/layer.tar"]}]
    with pytest.raises(InvalidArgument, match="1 layers, but its config tells of 2"):
        images_of(pack(changed("manifest.json", json.dumps(listed).encode())(docker(LAYERS))), tmp_path)


def test_a_truncated_archive_is_refused_in_a_file_and_in_a_stream(tmp_path: Path) -> None:
    data = pack([*oci(LAYERS)[-2:], *oci(LAYERS)[:-2]])
    cut = data[: data.rindex(LAYERS[1].stored) + 5]
    for source in (in_file(cut, tmp_path), cut):
        with pytest.raises(InvalidArgument):
            images_of(source, tmp_path)


def test_a_file_is_moved_into_files_pipes_and_files_opened_for_appending(tmp_path: Path) -> None:
    source = in_file(b"x" * 30_000, tmp_path)
    for name, mode in (("plain", "wb"), ("appended", "ab")):
        with open(tmp_path / name, mode, buffering=0) as file:
            assert move(source, 30_000, file.fileno()) == 30_000
        assert (tmp_path / name).read_bytes() == b"x" * 30_000
    ours, theirs = os.pipe()
    for wanted in (30_000, 40_000):
        assert move(source, wanted, theirs) == 30_000, "there are no more"
        assert os.read(ours, 60_000) == b"x" * 30_000
    os.close(ours)
    os.close(theirs)
