"""Images by name and id, and what goes when one goes, on a store without containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, InvalidArgument, InvalidReference, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.oci.manifest import MEDIA_TYPE_MANIFEST
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.snapshots import Layer
from tests.fakes.in_process_worker import InProcessWorker

Users = dict[str, list[str]]


@pytest.fixture
def users() -> Users:
    """Image id -> names of the containers that stand on it."""
    return {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    yield opened
    assert opened.verify(deep=True) == []
    opened.close()


@pytest.fixture
def catalog(store: Store, users: Users) -> Iterator[Catalog]:
    made = Catalog(store, in_use=lambda image_id: users.get(image_id, []))
    yield made
    assert made.verify() == []


def layer(store: Store, content: str, *below: Layer) -> Layer:
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "file").write_text(content)
    return store.snapshots.commit(scratch, [one.diff_id for one in below])


def config_of(layers: list[Layer], cmd: str = "sh") -> ImageConfig:
    history = tuple(HistoryEntry("1970-01-01T00:00:00Z", f"RUN {index}") for index, _ in enumerate(layers))
    return ImageConfig("amd64", "linux", ProcessConfig(cmd=(cmd,)), tuple(one.diff_id for one in layers), history)


def put(catalog: Catalog, layers: list[Layer], *names: str, cmd: str = "sh") -> Image:
    return catalog.put(config_of(layers, cmd), layers, names)


def has(store: Store, *layers: Layer) -> bool:
    return store.snapshots.has(chain_id([one.diff_id for one in layers]))


class TestFinding:
    @pytest.mark.parametrize("name", ["app", "app:latest", "docker.io/library/app:latest"])
    def test_by_every_form_of_its_name(self, catalog: Catalog, store: Store, name: str) -> None:
        image = put(catalog, [layer(store, "one")], "app")
        assert catalog.get(name) == image
        assert catalog.get(name).tags == ("app:latest",)

    def test_by_its_id_its_digests_and_the_beginning_of_the_id(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "app")
        for text in (image.id, image.short_id, image.short_id[:4], image.manifest_digest, f"app@{image.manifest_digest}"):
            assert catalog.get(text) == image
        assert catalog.find(image.short_id[:3]) is None

    def test_the_beginning_of_several_ids_is_ambiguous(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        beginnings: dict[str, str] = {}
        for cmd in map(str, range(5000)):
            start = sha256(config_of([one], cmd).to_bytes()).removeprefix("sha256:")[:4]
            if start in beginnings:
                break
            beginnings[start] = cmd
        for wanted in (beginnings[start], cmd):
            put(catalog, [one], cmd=wanted)
        with pytest.raises(Conflict, match=start):
            catalog.get(start)

    @pytest.mark.parametrize(
        ("name", "hint"), [("ap", "did you mean app"), ("lab/pyton", "did you mean lab/python"), ("zzzzzz", "build or pull it")]
    )
    def test_a_name_that_is_not_there_gets_the_next_action(self, catalog: Catalog, store: Store, name: str, hint: str) -> None:
        put(catalog, [layer(store, "one")], "app")
        with pytest.raises(NotFound, match=name) as caught:
            catalog.get(name)
        assert hint in caught.value.hint

    @pytest.mark.parametrize("name", ["", "UPPER", "a b", "app:", "-x", "app:a:b:c"])
    def test_what_can_be_no_name_is_refused_as_such(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(InvalidReference):
            catalog.find(name)

    def test_a_name_goes_before_an_id_that_begins_alike(self, catalog: Catalog, store: Store) -> None:
        first = put(catalog, [layer(store, "one")])
        named = put(catalog, [layer(store, "two")], first.short_id)
        assert catalog.get(first.short_id) == named


class TestListing:
    def test_untagged_ones_only_when_asked_and_the_newest_first(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        images = [put(catalog, [one], *names, cmd=str(index)) for index, names in enumerate((["a"], [], ["b", "c:1"]))]
        assert catalog.list() == [images[2], images[0]]
        assert catalog.list(all=True) == [images[2], images[1], images[0]]
        assert [image.tags for image in catalog.list()] == [("b:latest", "c:1"), ("a:latest",)]


class TestPutting:
    def test_moves_a_name_from_the_image_that_had_it(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        old, new = put(catalog, [one], "app", cmd="a"), put(catalog, [one], "app", cmd="b")
        assert catalog.get("app") == new
        assert catalog.get(old.id).tags == ()

    def test_an_image_whose_layer_went_meanwhile_is_a_conflict_and_stays_out(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        store.snapshots.remove(one.chain_id)
        with pytest.raises(Conflict, match="removed a layer"):
            put(catalog, [one], "app")
        assert catalog.list(all=True) == []

    def test_a_digest_is_no_name(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "app")
        with pytest.raises(InvalidArgument, match="digest"):
            catalog.tag(image, f"app@{image.manifest_digest}")

    def test_every_name_is_told_as_an_event(self, catalog: Catalog, store: Store) -> None:
        put(catalog, [layer(store, "one")], "a", "b:2").tag("c")
        events = [json.loads(line) for line in store.paths.events.read_text().splitlines()]
        assert [(event["action"], event["name"]) for event in events] == [("tag", "a:latest"), ("tag", "b:2"), ("tag", "c:latest")]


class TestRemoving:
    def test_one_of_several_names_leaves_the_image(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", "b")
        assert catalog.remove("a").untagged == ("a:latest",)
        assert catalog.get("b") == image
        assert catalog.find("a") is None

    def test_the_last_name_takes_layers_and_content_with_it(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        two = layer(store, "two", one)
        image = put(catalog, [one, two], "app")
        removed = catalog.remove("app")
        assert removed.deleted == (image.id, chain_id([one.diff_id, two.diff_id]), chain_id([one.diff_id]))
        assert not has(store, one)
        assert not store.blobs.has(image.id)
        assert not store.blobs.has(image.manifest_digest)

    def test_what_another_image_stands_on_stays(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        two = layer(store, "two", one)
        put(catalog, [one], "below")
        put(catalog, [one, two], "above")
        catalog.remove("above")
        assert has(store, one)
        assert not has(store, one, two)

    def test_one_that_a_container_uses_only_loses_its_name_and_only_by_force(self, catalog: Catalog, store: Store, users: Users) -> None:
        one = layer(store, "one")
        image = put(catalog, [one], "app")
        users[image.id] = ["web"]
        with pytest.raises(Conflict, match="used by container web"):
            catalog.remove("app")
        assert catalog.remove("app", force=True).deleted == ()
        assert has(store, one)
        assert catalog.get(image.id).tags == ()

    def test_by_its_id_with_several_names_only_by_force(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", "b")
        with pytest.raises(Conflict, match="several names: a:latest, b:latest"):
            catalog.remove(image.short_id)
        assert catalog.remove(image.short_id, force=True).untagged == ("a:latest", "b:latest")
        assert catalog.list(all=True) == []

    def test_one_that_is_not_there_is_not_found(self, catalog: Catalog) -> None:
        with pytest.raises(NotFound, match="nothing"):
            catalog.remove("nothing")

    def test_pruning_takes_untagged_ones_that_no_container_uses(self, catalog: Catalog, store: Store, users: Users) -> None:
        layers = [layer(store, text) for text in ("named", "used", "loose")]
        named, used, loose = (put(catalog, [one], *names) for one, names in zip(layers, (["app"], [], []), strict=True))
        users[used.id] = ["web"]
        assert loose.id in catalog.prune().deleted
        assert catalog.list(all=True) == [used, named]


class TestImage:
    def test_tells_its_layers_with_what_made_them(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        image = put(catalog, [one, layer(store, "two", one)], "app")
        assert [info.created_by for info in image.layers] == ["RUN 0", "RUN 1"]
        assert image.size_bytes == sum(info.size_bytes for info in image.layers) > 0
        assert repr(image).startswith(f"<Image app:latest ({image.short_id}) 2 layers, ")

    def test_inspects_as_docker_does(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "app")
        document = image.inspect()
        assert (document["Id"], document["RepoTags"], document["Config"]["Cmd"]) == (image.id, ["app:latest"], ["sh"])
        assert document["RootFS"] == {"Type": "layers", "Layers": list(image.diff_ids)}

    def test_inspects_as_docker_does_what_came_from_elsewhere(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        extra = {"variant": "v8", "docker_version": "28.5", "comment": "of the config", "os.version": "1"}
        config = replace(config_of([one]), architecture="arm64", author="me", created="2024-01-01T00:00:00Z", extra=extra)
        made = catalog.put(config, [one], ["app"])
        manifest = store.blobs.read(made.manifest_digest)
        known = f"app@sha256:{'d' * 64}"
        document = catalog.put_whole(manifest, config.to_bytes(), ["app"], [known]).inspect()
        assert (document["RepoTags"], document["RepoDigests"]) == (["app:latest"], [known])
        assert {key: document[key] for key in ("Architecture", "Variant", "Os", "OsVersion", "Author", "Comment", "DockerVersion")} == {
            "Architecture": "arm64", "Variant": "v8", "Os": "linux", "OsVersion": "1", "Author": "me", "Comment": "of the config",
            "DockerVersion": "28.5",
        }  # fmt: skip
        assert document["Descriptor"] == {"mediaType": MEDIA_TYPE_MANIFEST, "digest": made.manifest_digest, "size": len(manifest)}
        assert made.platform == "linux/arm64/v8"
