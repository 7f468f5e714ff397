"""Shared image stores that are not what they say: refused in one line, with nothing kept, and the user's own images go on working."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError
from labcontainers.images.shared.reading import LAYERS
from labcontainers.oci.digest import sha256

RUN: dict[str, Any] = {"network": "none", "remove": True}
Tamper = Callable[[Path], object]


def index_of(shared: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((shared / "index.json").read_text())
    return value


def write_index(shared: Path, value: object) -> None:
    (shared / "index.json").write_text(value if isinstance(value, str) else json.dumps(value))


def with_entry(**changed: Any) -> Tamper:
    """The one entry of the index with other values."""

    def tamper(shared: Path) -> None:
        value = index_of(shared)
        value["manifests"][0] |= changed
        write_index(shared, value)

    return tamper


def with_annotations(**changed: Any) -> Tamper:
    def tamper(shared: Path) -> None:
        value = index_of(shared)
        value["manifests"][0]["annotations"] |= changed
        write_index(shared, value)

    return tamper


def with_layers(text: Any) -> Tamper:
    return with_annotations(**{LAYERS: text})


def manifest_path(shared: Path) -> Path:
    return shared / "blobs" / "sha256" / index_of(shared)["manifests"][0]["digest"].removeprefix("sha256:")


def config_path(shared: Path) -> Path:
    return shared / "blobs" / "sha256" / json.loads(manifest_path(shared).read_bytes())["config"]["digest"].removeprefix("sha256:")


def rewritten(find: Callable[[Path], Path], old: bytes, new: bytes) -> Tamper:
    """A document with other bytes of the same number under its digest."""
    assert len(old) == len(new)

    def tamper(shared: Path) -> None:
        path = find(shared)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return tamper


def as_fifo(find: Callable[[Path], Path]) -> Tamper:
    def tamper(shared: Path) -> None:
        find(shared).unlink()
        os.mkfifo(find(shared))

    return tamper


def as_link(find: Callable[[Path], Path]) -> Tamper:
    """The same content behind a symbolic link."""

    def tamper(shared: Path) -> None:
        path = find(shared)
        path.rename(shared.parent / "elsewhere")
        path.symlink_to(shared.parent / "elsewhere")

    return tamper


def another_config(shared: Path) -> None:
    """A manifest that tells of more layers than its config."""
    manifest = json.loads(manifest_path(shared).read_bytes())
    manifest["layers"] *= 2
    data = json.dumps(manifest).encode()
    (shared / "blobs" / "sha256" / sha256(data).removeprefix("sha256:")).write_bytes(data)
    with_entry(digest=sha256(data), size=len(data))(shared)


# what somebody did to the store, and what is told when its image is wanted
ATTACKS: dict[str, tuple[Tamper, str]] = {
    "a folder that others may write": (lambda shared: shared.chmod(0o777), "others may write to"),
    "blobs that others may write": (lambda shared: (shared / "blobs" / "sha256").chmod(0o775), "others may write to"),
    "an index that others may write": (lambda shared: (shared / "index.json").chmod(0o666), "others may write to"),
    "trees that are a link": (as_link(lambda shared: shared / "trees"), "is a link"),
    "blobs that are a link": (as_link(lambda shared: shared / "blobs"), "is a link"),
    "an index that is a link": (as_link(lambda shared: shared / "index.json"), "is a link"),
    "an index that is a pipe": (as_fifo(lambda shared: shared / "index.json"), "is no file"),
    "a manifest that is a pipe": (as_fifo(manifest_path), "lacks sha256:"),
    "a manifest that is a link": (as_link(manifest_path), "lacks sha256:"),
    "an index that is no JSON": (lambda shared: write_index(shared, "{"), "index.json of the image store .* is damaged"),
    "an index that is deep": (lambda shared: write_index(shared, "[" * 200_000), "index.json of the image store .* is damaged"),
    "an index that is a list": (lambda shared: write_index(shared, []), "index.json of the image store .* is damaged"),
    "a mark of a later version": (
        lambda shared: (shared / "labcontainers.json").write_text('{"version": 2}'),
        "is of version 2",
    ),
    "a mark without ids": (
        lambda shared: (shared / "labcontainers.json").write_text('{"version": 1, "ids": {"kind": "host", "uids": 3}}'),
        "does not tell with which ids",
    ),
    "a mark that is a list": (lambda shared: (shared / "labcontainers.json").write_text("[]"), "labcontainers.json .* is damaged"),
    "a digest that leads out": (with_entry(digest="sha256:../../../../etc/passwd"), "index.json of the image store .* is damaged"),
    "a digest of another algorithm": (with_entry(digest="sha512:" + "0" * 128), "lacks sha512:"),
    "a manifest of another size": (with_entry(size=17), "lacks sha256:"),
    "a manifest of other bytes": (rewritten(manifest_path, b'"schemaVersion":2', b'"schemaVersion":3'), "is damaged"),
    "a config of other bytes": (rewritten(config_path, b'"linux"', b'"minix"'), "is damaged"),
    "a manifest with more layers than its config": (another_config, "has 2 layers, but its config tells of 1"),
    "a name that is a number": (with_annotations(**{"io.containerd.image.name": 7}), "index.json of the image store .* is damaged"),
    "a name that leads out": (with_annotations(**{"io.containerd.image.name": "../../x:1"}), "index.json of the image store .* is damaged"),
    "layers that are no JSON": (with_layers("x"), "does not tell of its layers"),
    "layers of a negative size": (with_layers("[[-1,0]]"), "does not tell of its layers"),
    "layers of a size that is a text": (with_layers('[["1",0]]'), "does not tell of its layers"),
    "layers that are a number": (with_layers(5), "does not tell of its layers"),
    "more layers than there are": (with_layers("[[1,0],[1,0]]"), "has 1 layers, but tells of 2"),
}


@pytest.fixture
def shared(place: Path, store_with_base: Path) -> Path:
    """A store with the image base:1 of one layer."""
    shutil.copytree(store_with_base, place / "owner", symlinks=True)
    with Engine(root=place / "owner", run_root=place / "owner-run") as owner:
        owner.images.tag("lab/base", "base:1")
        owner.images.share("base:1", place / "shared")
    return place / "shared"


@pytest.fixture
def reader(shared: Path, place: Path, store_with_base: Path) -> Iterator[Engine]:
    """Who has lab/base of his own, without its layer that is in the shared store, too."""
    with Engine(root=place / "reader", run_root=place / "reader-run", image_stores=[shared]) as engine:
        yield engine
        assert engine.verify() == []
        assert list((place / "reader" / "tmp").iterdir()) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_told_in_one_line_and_leaves_nothing(shared: Path, reader: Engine, attack: str) -> None:
    tamper, told = ATTACKS[attack]
    tamper(shared)
    with pytest.raises(LabError, match=told) as raised:
        reader.containers.run("base:1", ["true"], **RUN)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 600
    assert reader.store.records.list_manifests() == []
    assert reader.store.records.list_layers() == []
    assert reader.images.list(all=True) == [] or attack == "more layers than there are"
    assert len(reader.images.problems()) == (attack != "more layers than there are")


def test_other_bytes_of_a_layer_are_not_unpacked(shared: Path, reader: Engine) -> None:
    """With other ids than the store's, where trees are made of its bytes."""
    mark = json.loads((shared / "labcontainers.json").read_text())
    mark["ids"] = {"kind": "single", "uids": [[0, 4711, 1]], "gids": [[0, 4711, 1]]}
    (shared / "labcontainers.json").write_text(json.dumps(mark))
    layer = max((shared / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(layer.read_bytes())
    data[len(data) // 2] ^= 1
    layer.write_bytes(data)
    with pytest.raises(LabError, match=r"is damaged|has digest"):
        reader.containers.run("base:1", ["true"], **RUN)
    assert reader.store.records.list_layers() == []
    for link in (reader.paths.blobs).iterdir():
        link.unlink()


@pytest.mark.parametrize("level", ["", "fs"])
def test_a_tree_that_is_a_link_is_not_used(shared: Path, reader: Engine, place: Path, level: str) -> None:
    (folder,) = (shared / "trees").iterdir()
    (place / "outside").mkdir()
    (place / "outside" / "canary").write_text("host")
    path = folder / level
    path.rename(place / "former")
    path.symlink_to(place / "outside" if level else place / "former")
    if level:
        assert reader.containers.run("base:1", ["ls", "/"], **RUN).stdout.split().count("canary") == 0
    else:
        with pytest.raises(LabError, match="is a link"):
            reader.containers.run("base:1", ["true"], **RUN)
    assert sorted(item.name for item in (place / "outside").iterdir()) == ["canary"]


@pytest.mark.needs("root")
@pytest.mark.parametrize("part", [".", "blobs/sha256", "trees", "index.json", "labcontainers.json"])
def test_a_store_of_somebody_else_is_not_used(shared: Path, reader: Engine, part: str) -> None:
    os.chown(shared / part, 4711, -1)
    with pytest.raises(LabError, match="belongs to user 4711"):
        reader.containers.run("base:1", ["true"], **RUN)


@pytest.mark.needs("root")
def test_a_tree_of_somebody_else_is_not_used(shared: Path, reader: Engine) -> None:
    (folder,) = (shared / "trees").iterdir()
    os.chown(folder, 4711, -1)
    with pytest.raises(LabError, match="belongs to user 4711"):
        reader.containers.run("base:1", ["true"], **RUN)


def test_nothing_is_written_through_a_link_in_the_store(shared: Path, place: Path) -> None:
    """Whoever shares more does not follow what somebody has put there."""
    (place / "outside").mkdir()
    (shared / "trees").rename(place / "former")
    (shared / "trees").symlink_to(place / "outside")
    with Engine(root=place / "owner", run_root=place / "owner-run") as owner, pytest.raises(LabError, match="is a link"):
        owner.images.share("base:1", shared)
    assert list((place / "outside").iterdir()) == []


def test_nobody_shares_into_a_folder_that_others_may_write(shared: Path, place: Path) -> None:
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    with Engine(root=place / "owner", run_root=place / "owner-run") as owner, pytest.raises(LabError, match="others may write there"):
        owner.images.share("base:1", place / "open")
    assert list((place / "open").iterdir()) == []
