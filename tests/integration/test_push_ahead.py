"""A layer that is pushed for the first time goes to the registry while it is compressed; whatever happens, it arrives once and whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError
from labcontainers.images.transfer import LayerProgress
from tests.fakes.layer_source import tar_of
from tests.fakes.registry_server import Answer, Asked, RegistryServer

pytestmark = pytest.mark.alike("ordinary users")

# More than what is sent at once.
NOISE = os.urandom(20_000_000)


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def name(engine: Engine, server: RegistryServer, tmp_path: Path) -> str:
    """An image that nobody has pushed."""
    archive = tmp_path / "root.tar"
    archive.write_bytes(tar_of({"noise": NOISE, "text": b"abc"}))
    name = f"{server.address}/team/new:1"
    engine.images.import_image(archive, name)
    return name


def requests(server: RegistryServer) -> list[str]:
    """The methods of the layer's upload, which is the first one."""
    return [asked.method for asked in server.requests(path="uploads") if asked.method == "POST" or "/u0" in asked.path]


def comes_back(engine: Engine, name: str) -> bool:
    engine.images.remove(name)
    engine.images.pull(name)
    return bool(engine.images.verify(name))


def test_it_is_sent_in_pieces_before_its_digest_is_known(engine: Engine, server: RegistryServer, name: str) -> None:
    told: list[LayerProgress] = []
    engine.images.push(name, on_progress=told.append)
    assert requests(server)[:4] == ["POST", "PATCH", "PATCH", "PUT"]
    heads = [number for number, asked in enumerate(server.asked) if asked.method == "HEAD"]
    assert heads[0] > next(number for number, asked in enumerate(server.asked) if asked.method == "PATCH")
    assert list(dict.fromkeys(progress.status for progress in told)) == ["Preparing", "Pushed"]
    assert not server.uploads
    assert comes_back(engine, name)


def test_a_second_push_has_the_same_digest_and_sends_nothing(engine: Engine, server: RegistryServer, name: str) -> None:
    first = engine.images.push(name)
    count = len(server.requests(path="uploads"))
    assert engine.images.push(name).digest == first.digest
    assert len(server.requests(path="uploads")) == count


def test_a_registry_that_takes_no_pieces_gets_it_whole(engine: Engine, server: RegistryServer, name: str) -> None:
    server.rules.append(lambda asked: Answer(405) if asked.method == "PATCH" else None)
    engine.images.push(name)
    assert [asked.method for asked in server.requests(path="uploads") if "/u1" in asked.path] == ["PUT"]
    assert not server.uploads
    assert comes_back(engine, name)


def test_one_that_the_registry_has_already_is_not_sent_to_the_end(engine: Engine, server: RegistryServer, name: str) -> None:
    pushed = engine.images.push(name)
    layer = max((digest for _, digest in server.blobs), key=lambda digest: len(server.blobs["team/new", digest]))
    engine.store.blobs.remove(layer)
    server.asked.clear()
    told: list[LayerProgress] = []
    assert engine.images.push(name, on_progress=told.append).digest == pushed.digest
    assert told[-1].status == "Layer already exists"
    assert not any("digest=" in asked.target for asked in server.requests("PUT") if "uploads" in asked.path)
    assert not server.uploads
    assert engine.store.blobs.has(layer)


def test_a_push_that_is_refused_says_so_and_leaves_no_upload(engine: Engine, server: RegistryServer, name: str) -> None:
    def refuse(asked: Asked) -> Answer | None:
        return Answer(403) if "uploads" in asked.path and asked.method in ("PATCH", "PUT") else None

    server.rules.append(refuse)
    with pytest.raises(LabError, match="team/new"):
        engine.images.push(name)
    assert not server.uploads
    server.rules.clear()
    engine.images.push(name)
    assert comes_back(engine, name)


def test_a_tree_that_was_damaged_is_not_pushed(engine: Engine, server: RegistryServer, name: str) -> None:
    image = engine.images.get(name)
    tree = engine.store.snapshots.tree(image.diff_ids[0])
    (tree / "text").write_bytes(b"abd")
    with pytest.raises(LabError, match="damaged"):
        engine.images.push(name)
    assert not server.manifests
    assert not server.uploads
    engine.images.remove(name)


def test_who_stops_a_push_leaves_nothing_half_made(engine: Engine, server: RegistryServer, name: str) -> None:
    def stop(progress: LayerProgress) -> None:
        if progress.current > 15_000_000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        engine.images.push(name, on_progress=stop)
    assert not server.uploads
    assert not server.manifests
    assert engine.store.leftovers() == []
    engine.images.push(name)
    assert comes_back(engine, name)
