"""A build cache that says what is not so is no hit, and leaves nothing in the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainers import Engine
from labcontainers.build.caching.document import CachedLayer, CacheDocument
from labcontainers.build.caching.places import Folder
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.manifest import MEDIA_TYPE_LAYER_GZIP


def build(engine: Engine, text: str, **keywords: Any) -> Any:
    return engine.images.build(dockerfile_text=text, network="none", **keywords)


def told(built: Any) -> list[str]:
    return [warning.message for warning in built.warnings]


def tar_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


class TestPoisoned:
    """What a cache claims that is not so."""

    TEXT = "FROM lab/base\nRUN cat /proc/sys/kernel/random/uuid > /mine\n"

    def poison(self, engine: Engine, place: Path, change: Callable[[CachedLayer, Folder, list[str]], CachedLayer]) -> Any:
        """A build with a cache in which the one step's layer is another; afterwards nothing of it is in the store."""
        other = Engine(root=place / "x", run_root=place / "y")
        with other:
            build(other, self.TEXT, cache_to=f"type=local,dest={place / 'c'},mode=max")
            base = list(other.images.get("lab/base").diff_ids)
        folder = Folder(place / "c")
        manifest = folder.manifest()
        config = json.loads((place / "c" / "blobs" / "sha256" / manifest.config.digest[7:]).read_text())
        (record,) = [one for one in config["records"] if one["layer"] >= 0]
        layer = CachedLayer(config["layers"][0]["diff_id"], config["layers"][0]["chain_id"], manifest.layers[0])
        data, document = CacheDocument({record["key"]: change(layer, folder, base)}).to_manifest()
        folder.put(Descriptor("", sha256(document), len(document)), lambda: iter([document]))
        folder.publish(data)
        before = {row.chain_id for row in engine.store.records.list_layers()}
        built = build(engine, self.TEXT, cache_from=f"type=local,src={place / 'c'}")
        new = {row.chain_id for row in engine.store.records.list_layers()} - before
        assert new == {chain_id(built.image.diff_ids)}
        assert engine.store.verify(deep=True) == []
        assert engine.store.leftovers() == []
        return built

    def stored(self, folder: Folder, tar: bytes) -> Descriptor:
        data = gzip.compress(tar)
        descriptor = Descriptor(MEDIA_TYPE_LAYER_GZIP, sha256(data), len(data))
        folder.put(descriptor, lambda: iter([data]))
        return descriptor

    def test_the_step_is_found_where_nothing_is_changed(self, engine: Engine, place: Path) -> None:
        assert all(step.cached for step in self.poison(engine, place, lambda layer, folder, base: layer).steps)

    def test_other_bytes_under_the_layers_name_are_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            return CachedLayer(layer.diff_id, layer.chain_id, self.stored(folder, tar_of("mine", b"evil")))

        built = self.poison(engine, place, change)
        assert not built.steps[1].cached
        assert "has no usable layer" in told(built)[0]

    def test_damaged_bytes_are_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            path = place / "c" / "blobs" / "sha256" / layer.stored.digest[7:]
            path.write_bytes(path.read_bytes()[:-8] + b"damaged!")
            return layer

        assert not self.poison(engine, place, change).steps[1].cached

    def test_a_layer_of_another_step_is_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            tar = tar_of("mine", b"of a step that builds on nothing")
            return CachedLayer(sha256(tar), chain_id([sha256(tar)]), self.stored(folder, tar))

        assert not self.poison(engine, place, change).steps[1].cached

    def test_a_size_that_is_not_so_is_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            stored = Descriptor(layer.stored.media_type, layer.stored.digest, 3)
            return CachedLayer(layer.diff_id, layer.chain_id, stored)

        assert not self.poison(engine, place, change).steps[1].cached

    def test_a_layer_that_leads_out_of_its_tree_is_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            tar = tar_of("../../../../../../escaped", b"evil")
            return CachedLayer(sha256(tar), chain_id([*base, sha256(tar)]), self.stored(folder, tar))

        built = self.poison(engine, place, change)
        assert not built.steps[1].cached
        assert not list(place.rglob("escaped"))

    def test_a_blob_that_is_missing_is_no_hit(self, engine: Engine, place: Path) -> None:
        def change(layer: CachedLayer, folder: Folder, base: list[str]) -> CachedLayer:
            (place / "c" / "blobs" / "sha256" / layer.stored.digest[7:]).unlink()
            return layer

        assert not self.poison(engine, place, change).steps[1].cached
