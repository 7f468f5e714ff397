"""Images from elsewhere come into the store: whole, once, from where they were interrupted, or not at all."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import DigestMismatch, InvalidArgument, LabError
from labcontainers.images.image import Image
from labcontainers.images.install import Installer
from labcontainers.images.layer_bytes import stored_layer
from labcontainers.images.transfer import LayerProgress
from labcontainers.images.verification import verify
from labcontainers.oci.manifest import Manifest
from tests.fakes.layer_source import FakeLayer, digest_of, gzipped, tar_of

RUN: dict[str, Any] = {"network": "none", "remove": True}
BIG = bytes(range(256)) * 40_000


def config_of(layers: list[FakeLayer], **more: Any) -> bytes:
    value = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        **more,
    }
    return json.dumps(value, indent=3).encode()


def install(engine: Engine, layers: list[FakeLayer], *names: str, **more: Any) -> Image:
    installer = Installer(engine.store, engine._catalog, engine._launcher)
    return installer.install(None, config_of(layers), [layer.source() for layer in layers], names, **more)


def base_layer(engine: Engine) -> FakeLayer:
    """lab/base's own layer, as somebody else could have compressed it."""
    image = engine.images.get("lab/base")
    blob = stored_layer(image.diff_ids, engine.store, engine._launcher)
    tar = gzip.decompress(engine.store.blobs.read(blob.digest))
    return FakeLayer(tar, gzip.compress(tar, 9, mtime=7))


def nothing_is_left(engine: Engine, *but: str) -> bool:
    known = {row.diff_id for row in engine.store.records.list_layers()}
    return known == {*engine.images.get("lab/base").diff_ids, *but} and engine.store.leftovers() == [] and engine.store.verify() == []


def test_an_image_of_two_layers_runs_with_the_id_that_its_config_has(engine: Engine) -> None:
    layers = [gzipped(tar_of({"usr": None, "usr/bin": None, "data": b"lower\n", "gone": b"x"})), base_layer(engine)]
    layers.append(gzipped(tar_of({"data": b"upper\n", ".wh.gone": b""})))
    image = install(engine, layers, "two")
    assert image.id == digest_of(config_of(layers))
    result = engine.containers.run("two", ["sh", "-c", "cat /data; ls /gone || echo removed"], **RUN)
    assert result.stdout == "lower\nupper\nremoved\n"[6:]
    assert verify(image, engine.store, engine._launcher)


def test_the_stored_bytes_are_kept_and_an_image_made_on_top_refers_to_them(engine: Engine) -> None:
    layer = base_layer(engine)
    other = FakeLayer(tar_of({"hello": b"hi"}), tar_of({"hello": b"hi"}))
    install(engine, [other, layer], "from-elsewhere")
    assert engine.store.blobs.read(digest_of(layer.stored)) == layer.stored
    container = engine.containers.create("from-elsewhere", ["sh", "-c", "echo more > /more"], network="none")
    container.start().wait(60)
    made = container.commit("on-top")
    listed = Manifest.from_bytes(engine.store.blobs.read(made.manifest_digest)).layers
    assert [descriptor.digest for descriptor in listed[:2]] == [digest_of(other.stored), digest_of(layer.stored)]
    container.remove()
    engine.images.remove("from-elsewhere")
    assert engine.store.blobs.has(digest_of(layer.stored))
    engine.images.remove("on-top")
    assert not engine.store.blobs.has(digest_of(layer.stored))


def test_what_was_interrupted_is_gone_on_with(engine: Engine) -> None:
    layer = FakeLayer(tar_of({"big": BIG}), tar_of({"big": BIG}), breaks_after=3_000_000)
    with pytest.raises(ConnectionResetError):
        install(engine, [layer], "big")
    assert nothing_is_left(engine)
    layer.breaks_after = None
    install(engine, [layer], "big")
    assert layer.asked[0] == 0
    assert 2_900_000 < layer.asked[1] <= 3_000_000


