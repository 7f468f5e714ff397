"""Shared image stores as their readers see them, without an engine: what is named, found, trusted and merged with one's own images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from labcontainers.engine.image_stores import ImageStores
from labcontainers.errors import Denied, InvalidArgument, NotFound
from labcontainers.images.archive.layout import NAME
from labcontainers.images.shared.contract import Listed, Merged, NoShared, merged
from labcontainers.images.shared.reading import LAYERS, Ids, LayerFacts, SharedStore, matches
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import ImageConfig, ProcessConfig
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, MEDIA_TYPE_MANIFEST, Index, Manifest
from labcontainers.oci.reference import parse_reference
from labcontainers.store.records import ManifestRow

IDS: dict[str, Any] = {"kind": "single", "uids": [[0, 1000, 1]], "gids": [[0, 100, 1]]}
DIFF_ID = sha256(b"layer")

# how the setting is written, and the paths that it means
SETTINGS = [
    ("", ()),
    (":", ()),
    ("/a", ("/a",)),
    ("/a:/b c:", ("/a", "/b c")),
    ("~/a", ("HOME/a",)),
]

# own images by manifest and name, shared ones by manifest with their names, and what is listed with those of others
MERGED: list[tuple[list[tuple[str, str]], dict[str, tuple[str, ...]], dict[str, tuple[list[str], bool]]]] = [
    ([], {}, {}),
    ([("a", "x:1")], {}, {"a": (["x:1"], False)}),
    ([], {"b": ("x:1", "y:1")}, {"b": (["x:1", "y:1"], True)}),
    ([("a", "x:1")], {"b": ("x:1", "y:1")}, {"a": (["x:1"], False), "b": (["y:1"], True)}),
    ([("b", "")], {"b": ("x:1",)}, {"b": (["x:1"], True)}),
    ([("b", "own:1"), ("b", "own:2")], {"b": ("x:1",)}, {"b": (["own:1", "own:2", "x:1"], True)}),
    ([("b", "x:1")], {"b": ("x:1",)}, {"b": (["x:1"], True)}),
]


def fill(path: Path, names: tuple[str, ...]) -> Descriptor:
    """An image of one layer in the store at `path`, under these names, besides those that are there."""
    config = ImageConfig("amd64", "linux", ProcessConfig(cmd=names), (DIFF_ID,)).to_bytes()
    layer = Descriptor(MEDIA_TYPE_LAYER, DIFF_ID, 5)
    manifest = Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), (layer,)).to_bytes()
    for data in (config, manifest, b"layer"):
        (path / "blobs" / "sha256" / sha256(data).removeprefix("sha256:")).write_bytes(data)
    descriptor = Descriptor(MEDIA_TYPE_MANIFEST, sha256(manifest), len(manifest))
    entries = [Descriptor(MEDIA_TYPE_MANIFEST, descriptor.digest, descriptor.size, {NAME: name, LAYERS: "[[5,0]]"}) for name in names]
    before = Index.from_bytes((path / "index.json").read_bytes()).manifests if (path / "index.json").exists() else ()
    (path / "new").write_bytes(Index((*before, *entries)).to_bytes())
    os.rename(path / "new", path / "index.json")
    return descriptor


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    for folder in (path, path / "blobs", path / "blobs" / "sha256", path / "trees"):
        folder.mkdir()
        folder.chmod(0o755)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "labcontainers.json").write_text(json.dumps({"version": 1, "ids": IDS}))
    fill(path, ("docker.io/team/tool:1", "docker.io/team/tool:latest"))
    for file in (*path.glob("*.json"), path / "oci-layout"):
        file.chmod(0o644)
    return path


class TestStore:
    def test_an_image_has_all_its_names_and_is_told_once(self, shared: Path) -> None:
        (image,) = SharedStore(shared).images()
        assert image.names == ("docker.io/team/tool:1", "docker.io/team/tool:latest")
        assert image.name == "team/tool:1"
        assert image.chains((DIFF_ID,)) == [(DIFF_ID, LayerFacts(5, False))]
        assert sha256(image.documents().manifest) == image.digest

    def test_what_is_shared_later_is_seen_by_who_has_read_before(self, shared: Path) -> None:
        store = SharedStore(shared)
        assert len(store.images()) == 1
        fill(shared, ("docker.io/team/other:1",))
        assert [image.name for image in store.images()] == ["team/tool:1", "team/other:1"]

    def test_the_ids_are_those_of_the_mark(self, shared: Path) -> None:
        ids = SharedStore(shared).ids
        assert ids == Ids("single", ((0, 1000, 1),), ((0, 100, 1),))
        assert str(ids) == "the single ids of user 1000"
        assert Ids.from_json(json.loads(json.dumps(ids.to_json()))) == ids
        assert Ids("single", ((0, 1000, 1),), ((0, 1000, 1),)) != ids

    def test_other_entries_of_the_layout_are_left_alone(self, shared: Path) -> None:
        """Such as an index for several platforms, or an image that some other program has put there."""
        value = json.loads((shared / "index.json").read_text())
        value["manifests"].append({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha256(b"x"), "size": 1})
        value["manifests"].append({"mediaType": MEDIA_TYPE_MANIFEST, "digest": sha256(b"y"), "size": 1})
        (shared / "index.json").write_text(json.dumps(value))
        assert [image.name for image in SharedStore(shared).images()] == ["team/tool:1"]

    def test_a_store_behind_a_link_is_a_store(self, shared: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(shared)
        assert len(SharedStore(tmp_path / "link").images()) == 1

    def test_a_tree_is_a_folder_in_a_folder_of_its_chain(self, shared: Path) -> None:
        store = SharedStore(shared)
        folder = shared / "trees" / DIFF_ID.removeprefix("sha256:")
        assert store.tree(DIFF_ID, shared / "trees") is None
        folder.mkdir(mode=0o700)
        assert store.tree(DIFF_ID, shared / "trees") is None
        (folder / "fs").mkdir()
        assert store.tree(DIFF_ID, shared / "trees") == folder / "fs"
        folder.chmod(0o777)
        with pytest.raises(Denied, match="others may write to"):
            store.tree(DIFF_ID, shared / "trees")
        with pytest.raises(InvalidArgument):
            store.tree("sha256:../../etc", shared / "trees")

    def test_trees_are_where_they_are_shown_with_the_readers_ids(self, shared: Path) -> None:
        uid = os.geteuid()
        own = Ids("subordinate", ((0, uid, 1), (1, 100000, 65536)), ((0, uid, 1), (1, 100000, 65536)))
        store = SharedStore(shared)
        assert store.trees(store.ids) == shared / "trees"
        assert store.trees(own) is None
        shown, told = shared / "for" / str(uid), shared / "for" / f"{uid}.json"
        shown.mkdir(parents=True)
        for folder in (shown, shown.parent):
            folder.chmod(0o755)
        assert store.trees(own) is None
        told.write_text("no JSON")
        told.chmod(0o644)
        assert store.trees(own) is None
        told.write_text(json.dumps(own.to_json()))
        assert store.trees(own) == shown
        assert store.trees(Ids("subordinate", ((0, uid, 1), (1, 200000, 65536)), own.gids)) is None
        told.chmod(0o666)
        assert store.trees(own) is None

    def test_bytes_are_there_when_they_are_all_there(self, shared: Path) -> None:
        store = SharedStore(shared)
        assert store.blob(Descriptor(MEDIA_TYPE_LAYER, DIFF_ID, 5)).read_bytes() == b"layer"
        for wrong in (Descriptor(MEDIA_TYPE_LAYER, DIFF_ID, 6), Descriptor(MEDIA_TYPE_LAYER, sha256(b"none"), 4)):
            with pytest.raises(NotFound, match=f"the image store {shared} lacks {wrong.digest}"):
                store.blob(wrong)

    @pytest.mark.parametrize("part", ["labcontainers.json", "index.json", "oci-layout", "blobs/sha256"])
    def test_a_part_that_is_missing_is_told(self, shared: Path, part: str) -> None:
        (shared / part).rename(shared.parent / "away")
        with pytest.raises(NotFound, match=f"the image store {shared} is (not whole|no image store)"):
            SharedStore(shared).images()


class TestNames:
    @pytest.mark.parametrize("name", ["team/tool:1", "team/tool", "docker.io/team/tool:latest", "ID", "SHORT", "DIGEST", "team/x@DIGEST"])
    def test_an_image_is_meant_by(self, shared: Path, name: str) -> None:
        assert self.meant(shared, name)

    @pytest.mark.parametrize("name", ["tool:1", "team/tool:2", "team/tool@sha256:" + "0" * 64, "TINY", "sha256:SHORT"])
    def test_an_image_is_not_meant_by(self, shared: Path, name: str) -> None:
        assert not self.meant(shared, name)

    @staticmethod
    def meant(shared: Path, name: str) -> bool:
        (image,) = SharedStore(shared).images()
        digits = image.id.removeprefix("sha256:")
        for word, value in (("DIGEST", image.digest), ("ID", image.id), ("SHORT", digits[:12]), ("TINY", digits[:3])):
            name = name.replace(word, value)
        return matches(image, name, None if name.startswith("sha256:") else parse_reference(name))


class TestListing:
    @pytest.mark.parametrize(("own", "shared", "expected"), MERGED)
    def test_own_names_count_before_shared_ones(
        self, own: list[tuple[str, str]], shared: dict[str, tuple[str, ...]], expected: dict[str, tuple[list[str], bool]]
    ) -> None:
        def row(digest: str) -> ManifestRow:
            return ManifestRow(digest, "", 0, 0.0)

        rows = [(row(digest), name) for digest, name in own]
        listed = {digest: Listed(row(digest), names, Path("/s")) for digest, names in shared.items()}
        found = merged(rows, listed, others=True)
        assert found == [Merged(row(digest), names, read_only) for digest, (names, read_only) in expected.items()]
        alone = merged(rows, listed, others=False)
        assert [one.row.manifest_digest for one in alone] == list(dict.fromkeys(digest for digest, _ in own))

    def test_without_shared_stores_there_is_nothing(self) -> None:
        nothing = NoShared()
        assert not nothing.active
        assert (nothing.listed(), nothing.names("x"), nothing.place("x"), nothing.borrow("x")) == ({}, None, None, None)
        assert (nothing.problem(), nothing.problems()) == (None, ())


class TestSetting:
    @pytest.mark.parametrize(("text", "paths"), SETTINGS)
    def test_it_is_read_as_path_is(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, paths: tuple[str, ...]) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("LABCONTAINERS_IMAGE_STORES", text)
        assert ImageStores(None).paths == tuple(Path(path.replace("HOME", str(tmp_path))) for path in paths)

    def test_what_is_said_counts_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABCONTAINERS_IMAGE_STORES", "/a")
        assert ImageStores([Path("/b"), "/c"]).paths == (Path("/b"), Path("/c"))
        assert ImageStores([]).paths == ()
