"""Layer trees: made, kept once, found, removed, and taken away when nobody owns them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labcontainers.errors import Conflict, Failed, InvalidArgument, NotFound
from labcontainers.kernel import inode_flags
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.store import trees
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.store.snapshots import Layer
from tests.fakes.in_process_worker import InProcessWorker


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "s", tmp_path / "r")


@pytest.fixture
def store(paths: StorePaths) -> Iterator[Store]:
    opened = Store.open(paths, InProcessWorker())
    yield opened
    assert opened.verify(deep=True) == []
    assert opened.leftovers() == []
    assert list(paths.tmp.iterdir()) == []
    opened.close()


def commit(store: Store, content: str, parents: tuple[str, ...] = ()) -> Layer:
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "file").write_text(content)
    os.utime(scratch / "fs" / "file", ns=(0, 0))
    (scratch / "work" / "rest").touch()
    return store.snapshots.commit(scratch, parents)


def test_trees_are_made_where_the_file_system_is_told_to_spread_them(store: Store, paths: StorePaths, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    inode_flags.spread(tmp_path / "plain")
    with contextlib.suppress(OSError):  # of a file system without flags
        assert inode_flags.flags_of(paths.tmp) == inode_flags.flags_of(tmp_path / "plain")
    scratch = store.snapshots.new_tree()
    assert scratch.parent == paths.tmp
    store.snapshots.discard(scratch)


class TestCommit:
    def test_a_committed_tree_is_found_by_its_chain(self, store: Store) -> None:
        layer = commit(store, "one")
        assert layer.chain_id == layer.diff_id
        assert store.snapshots.has(layer.chain_id)
        assert [path.name for path in store.snapshots.tree(layer.chain_id).iterdir()] == ["file"]
        row = store.records.find_layer(layer.chain_id)
        assert row is not None
        assert (row.diff_id, row.parent_chain_id, row.size_bytes) == (layer.diff_id, "", layer.size_bytes)

    def test_the_diff_id_is_that_of_the_tree(self, store: Store) -> None:
        layer = commit(store, "one")
        assert trees.measure(str(store.snapshots.tree(layer.chain_id))) == {"diff_id": layer.diff_id, "size_bytes": layer.size_bytes}

    def test_the_same_layer_is_kept_once(self, store: Store, paths: StorePaths) -> None:
        assert commit(store, "one") == commit(store, "one")
        assert len(list(paths.snapshots.iterdir())) == 2

    def test_the_same_diff_above_another_parent_is_another_layer(self, store: Store) -> None:
        base = commit(store, "base")
        above = commit(store, "one", (base.diff_id,))
        alone = commit(store, "one")
        assert above.diff_id == alone.diff_id
        assert above.chain_id == chain_id((base.diff_id, alone.diff_id)) != alone.chain_id

    def test_threads_that_commit_the_same_layer_all_succeed(self, store: Store) -> None:
        with ThreadPoolExecutor(6) as pool:
            layers = set(pool.map(lambda number: commit(store, str(number % 2)), range(24)))
        assert len(layers) == 2

    def test_a_failed_commit_leaves_the_scratch_to_its_owner(self, store: Store) -> None:
        scratch = store.snapshots.new_tree()
        (scratch / "fs" / ".wh.x").touch()
        with pytest.raises(InvalidArgument):
            store.snapshots.commit(scratch, ())
        assert (scratch / "fs" / ".wh.x").exists()
        store.snapshots.discard(scratch)
        store.snapshots.discard(scratch)

    def test_two_layers_never_share_a_short_link(self, store: Store, paths: StorePaths) -> None:
        other = commit(store, "other")
        one = commit(store, "one")
        link = paths.snapshots / "l" / one.chain_id[7:23]
        store.snapshots.remove(one.chain_id)
        link.symlink_to(f"../{other.chain_id[7:]}/fs")
        scratch = store.snapshots.new_tree()
        (scratch / "fs" / "file").write_text("one")
        os.utime(scratch / "fs" / "file", ns=(0, 0))
        with pytest.raises(Failed, match="share"):
            store.snapshots.commit(scratch, ())
        store.snapshots.discard(scratch)
        link.unlink()


class TestLowerPaths:
    def test_they_are_top_first_and_short(self, store: Store, paths: StorePaths) -> None:
        layers: list[Layer] = []
        for content in "abc":
            layers.append(commit(store, content, tuple(layer.diff_id for layer in layers)))
        lower = [Path(path) for path in store.snapshots.lower_paths([layer.diff_id for layer in layers])]
        assert [(path / "file").read_text() for path in lower] == ["c", "b", "a"]
        assert {len(path.name) for path in lower} == {16}
        assert {path.parent for path in lower} == {paths.snapshots / "l"}

    def test_none_are_none(self, store: Store) -> None:
        assert store.snapshots.lower_paths(()) == ()

    def test_a_missing_one_is_not_found_and_named(self, store: Store) -> None:
        base = commit(store, "base")
        with pytest.raises(NotFound, match=sha256(b"x")):
            store.snapshots.lower_paths((base.diff_id, sha256(b"x")))


class TestRemove:
    def test_a_removed_layer_is_gone_with_its_link(self, store: Store, paths: StorePaths) -> None:
        layer = commit(store, "one")
        store.snapshots.remove(layer.chain_id)
        store.snapshots.remove(layer.chain_id)
        assert not store.snapshots.has(layer.chain_id)
        assert [path.name for path in paths.snapshots.iterdir()] == ["l"]
        assert commit(store, "one") == layer

    def test_closed_directories_and_read_only_files_go_too(self, store: Store) -> None:
        scratch = store.snapshots.new_tree()
        closed = scratch / "fs" / "closed" / "inner"
        closed.mkdir(parents=True)
        (closed / "file").touch(mode=0o000)
        closed.chmod(0o000)
        closed.parent.chmod(0o500)
        store.snapshots.discard(scratch)
        assert not scratch.exists()

    def test_commit_and_remove_at_once_leave_the_whole_layer_or_none(self, store: Store) -> None:
        layer = commit(store, "one")
        ended = threading.Event()

        def remove() -> None:
            while not ended.is_set():
                store.snapshots.remove(layer.chain_id)

        thread = threading.Thread(target=remove)
        thread.start()
        for _ in range(30):
            commit(store, "one")
        ended.set()
        thread.join()
        assert store.verify(deep=True) == []


class TestRecovery:
    def test_what_has_an_owner_is_left_alone(self, store: Store, paths: StorePaths) -> None:
        scratch = store.snapshots.new_tree()
        with store.blobs.writer() as writer:
            other = Store.open(paths, InProcessWorker())
            other.sweep()
            other.close()
            writer.write(b"x")
            assert writer.commit() == (sha256(b"x"), 1)
        assert scratch.is_dir()
        store.snapshots.discard(scratch)

    def test_what_has_none_is_taken_away(self, paths: StorePaths) -> None:
        dead = Store.open(paths, InProcessWorker())
        (dead.snapshots.new_tree() / "fs" / "file").touch()
        dead.close()
        (paths.tmp / "tree-without-owner").mkdir()
        (paths.tmp / "blob-abc").write_bytes(b"half")
        store = Store.open(paths, InProcessWorker())
        assert list(paths.tmp.iterdir()) == []
        (paths.tmp / "blob-def").write_bytes(b"half")
        store.sweep()
        assert list(paths.tmp.iterdir()) == []
        store.close()

    def test_a_tree_without_a_row_and_a_link_to_nothing_are_taken_away(self, store: Store, paths: StorePaths) -> None:
        kept = commit(store, "kept")
        lost = commit(store, "lost")
        store.records.remove_layer(lost.chain_id)
        (paths.snapshots / "l" / "0123456789abcdef").symlink_to("../nowhere/fs")
        assert len(store.leftovers()) == 3
        store.sweep()
        assert store.leftovers() == []
        assert store.snapshots.has(kept.chain_id)
        assert not store.snapshots.tree(lost.chain_id).exists()

    def test_trash_is_deleted_when_it_is_old(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        (paths.trash / "young" / "inner").mkdir(parents=True)
        store.sweep()
        assert [path.name for path in paths.trash.iterdir()] == ["young"]
        store.close()

    def test_opening_calls_no_worker(self, paths: StorePaths) -> None:
        class NoWorker:
            def call(self, function: str, /, **arguments: object) -> Any:
                raise AssertionError(function)

        dead = Store.open(paths, InProcessWorker())
        dead.snapshots.new_tree()
        dead.close()
        Store.open(paths, NoWorker()).close()
        assert list(paths.tmp.iterdir()) == []


class TestLayersOfOthers:
    def test_a_layer_stays_while_another_one_stands_on_it(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        base = commit(store, "base")
        top = commit(store, "top", (base.diff_id,))
        assert not store.snapshots.remove(base.chain_id)
        assert store.snapshots.has(base.chain_id)
        assert store.snapshots.remove(top.chain_id)
        assert store.snapshots.remove(base.chain_id)
        assert store.verify() == []
        store.close()

    def test_a_layer_stays_while_somebody_makes_another_one_above_it(self, paths: StorePaths) -> None:
        store, other = (Store.open(paths, InProcessWorker()) for _ in range(2))
        base = commit(store, "base")
        scratch = other.snapshots.new_tree((base.diff_id,))
        assert not store.snapshots.remove(base.chain_id)
        other.snapshots.discard(scratch)
        assert store.snapshots.remove(base.chain_id)
        with pytest.raises(Conflict, match="make it again"):
            other.snapshots.new_tree((base.diff_id,))
        store.close()
        other.close()

    def test_a_layer_whose_parent_was_removed_meanwhile_is_not_committed(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        base = commit(store, "base")
        store.snapshots.remove(base.chain_id)
        with pytest.raises(Conflict, match="make the image again"):
            commit(store, "top", (base.diff_id,))
        store.close()
        Store.open(paths, InProcessWorker()).close()
        assert list(paths.tmp.iterdir()) == []


class TestVerify:
    def test_a_missing_tree_link_or_parent_is_told(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        base = commit(store, "base")
        top = commit(store, "top", (base.diff_id,))
        assert store.verify() == []
        store.records.remove_layer(base.chain_id)
        assert store.verify() == [f"layer {top.chain_id} lacks its parent {base.chain_id}"]
        os.rename(store.snapshots.tree(top.chain_id), paths.trash / "x")
        (paths.snapshots / "l" / top.chain_id[7:23]).unlink()
        assert set(store.verify()) >= {f"layer {top.chain_id} has no tree", f"layer {top.chain_id} has no short link"}
        store.close()

    def test_a_changed_file_of_a_layer_is_told_when_asked_to_look_deep(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        layer = commit(store, "one")
        (store.snapshots.tree(layer.chain_id) / "file").write_text("two")
        assert store.verify() == []
        (complaint,) = store.verify(deep=True)
        assert layer.chain_id in complaint
        store.close()

    def test_blobs_images_and_container_directories_are_checked(self, paths: StorePaths) -> None:
        store = Store.open(paths, InProcessWorker())
        good = store.blobs.put(b"good")
        bad = store.blobs.put(b"bad")
        store.blobs.path(bad).write_bytes(b"damaged")
        store.records.put_manifest(good, sha256(b"absent"), 1, 1.0)
        store.records.put_image("docker.io/x/y:z", sha256(b"unknown"), good, 1.0)
        (paths.containers / ("f" * 64)).mkdir()
        (paths.blobs / "stranger").touch()
        assert set(store.verify()) == {
            f"blob {bad} is damaged",
            f"blob {sha256(b'absent')} is missing",
            f"image docker.io/x/y:z names the unknown manifest {sha256(b'unknown')}",
            f"container directory {'f' * 12} has no row",
            "stranger is not a blob",
        }
        store.close()


class TestTrees:
    def test_removing_what_is_not_there_is_fine(self, tmp_path: Path) -> None:
        trees.remove(str(tmp_path / "nothing"))

    def test_removing_a_link_leaves_what_it_names(self, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "file").touch()
        (tmp_path / "tree").mkdir()
        os.symlink(tmp_path / "kept", tmp_path / "tree" / "link")
        os.symlink(tmp_path / "kept", tmp_path / "link")
        trees.remove(str(tmp_path / "tree"))
        trees.remove(str(tmp_path / "link"))
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]
        assert (tmp_path / "kept" / "file").exists()

    def test_several_may_remove_the_same_tree(self, tmp_path: Path) -> None:
        for number in range(300):
            (tmp_path / "tree" / str(number % 10)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / str(number % 10) / str(number)).touch()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(trees.remove, [str(tmp_path / "tree")] * 4))
        assert not (tmp_path / "tree").exists()

    def test_usage_counts_hard_links_once(self, tmp_path: Path) -> None:
        (tmp_path / "dir").mkdir()
        (tmp_path / "dir" / "a").write_bytes(b"x" * 10_000)
        before = trees.usage(str(tmp_path))
        os.link(tmp_path / "dir" / "a", tmp_path / "b")
        assert trees.usage(str(tmp_path)) == before
        assert before["inodes"] == 2
        assert before["bytes"] >= 10_000


class TestLink:
    """A layer whose tree is kept elsewhere."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Path:
        tree = tmp_path / "elsewhere"
        tree.mkdir()
        (tree / "file").write_text("one")
        os.utime(tree / "file", ns=(0, 0))
        return tree

    def link(self, store: Store, tree: Path, parents: tuple[str, ...] = ()) -> Layer:
        measured = trees.measure(str(tree))
        return store.snapshots.link(tree, parents, measured["diff_id"], measured["size_bytes"], unpacked=False)

    def test_a_linked_tree_is_read_where_it_is(self, store: Store, elsewhere: Path) -> None:
        layer = self.link(store, elsewhere)
        (lower,) = store.snapshots.lower_paths((layer.diff_id,))
        assert (Path(lower) / "file").read_text() == "one"
        assert store.snapshots.tree(layer.chain_id) == store.snapshots.elsewhere(layer.chain_id) == elsewhere
        assert trees.measure(str(store.snapshots.tree(layer.chain_id)))["diff_id"] == layer.diff_id

    def test_removal_takes_the_link_alone(self, store: Store, elsewhere: Path) -> None:
        layer = self.link(store, elsewhere)
        assert store.snapshots.remove(layer.chain_id)
        assert not store.snapshots.has(layer.chain_id)
        assert (elsewhere / "file").read_text() == "one"

    def test_a_tree_that_the_store_has_is_kept(self, store: Store, elsewhere: Path) -> None:
        own = commit(store, "one")
        assert self.link(store, elsewhere) == own
        assert store.snapshots.elsewhere(own.chain_id) is None

    def test_a_lost_tree_is_told_by_its_place_and_can_be_linked_anew(self, store: Store, elsewhere: Path, tmp_path: Path) -> None:
        layer = self.link(store, elsewhere)
        moved = elsewhere.rename(tmp_path / "moved")
        assert not store.snapshots.has(layer.chain_id)
        assert store.verify() == [f"layer {layer.chain_id} has lost its tree, which was at {elsewhere}"]
        with pytest.raises(NotFound, match=f"is not at {elsewhere} any more"):
            store.snapshots.lower_paths((layer.diff_id,))
        assert self.link(store, moved) == layer
        assert store.snapshots.tree(layer.chain_id) == moved