def test_a_source_that_cannot_go_on_begins_anew(engine: Engine) -> None:
    layer = FakeLayer(tar_of({"big": BIG}), tar_of({"big": BIG}), breaks_after=2_000_000, seeks=False)
    with pytest.raises(ConnectionResetError):
        install(engine, [layer], "big")
    layer.breaks_after = None
    assert verify(install(engine, [layer], "big"), engine.store, engine._launcher)


def test_a_layer_that_is_there_is_not_asked_for(engine: Engine) -> None:
    layer, second = gzipped(tar_of({"a": b"1"})), gzipped(tar_of({"b": b"2"}))
    install(engine, [layer], "one")
    told: list[LayerProgress] = []
    install(engine, [layer, second], "two", on_progress=told.append)
    assert layer.asked == [0]
    assert [progress.status for progress in told if progress.layer == digest_of(layer.stored)[7:19]] == ["Already exists"]


def test_two_engines_that_want_the_same_fetch_it_once(make_engine: Callable[[], Engine]) -> None:
    layer = FakeLayer(tar_of({"big": BIG}), tar_of({"big": BIG}))
    engines = [make_engine(), make_engine()]
    failures: list[BaseException] = []

    def work(engine: Engine) -> None:
        try:
            install(engine, [layer], "big")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert layer.asked == [0]


def _other_content(layer: FakeLayer) -> FakeLayer:
    return FakeLayer(layer.tar, gzip.compress(tar_of({"other": b"content"})))


WRONG: dict[str, Callable[[FakeLayer], FakeLayer]] = {
    "truncated": lambda layer: FakeLayer(layer.tar, layer.stored[:-100]),
    "of other content": _other_content,
    "no archive": lambda layer: FakeLayer(b"x" * 5000, b"x" * 5000),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_a_wrong_layer_is_refused_and_nothing_of_the_image_stays(engine: Engine, spoil: Callable[[FakeLayer], FakeLayer]) -> None:
    good, wrong = gzipped(tar_of({"a": b"1"})), spoil(gzipped(tar_of({"data": BIG[:200_000]})))
    with pytest.raises((InvalidArgument, DigestMismatch)):
        install(engine, [good, wrong], "wrong")
    assert engine.images.find("wrong") is None
    assert engine.store.leftovers() == []
    assert wrong.diff_id not in {row.diff_id for row in engine.store.records.list_layers()}


def test_bytes_that_are_not_those_of_the_digest_never_become_content(engine: Engine) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    source = layer.source()
    layer.stored = gzip.compress(layer.tar, 9, mtime=3)
    with pytest.raises(LabError):
        Installer(engine.store, engine._catalog, engine._launcher).install(None, config_of([layer]), [source], ["a"])
    assert not engine.store.blobs.has(source.digest)
    assert list(engine.store.paths.downloads.iterdir()) == []


def test_a_config_that_tells_of_other_layers_is_refused(engine: Engine) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    with pytest.raises(InvalidArgument, match="its config tells of"):
        Installer(engine.store, engine._catalog, engine._launcher).install(None, config_of([layer, layer]), [layer.source()], ["a"])
    assert layer.asked == []


def test_a_damaged_tree_and_a_damaged_blob_are_found(engine: Engine) -> None:
    layer = gzipped(tar_of({"a": b"1", "b": b"2"}))
    image = install(engine, [layer], "a")
    tree = engine.store.snapshots.tree(layer.diff_id)
    (tree / "a").write_bytes(b"9")
    found = verify(image, engine.store, engine._launcher)
    assert not found
    assert "the tree of layer" in repr(found)
    (tree / "a").write_bytes(b"1")
    engine.store.blobs.path(digest_of(layer.stored)).write_bytes(b"no")
    assert "damaged" in repr(verify(image, engine.store, engine._launcher))
    engine.images.remove("a")
