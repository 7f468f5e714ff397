"""What goes with an image, by name, by id and by prune, and what stays for whoever else needs it."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, DigestMismatch, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.removal import ForgottenSteps
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import sha256
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER_GZIP, Manifest
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import ContainerRow, LayerBlobRow
from labcontainers.store.snapshots import Layer
from tests.fakes.in_process_worker import InProcessWorker
from tests.fakes.small_images import config_of, layer, put

Users = dict[str, list[str]]
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")

# names and digests of an image, what is removed, and what that takes away; None is a conflict
BY_NAME = [
    (["a"], [], "a", ["a:latest"]),
    (["a", "a:2"], [], "a", ["a:latest"]),
    (["a"], [f"a@{ONE}"], "a", ["a:latest", f"a@{ONE}"]),
    (["a", "a:2"], [f"a@{ONE}"], "a", ["a:latest"]),
    (["a", "b"], [f"a@{ONE}", f"b@{TWO}"], "a", ["a:latest", f"a@{ONE}"]),
    (["a"], [f"a@{ONE}"], f"a@{ONE}", [f"a@{ONE}"]),
    (["a"], [f"a@{ONE}"], f"a:any@{ONE}", [f"a@{ONE}"]),
    (["a"], [f"a@{ONE}"], "ID", ["a:latest", f"a@{ONE}"]),
    ([], [f"a@{ONE}"], "ID", [f"a@{ONE}"]),
    (["a", "a:2"], [], "ID", None),
    (["a"], [f"b@{ONE}"], "ID", None),
]


@pytest.fixture
def users() -> Users:
    return {}


@pytest.fixture
def running() -> Users:
    return {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    yield opened
    assert opened.verify(deep=True) == []
    opened.close()


@pytest.fixture
def catalog(store: Store, users: Users, running: Users) -> Iterator[Catalog]:
    made = Catalog(store, lambda image_id: users.get(image_id, []), lambda image_id: running.get(image_id, []))
    yield made
    assert made.verify() == []


def keep_compressed(store: Store, catalog: Catalog, content: str, *names: str) -> tuple[str, str]:
    """An image whose layer is kept as it came, as a pull leaves it; the digests of that layer and of the image."""
    one = layer(store, content)
    blob = store.blobs.put(b"compressed " + content.encode())
    store.records.put_layer_blob(LayerBlobRow(one.diff_id, blob, MEDIA_TYPE_LAYER_GZIP, 10))
    config = config_of([one]).to_bytes()
    manifest = Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), (Descriptor(MEDIA_TYPE_LAYER_GZIP, blob, 10),))
    return blob, catalog.put_whole(manifest.to_bytes(), config, names).id


class TestNames:
    @pytest.mark.parametrize(("names", "digests", "wanted", "untagged"), BY_NAME)
    def test_what_is_untagged_is_what_docker_untags(
        self, catalog: Catalog, store: Store, names: list[str], digests: list[str], wanted: str, untagged: list[str] | None
    ) -> None:
        image = put(catalog, [layer(store, "one")], *names, digests=digests)
        name = image.short_id if wanted == "ID" else wanted
        if untagged is None:
            with pytest.raises(Conflict, match="several names"):
                catalog.remove(name)
            assert len(catalog.get(image.id).tags) == len(names)
            return
        removed = catalog.remove(name)
        assert list(removed.untagged) == untagged
        assert bool(removed.deleted) is (len(untagged) == len(names) + len(digests))

    def test_an_image_is_found_by_a_digest_that_a_registry_knows_it_by(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", digests=[f"a@{ONE}"])
        assert (image.tags, image.repo_digests) == (("a:latest",), (f"a@{ONE}",))
        assert catalog.get(f"a@{ONE}") == image
        assert catalog.find(f"b@{ONE}") is None

    def test_by_its_id_not_even_by_force_while_a_container_of_it_runs(
        self, catalog: Catalog, store: Store, users: Users, running: Users
    ) -> None:
        image = put(catalog, [layer(store, "one")], "a")
        users[image.id] = running[image.id] = ["web"]
        with pytest.raises(Conflict, match="running container web"):
            catalog.remove(image.short_id, force=True)
        assert catalog.remove("a", force=True).untagged == ("a:latest",)

    def test_a_name_for_an_image_that_was_removed_meanwhile_is_not_found_and_is_not_kept(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a")
        catalog.remove("a")
        with pytest.raises(NotFound, match="a:latest"):
            catalog.tag(image, "b")
        assert store.records.list_images() == []


class TestContent:
    def test_the_last_image_of_a_layer_takes_its_stored_bytes_with_it(self, catalog: Catalog, store: Store) -> None:
        blob, _ = keep_compressed(store, catalog, "one", "a")
        catalog.remove("a")
        assert list(store.blobs.list()) == []
        assert not store.blobs.has(blob)
        assert store.records.list_layers() == []

    def test_stored_bytes_that_another_image_needs_stay(self, catalog: Catalog, store: Store) -> None:
        blob, first = keep_compressed(store, catalog, "one", "a")
        image = catalog.get("a")
        same = Layer(image.diff_ids[0], image.diff_ids[0], image.size_bytes)
        catalog.put(config_of([same], cmd="other"), [same], ["b"])
        catalog.remove("a")
        assert store.blobs.has(blob)
        assert not store.blobs.has(first)

    def test_a_layer_of_several_images_is_told_once(self, catalog: Catalog, store: Store) -> None:
        first = layer(store, "one")
        images = [put(catalog, [first], "a"), put(catalog, [first, layer(store, "two", first)], "b")]
        deleted = catalog.prune(all=True).deleted
        assert len(deleted) == len(set(deleted)) == 4
        assert {*(image.id for image in images), first.diff_id} < set(deleted)

    def test_no_prune_keeps_the_layers_until_the_next_prune(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a")
        assert catalog.remove("a", no_prune=True).deleted == (image.id,)
        assert len(store.records.list_layers()) == 1
        pruned = catalog.prune()
        assert pruned.deleted == (image.diff_ids[0],)
        assert store.records.list_layers() == []

    def test_what_a_container_has_mounted_stays(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        put(catalog, [one], "a")
        document = json.dumps({"diff_ids": [], "mounts": [{"diff_ids": [one.diff_id]}]})
        store.records.put_container(ContainerRow("c" * 64, "web", "x", "x", document, 1.0))
        catalog.remove("a")
        assert store.snapshots.has(one.chain_id)
        store.records.remove_container("c" * 64)

    def test_images_of_an_older_store_are_listed_and_removed_by_their_documents(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", labels={"a": "b"}, at=1000.0)
        other = put(catalog, [layer(store, "two")], "b")
        with sqlite3.connect(store.paths.database) as database:
            database.execute("UPDATE manifests SET facts = '', content = ''")
        database.close()
        listed = {one.name: one for one in catalog.list()}
        assert (dict(listed["a:latest"].labels), listed["a:latest"].created_at) == ({"a": "b"}, 1000.0)
        assert all(row.facts for row in store.records.list_manifests())
        with sqlite3.connect(store.paths.database) as database:
            database.execute("UPDATE manifests SET facts = '', content = ''")
        database.close()
        catalog.remove("a")
        assert store.snapshots.has(other.diff_ids[0])
        assert not store.snapshots.has(image.diff_ids[0])

    def test_one_whose_documents_are_damaged_can_be_removed(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a")
        for digest in (image.id, image.manifest_digest):
            store.blobs.path(digest).write_bytes(b"damaged")
        fresh = Catalog(store, lambda image_id: [])
        with pytest.raises(DigestMismatch):
            fresh.get("a")
        assert fresh.remove("a").deleted == (image.id, image.diff_ids[0])
        assert list(store.blobs.list()) == []

    def test_listing_reads_no_document(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", labels={"a": "b"})
        path = store.blobs.path(image.id)
        away = path.with_name("away")
        os.rename(path, away)
        fresh = Catalog(store, lambda image_id: [])
        (listed,) = fresh.list()
        assert (listed.name, dict(listed.labels)) == ("a:latest", {"a": "b"})
        assert (listed.platform, listed.size_bytes) == ("linux/amd64", image.size_bytes)
        with pytest.raises(NotFound, match="no such blob"):
            listed.config  # noqa: B018  # it is read by being asked for
        os.rename(away, path)


class TestPrune:
    def test_takes_untagged_ones_or_all_that_no_container_uses(self, catalog: Catalog, store: Store, users: Users) -> None:
        used, named, known, loose = (
            put(catalog, [layer(store, text)], *names, digests=digests)
            for text, names, digests in (("used", ["u"], []), ("named", ["n"], []), ("known", [], [f"k@{ONE}"]), ("loose", [], []))
        )
        users[used.id] = ["web"]
        assert catalog.prune().deleted == (loose.id, loose.diff_ids[0])
        pruned = catalog.prune(all=True)
        assert set(pruned.untagged) == {"n:latest", f"k@{ONE}"}
        assert {named.id, known.id} <= set(pruned.deleted)
        assert pruned.reclaimed_bytes > named.size_bytes
        assert catalog.list(all=True) == [used]

    @pytest.mark.parametrize(
        ("filters", "left"),
        [
            ({"label": "a=b"}, {"two", "three"}),
            ({"label!": "a"}, {"one", "two"}),
            ({"until": "1500"}, {"two", "three"}),
            ({"label": "a", "until": "1500"}, {"two", "three"}),
            ({"label": "nope"}, {"one", "two", "three"}),
            ({"dangling": "false"}, set()),
        ],
    )
    def test_filters_are_dockers(self, catalog: Catalog, store: Store, filters: dict[str, str], left: set[str]) -> None:
        for text, at, labels in (("one", 1000.0, {"a": "b"}), ("two", 2000.0, {"a": "c"}), ("three", 3000.0, {})):
            put(catalog, [layer(store, text)], text, at=at, labels=labels)
        catalog.prune(filters, all=True)
        assert {image.tags[0].removesuffix(":latest") for image in catalog.list()} == left

    def test_is_told_as_docker_tells_it(self, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", digests=[f"a@{ONE}"])
        lines = repr(catalog.prune(all=True)).splitlines()
        untagged = ["untagged: a:latest", f"untagged: a@{ONE}"]
        assert lines[:-2] == ["Deleted Images:", *untagged, f"deleted: {image.id}", f"deleted: {image.diff_ids[0]}"]
        assert (lines[-2], lines[-1].partition(":")[0]) == ("", "Total reclaimed space")
        assert repr(catalog.prune()) == "Total reclaimed space: 0B"

    def test_takes_blobs_that_nobody_needs_but_for_one_that_somebody_fetches(self, catalog: Catalog, store: Store) -> None:
        fetched, orphan = store.blobs.put(b"being fetched"), store.blobs.put(b"of a pull that was killed")
        with store.downloads.hold(fetched):
            assert catalog.prune().reclaimed_bytes == len(b"of a pull that was killed")
            assert (store.blobs.has(fetched), store.blobs.has(orphan)) == (True, False)
        catalog.prune()
        assert not store.blobs.has(fetched)

    def test_what_builds_remember_stays_unless_it_is_forgotten(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        store.records.put_cache("step:a", json.dumps({"diff_id": one.diff_id, "chain_id": one.chain_id}), 5.0)
        assert catalog.prune(all=True).deleted == ()
        assert catalog.prune_steps(lambda needed: ()) == ForgottenSteps((), 0)
        assert store.snapshots.has(one.chain_id)
        forgotten = catalog.prune_steps(lambda needed: ["step:a"])
        assert forgotten is not None
        assert forgotten.keys == ("step:a",)
        assert forgotten.reclaimed_bytes > 0
        assert not store.snapshots.has(one.chain_id)

    def test_the_layer_of_a_forgotten_step_stays_where_an_image_has_it(self, catalog: Catalog, store: Store) -> None:
        one = layer(store, "one")
        put(catalog, [one], "a")
        store.records.put_cache("step:a", json.dumps({"diff_id": one.diff_id, "chain_id": one.chain_id}), 5.0)
        asked: list[frozenset[str]] = []

        def choose(needed: frozenset[str]) -> list[str]:
            asked.append(needed)
            return ["step:a"]

        assert catalog.prune_steps(choose) == ForgottenSteps(("step:a",), 0)
        assert asked == [frozenset({one.chain_id})]
        assert store.snapshots.has(one.chain_id)

    def test_steps_stay_while_somebody_makes_an_image(self, catalog: Catalog, store: Store) -> None:
        store.records.put_cache("step:a", "{}", 5.0)
        with store.making():
            assert catalog.prune_steps(lambda needed: ["step:a"]) is None
        assert store.records.find_cache("step:a") is not None


class TestBesideOthers:
    def test_layers_that_no_image_has_yet_stay_while_somebody_makes_one(self, catalog: Catalog, store: Store) -> None:
        with store.making():
            one = layer(store, "one")
            blob = store.blobs.put(b"its bytes")
            assert catalog.prune(all=True).deleted == ()
            put(catalog, [one], "a")
            removed = catalog.remove("a")
            assert len(removed.deleted) == 1
            assert store.blobs.has(blob)
            image = put(catalog, [one], "a", cmd="again")
        assert catalog.get("a") == image

    def test_who_wants_to_make_one_waits_until_a_removal_has_ended(self, store: Store) -> None:
        order = []

        def make() -> None:
            with store.making():
                order.append("made")

        thread = threading.Thread(target=make)
        with store.unless_making() as alone:
            assert alone
            thread.start()
            order.append("removed")
        thread.join(60)
        assert order == ["removed", "made"]

    def test_several_make_images_at_once(self, store: Store) -> None:
        with store.making(), store.making(), store.unless_making() as alone:
            assert not alone
