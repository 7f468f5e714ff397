"""Image stores that many users read: nothing is copied, nothing is changed, and what is wrong with one is told in a line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, Denied, InvalidArgument, LabError, NotFound
from labcontainers.images.layer_bytes import stored_layer
from labcontainers.images.shared import sharing
from labcontainers.images.shared.reading import SharedStore
from labcontainers.oci.manifest import Manifest
from tests.engines import put_in_order
from tests.fakes.registry_server import RegistryServer
from tests.waiting import until

MEGABYTE = 1_000_000
RUN: dict[str, Any] = {"network": "none", "remove": True}
DOCKERFILE = "FROM lab/base\nRUN mkdir /d && echo one > /d/x && echo h > /h && ln /h /h2\nRUN rm -rf /d && mkdir /d && echo two > /d/y\n"
PROGRAM = "import sys; from labcontainers.__main__ import main; sys.exit(main())"
User = Callable[..., Engine]

# by what an image of a shared store is found
NAMES = {
    "its name": lambda image: "team/tool:1",
    "its full name": lambda image: "docker.io/team/tool:1",
    "its id": lambda image: image.id,
    "the beginning of its id": lambda image: image.short_id,
    "its digest": lambda image: image.manifest_digest,
    "its name with the digest": lambda image: f"team/tool@{image.manifest_digest}",
}

# paths that are no shared store, and what is told of them
NO_STORES = {
    "nothing": "does not exist",
    "a-file": "is no folder",
    "a-folder": "is no image store",
}


def sh(engine: Engine, image: Any, script: str, **options: Any) -> str:
    result = engine.containers.run(image, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def say(engine: Engine, *words: str) -> tuple[str, str]:
    """What a command answers, and what it tells on standard error."""
    errors: list[bytes] = []
    value = execute(lambda: engine, understand(words), on_output=lambda stream, data: errors.append(data) if stream == 2 else None)
    return repr(value), b"".join(errors).decode()


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take; links are not followed."""
    total = 0
    # unlike rglob() this goes on where what is in the trash goes meanwhile
    for path, _, names in os.walk(folder):
        for name in (".", *names):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(f"{path}/{name}").st_blocks * 512
    return total


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What would tell that somebody wrote below a folder. Container ids may own what is in trees, which are only looked at from above."""
    paths = [folder, *(path for path in folder.rglob("*") if "fs" not in path.relative_to(folder).parts)]
    return {str(path): (status.st_ino, status.st_mtime_ns, status.st_mode) for path in paths for status in (path.lstat(),)}


@pytest.fixture
def user(place: Path, store_with_base: Path) -> Iterator[User]:
    """Engines, each with a store of its own; `base` gives it lab/base. All are consistent at the end unless a test closes them."""
    with put_in_order(lambda engine: engine.verify()) as engines:

        def make(name: str, *stores: Path, base: bool = False) -> Engine:
            if base and not (place / name).exists():
                shutil.copytree(store_with_base, place / name, symlinks=True)
            engines.append(Engine(root=place / name, run_root=place / f"{name}-run", image_stores=stores))
            return engines[-1]

        yield make


@pytest.fixture
def shared(place: Path) -> Path:
    return place / "shared"


@pytest.fixture
def owner(user: User, shared: Path) -> Engine:
    """Who has shared the image team/tool:1."""
    engine = user("owner", base=True)
    engine.images.build(dockerfile_text=DOCKERFILE, tag="team/tool:1", network="none")
    engine.images.share("team/tool:1", shared)
    return engine


@pytest.fixture
def reader(owner: Engine, user: User, shared: Path) -> Engine:
    """Who reads it, and has no image of his own."""
    return user("reader", shared)


def layer_requests(server: RegistryServer) -> list[str]:
    """The layers that were fetched, by their digests: manifests and configs are smaller."""
    digests = [asked.path.rpartition("/")[2] for asked in server.requests("GET", "/blobs/")]
    return [digest for digest in digests if len(server.blobs["team/tool", digest]) > 50_000]


def pretend_other_ids(shared: Path) -> None:
    """As if somebody whose ids are others had written the store."""
    mark = shared / "labcontainers.json"
    value = json.loads(mark.read_text())
    mark.write_text(json.dumps({**value, "ids": {"kind": "single", "uids": [[0, 4711, 1]], "gids": [[0, 4711, 1]]}}))
    os.utime(shared / "index.json")


class TestReading:
    def test_the_first_run_of_a_large_image_copies_nothing(self, owner: Engine, user: User, shared: Path, place: Path) -> None:
        owner.images.build(dockerfile_text=f"FROM lab/base\nRUN head -c {100 * MEGABYTE} /dev/urandom > /big\n", tag="big", network="none")
        owner.images.share("big", shared)
        reader = user("reader", shared)
        assert sh(reader, "big", "wc -c < /big") == f"{100 * MEGABYTE}\n"
        assert disk_bytes(place / "reader") < MEGABYTE
        assert disk_bytes(shared) > 200 * MEGABYTE
        assert reader.disk_usage().images_bytes < MEGABYTE

    def test_it_is_listed_as_read_only_and_nothing_comes_into_the_own_store_for_that(self, reader: Engine) -> None:
        assert [(image.tags, image.read_only) for image in reader.images.list()] == [(("team/tool:1",), True)]
        assert say(reader, "images", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}") == ("team/tool:1 true", "")
        head, row = say(reader, "images")[0].splitlines()
        assert head.split()[-1] == "R/O"
        assert row.split()[-1] == "true"
        assert reader.store.records.list_manifests() == []
        assert "read-only" in reader.images.list()[0]._repr_html_()

    def test_without_shared_images_the_table_is_dockers(self, owner: Engine) -> None:
        assert "R/O" not in say(owner, "images")[0]
        assert "ReadOnly" not in say(owner, "images", "--format", "json")[0]

    @pytest.mark.parametrize("by", NAMES)
    def test_it_is_found(self, owner: Engine, reader: Engine, by: str) -> None:
        original = owner.images.get("team/tool:1")
        assert sh(reader, NAMES[by](original), "cat /d/y") == "two\n"
        assert reader.images.get(NAMES[by](original)).manifest_digest == original.manifest_digest

    def test_an_image_of_the_list_can_be_run_and_looked_into_as_it_is(self, reader: Engine) -> None:
        (image,) = reader.images.list()
        assert sh(reader, image, "cat /d/y") == "two\n"
        assert [layer.size_bytes > 0 for layer in image.layers] == [True] * 3
        assert any(file.path == "/d/y" for file in image.layers[2].files)

    def test_a_container_changes_it_for_itself_alone(self, reader: Engine, owner: Engine, shared: Path) -> None:
        before = state(shared)
        script = "echo more >> /d/y; chmod 700 /h; rm /h2; rm -r /d; mkdir /d; ls /d | wc -l; ls /h2 2>/dev/null || echo gone"
        assert sh(reader, "team/tool:1", script).split() == ["0", "gone"]
        assert sh(reader, "team/tool:1", "cat /d/y /h2") == "two\nh\n"
        assert state(shared) == before

    def test_hard_links_and_removed_directories_are_those_of_the_image(self, reader: Engine, owner: Engine) -> None:
        script = "stat -c %h /h; ls -a /d; stat -c '%a %u %g' /d /h /etc"
        assert sh(reader, "team/tool:1", script) == sh(owner, "team/tool:1", script)

    def test_it_can_be_built_on_tagged_saved_and_inspected(self, reader: Engine, user: User, place: Path) -> None:
        built = reader.images.build(dockerfile_text="FROM team/tool:1\nRUN echo three > /d/z\n", tag="own", network="none").image
        assert sh(reader, "own", "cat /d/y /d/z") == "two\nthree\n"
        assert built.diff_ids[:3] == reader.images.get("team/tool:1").diff_ids
        assert not built.read_only
        assert reader.images.tag("team/tool:1", "mine").read_only
        with reader.images.save(["mine", "own"]) as archive, open(place / "archive.tar", "wb") as file:
            archive.write(file)
        other = user("other")
        assert [image.id for image in other.images.load(place / "archive.tar")] == [reader.images.get("mine").id, built.id]
        assert sh(other, "mine", "cat /d/y") == "two\n"
        assert reader.images.get("team/tool:1").inspect()["RootFS"]["Layers"] == list(built.diff_ids[:3])
        assert sorted(reader.images.get("mine").tags) == ["mine:latest", "team/tool:1"]

    def test_the_own_image_of_a_name_counts_before_the_shared_one(self, reader: Engine, owner: Engine) -> None:
        reader.images.tag("team/tool:1", "mine")
        reader.images.build(dockerfile_text="FROM mine\nRUN echo own > /d/y\n", tag="team/tool:1", network="none")
        assert sh(reader, "team/tool:1", "cat /d/y") == "own\n"
        assert [image.read_only for image in reader.images.list() if "team/tool:1" in image.tags] == [False]

    def test_a_name_that_moves_in_the_shared_store_moves_for_everybody(self, reader: Engine, owner: Engine, shared: Path) -> None:
        container = reader.containers.create("team/tool:1", ["cat", "/d/y"], network="none")
        owner.images.build(dockerfile_text="FROM lab/base\nRUN mkdir /d && echo new > /d/y\n", tag="team/tool:1", network="none")
        owner.images.share("team/tool:1", shared)
        assert sh(reader, "team/tool:1", "cat /d/y") == "new\n"
        container.start()
        container.wait()
        assert str(container.logs()) == "two\n"
        container.remove()
        reader.images.prune()
        assert [image.tags for image in reader.images.list(all=True)] == [("team/tool:1",)]

    def test_two_stores_are_looked_into_in_order(self, owner: Engine, user: User, shared: Path, place: Path) -> None:
        owner.images.build(dockerfile_text="FROM lab/base\nRUN mkdir /d && echo second > /d/y\n", tag="team/tool:1", network="none")
        owner.images.share(["team/tool:1", "lab/base"], place / "second")
        reader = user("reader", shared, place / "second")
        assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
        assert sorted(tag for image in reader.images.list() for tag in image.tags) == ["lab/base:latest", "team/tool:1"]

    def test_the_setting_names_the_stores_as_path_does(
        self, owner: Engine, shared: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LABCONTAINERS_IMAGE_STORES", f":{place / 'none'}:{shared}:")
        with Engine(root=place / "reader", run_root=place / "reader-run") as engine:
            assert engine.info()["ImageStores"] == [str(place / "none"), str(shared)]
            assert sh(engine, "team/tool:1", "cat /d/y") == "two\n"

    def test_layers_that_came_from_elsewhere_keep_their_digests(self, owner: Engine, user: User, shared: Path, place: Path) -> None:
        """Their stored bytes cannot be made of trees: they are linked, too."""
        first = owner.images.get("team/tool:1")
        compressed = [stored_layer(first.diff_ids[:count], owner.store, owner._launcher) for count in range(1, 4)]
        config = Manifest.from_bytes(owner.store.blobs.read(first.manifest_digest)).config
        owner._catalog.rewrite(first, Manifest(config, tuple(compressed)).to_bytes(), ())
        again = user("again")
        with owner.images.save("team/tool:1") as archive, open(place / "a.tar", "wb") as file:
            archive.write(file)
        again.images.load(place / "a.tar")
        again.images.share("team/tool:1", place / "second")
        reader = user("reader", place / "second")
        assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
        links = [path for path in (place / "reader" / "blobs" / "sha256").iterdir() if path.is_symlink()]
        assert len(links) == 3
        with reader.images.save("team/tool:1") as archive:
            assert b"".join(archive) == (place / "a.tar").read_bytes()
        assert reader.images.verify("team/tool:1")

    def test_it_is_pushed_and_a_pull_of_it_fetches_nothing(
        self, reader: Engine, user: User, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for setting in ("XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
            monkeypatch.setenv(setting, str(place / "of-nobody"))
        with RegistryServer() as server:
            name = f"{server.address}/team/tool:1"
            reader.images.tag("team/tool:1", name)
            pushed = reader.images.push(name)
            other = user("other")
            image = other.images.pull(name)
            assert image.manifest_digest == pushed.digest
            assert sh(other, name, "cat /d/y") == "two\n"
            assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
            other.images.share(name, place / "second")
            third = user("third", place / "second")
            third.images.get(name)
            fetched = len(layer_requests(server))
            assert fetched > 0
            assert third.images.pull(name) == image
            assert len(layer_requests(server)) == fetched


class TestRemoval:
    def test_what_is_in_the_shared_store_is_not_removed_by_its_readers(self, reader: Engine, shared: Path) -> None:
        sh(reader, "team/tool:1", "true")
        for name in ("team/tool:1", reader.images.get("team/tool:1").id):
            with pytest.raises(Conflict, match=f"is read-only: it is in the image store {shared}"):
                reader.images.remove(name, force=True)

    def test_the_own_tag_goes_and_with_it_the_links_alone(self, reader: Engine, owner: Engine, shared: Path) -> None:
        before = state(shared)
        reader.images.tag("team/tool:1", "mine")
        assert reader.images.remove("mine").untagged == ("mine:latest",)
        assert reader.store.records.list_layers() == []
        assert state(shared) == before
        assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"

    def test_prune_frees_links_and_nothing_else(self, reader: Engine, shared: Path) -> None:
        before = state(shared)
        sh(reader, "team/tool:1", "true")
        assert reader.images.prune().deleted == ()
        assert reader.images.prune(all=True).reclaimed_bytes < 10_000
        assert reader.store.records.list_layers() == []
        assert state(shared) == before
        assert [image.tags for image in reader.images.list()] == [("team/tool:1",)]

    def test_the_owner_takes_a_name_away_and_containers_go_on(self, reader: Engine, owner: Engine, shared: Path) -> None:
        container = reader.containers.create("team/tool:1", ["cat", "/d/y"], network="none")
        assert say(owner, "image", "share", "--remove", "--store", str(shared), "team/tool:1")[0] == "Untagged: team/tool:1"
        assert [image.tags for image in reader.images.list()] == []
        with pytest.raises(NotFound, match="no such image: team/tool:1"):
            reader.images.get("team/tool:1")
        container.start()
        container.wait()
        assert str(container.logs()) == "two\n"
        with pytest.raises(NotFound, match="--remove: no such image in"):
            owner.images.unshare("team/tool:1", shared)

    def test_pruned_content_is_told_by_whoever_still_stands_on_it(self, reader: Engine, owner: Engine, shared: Path) -> None:
        container = reader.containers.create("team/tool:1", ["true"], network="none")
        owner.images.unshare("team/tool:1", shared, prune=True)
        assert list((shared / "trees").iterdir()) == list((shared / "blobs" / "sha256").iterdir()) == []
        with pytest.raises(LabError, match=f"is not at {shared}/trees/[0-9a-f]*/fs any more"):
            container.start()
        container.remove()
        reader.images.prune()
        assert reader.store.records.list_layers() == []


class TestOtherIds:
    def test_layers_are_unpacked_from_the_shared_bytes(self, reader: Engine, shared: Path, place: Path) -> None:
        pretend_other_ids(shared)
        assert sh(reader, "team/tool:1", "cat /d/y /h2; stat -c %h /h") == "two\nh\n2\n"
        links = [path for path in (place / "reader" / "snapshots").glob("*/fs") if path.is_symlink()]
        assert links == []
        assert disk_bytes(place / "reader") > MEGABYTE

    def test_the_doctor_tells_how_each_store_is_used(self, reader: Engine, user: User, shared: Path, place: Path) -> None:
        assert reader.doctor()[f"image store {shared}"].detail.startswith("images: 1, read where they are")
        pretend_other_ids(shared)
        told = reader.doctor()[f"image store {shared}"]
        assert told.ok is None
        assert "unpacked from its bytes into your own store, since it has the single ids of user 4711" in told.detail
        missing = user("second", place / "none").doctor()[f"image store {place / 'none'}"]
        assert (missing.ok, missing.reason) == (False, f"the image store {place / 'none'} does not exist")

    def test_nobody_writes_with_other_ids(self, owner: Engine, shared: Path) -> None:
        pretend_other_ids(shared)
        with pytest.raises(Conflict, match="has the single ids of user 4711, and you write with"):
            owner.images.share("lab/base", shared)


class TestLoss:
    @pytest.mark.parametrize("name", NO_STORES)
    def test_a_path_that_is_no_store_is_told_in_a_line_and_own_images_work(self, user: User, place: Path, name: str) -> None:
        (place / "a-file").touch()
        (place / "a-folder").mkdir()
        engine = user("reader", place / name, base=True)
        problem = f"the image store {place / name} {NO_STORES[name]}"
        assert sh(engine, "lab/base", "echo fine") == "fine\n"
        answer, told = say(engine, "images")
        assert "lab/base" in answer
        assert told.startswith(problem)
        assert told.count("\n") == 1
        with pytest.raises(NotFound, match=f"no such image: team/tool:1; {problem}") as raised:
            engine.containers.run("team/tool:1", ["true"], **RUN)
        assert "LABCONTAINERS_IMAGE_STORES" in raised.value.hint

    def test_a_store_that_vanished_is_told_and_used_again_when_it_is_elsewhere(
        self, owner: Engine, user: User, shared: Path, place: Path
    ) -> None:
        with user("reader", shared) as first:
            first.images.tag("team/tool:1", "mine")
        shared.rename(place / "moved")
        with user("reader", shared) as second:
            with pytest.raises(NotFound, match=f"image mine:latest is not whole: layer .* is not at {shared}.* any more") as raised:
                second.containers.run("mine", ["true"], **RUN)
            assert "\n" not in raised.value.message
            assert any("has lost its tree" in complaint for complaint in second.verify())
        third = user("reader", place / "moved")
        assert sh(third, "mine", "cat /d/y") == "two\n"

    def test_an_image_that_lost_its_store_can_be_removed(self, owner: Engine, user: User, shared: Path) -> None:
        with user("reader", shared) as first:
            first.images.tag("team/tool:1", "mine")
        shared.rename(shared.parent / "moved")
        second = user("reader")
        second.images.remove("mine")
        assert second.store.records.list_layers() == []

    def test_a_lost_blob_is_told_with_image_and_store(self, reader: Engine, shared: Path) -> None:
        pretend_other_ids(shared)
        largest = max((shared / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        largest.unlink()
        with pytest.raises(NotFound, match=f"image team/tool:1 cannot be used: the image store {shared} lacks sha256:{largest.name}"):
            reader.containers.run("team/tool:1", ["true"], **RUN)
        assert reader.store.records.list_manifests() == []

    def test_a_lost_tree_is_made_of_its_bytes(self, reader: Engine, shared: Path, owner: Engine) -> None:
        tree = next((shared / "trees").iterdir())
        tree.rename(shared / "lost")
        assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"


class TestReadOnly:
    def test_a_store_without_any_right_to_write_is_read(self, reader: Engine, shared: Path, owner: Engine) -> None:
        folders = [shared, shared / "blobs", shared / "blobs" / "sha256", shared / "trees", *(shared / "trees").iterdir()]
        for folder in folders:
            folder.chmod(folder.stat().st_mode & 0o555)
        try:
            assert sh(reader, "team/tool:1", "echo x >> /d/y; cat /d/y") == "two\nx\n"
            assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
        finally:
            for folder in folders:
                folder.chmod(folder.stat().st_mode | 0o200)

    @pytest.mark.needs("root")
    def test_a_store_on_a_read_only_mount_is_read_and_not_written(self, owner: Engine, user: User, shared: Path, place: Path) -> None:
        mounted = place / "mounted"
        mounted.mkdir()
        subprocess.run(["mount", "--bind", shared, mounted], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)
            with user("reader", mounted) as reader:
                assert sh(reader, "team/tool:1", "rm -r /d; ls / | grep -c '^d$' || echo gone").split()[-1] == "gone"
                assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
            with pytest.raises(Denied, match=r"--store: cannot write to .*read-only"):
                owner.images.share("lab/base", mounted)
        finally:
            subprocess.run(["umount", mounted], check=True)


class TestSharing:
    def test_the_command_makes_an_oci_layout_that_others_can_read(self, owner: Engine, user: User, place: Path) -> None:
        target = place / "new" / "store"
        assert (
            say(owner, "image", "share", "--store", str(target), "team/tool", "lab/base")[0]
            == "Shared: team/tool:1\nShared: lab/base:latest"
        )
        assert json.loads((target / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        entries = json.loads((target / "index.json").read_text())["manifests"]
        assert sorted(entry["annotations"]["io.containerd.image.name"] for entry in entries) == [
            "docker.io/lab/base:latest",
            "docker.io/team/tool:1",
        ]
        other = user("other")
        packed = subprocess.run(
            ["tar", "-C", target, "-cf", "-", "oci-layout", "index.json", "blobs"], check=True, capture_output=True
        ).stdout
        assert {tag for image in other.images.load(packed) for tag in image.tags} == {"lab/base:latest", "team/tool:1"}

    def test_trees_are_for_their_owner_alone_and_the_rest_for_all(self, owner: Engine, shared: Path) -> None:
        modes = {name: (shared / name).stat().st_mode & 0o777 for name in (".", "blobs", "blobs/sha256", "trees", "index.json")}
        assert modes == {".": 0o755, "blobs": 0o755, "blobs/sha256": 0o755, "trees": 0o700, "index.json": 0o644}
        assert {path.stat().st_mode & 0o777 for path in (shared / "blobs" / "sha256").iterdir()} == {0o644}

    def test_sharing_again_changes_nothing(self, owner: Engine, shared: Path) -> None:
        before = {path.name: path.stat().st_ino for path in (shared / "trees").iterdir()}
        index = (shared / "index.json").read_bytes()
        owner.images.share("team/tool:1", shared)
        assert {path.name: path.stat().st_ino for path in (shared / "trees").iterdir()} == before
        assert (shared / "index.json").read_bytes() == index

    def test_a_shared_image_can_be_shared_on(self, reader: Engine, user: User, place: Path) -> None:
        reader.images.share("team/tool", place / "second")
        assert sh(user("third", place / "second"), "team/tool:1", "cat /d/y") == "two\n"

    def test_a_folder_with_other_things_is_left_alone(self, owner: Engine, place: Path) -> None:
        (place / "full").mkdir()
        (place / "full" / "thesis.tex").touch()
        with pytest.raises(InvalidArgument, match="is no image store, and not an empty folder"):
            owner.images.share("lab/base", place / "full")
        assert [path.name for path in (place / "full").iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (("lab/base",), "--store is missing"),
            (("--store", "x"), "no image is named"),
            (("--store", "x", "--prune", "lab/base"), "--prune: it goes with --remove alone"),
        ],
    )
    def test_what_the_command_lacks_is_told(self, owner: Engine, words: tuple[str, ...], problem: str) -> None:
        with pytest.raises(InvalidArgument, match=problem):
            say(owner, "image", "share", *words)

    def test_an_interrupted_share_is_not_seen_and_the_next_one_tidies_up(
        self, owner: Engine, reader: Engine, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(Exception):
            pass

        def die(*_: object) -> None:
            raise Killed

        owner.images.build(dockerfile_text="FROM lab/base\nRUN echo 2 > /2\n", tag="two", network="none")
        with monkeypatch.context() as patched:
            patched.setattr(sharing._Writer, "publish", die)
            with pytest.raises(Killed):
                owner.images.share("two", shared)
        (shared / "trees" / ".new-1").mkdir()
        (shared / "trees" / ".new-1" / "fs").mkdir()
        (shared / "blobs" / "sha256" / ".new-2").touch()
        assert [image.tags for image in reader.images.list()] == [("team/tool:1",)]
        owner.images.share("two", shared)
        assert sh(reader, "two", "cat /2") == "2\n"
        assert [path for path in shared.rglob(".new-*") if "fs" not in path.parts] == []

    def test_a_share_that_is_killed_is_not_seen_and_the_next_one_tidies_up(self, owner: Engine, reader: Engine, shared: Path) -> None:
        text = "FROM lab/base\nRUN head -c 30000000 /dev/urandom > /large; echo 3 > /n\n"
        owner.images.build(dockerfile_text=text, tag="three", network="none")
        before = (shared / "index.json").read_bytes()
        settings = {"LABCONTAINERS_ROOT": str(owner.paths.root), "LABCONTAINERS_RUN": str(owner.paths.run)}
        words = [sys.executable, "-c", PROGRAM, "image", "share", "--store", str(shared), "three"]
        writer = subprocess.Popen(words, env={**os.environ, **settings}, stdout=subprocess.PIPE)
        until(lambda: any((shared / "trees").glob(".new-*")) or writer.poll() is not None, "a tree that is being made")
        writer.kill()
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        assert (shared / "index.json").read_bytes() == before
        assert sh(reader, "team/tool:1", "cat /d/y") == "two\n"
        owner.images.share("three", shared)
        assert sh(reader, "three", "wc -c < /large; cat /n").split() == ["30000000", "3"]
        assert list((shared / "trees").glob(".new-*")) == []

    @pytest.mark.parametrize("names", [("one", "two"), ("same", "same")], ids=["of two users", "of one user"])
    def test_two_processes_read_while_a_third_shares_more(self, owner: Engine, shared: Path, place: Path, names: tuple[str, str]) -> None:
        for number in range(3):
            owner.images.build(dockerfile_text=f"FROM lab/base\nRUN echo {number} > /n\n", tag=f"more:{number}", network="none")

        def begin(name: str) -> subprocess.Popen[str]:
            settings = {
                "LABCONTAINERS_ROOT": str(place / name),
                "LABCONTAINERS_RUN": str(place / f"{name}-run"),
                "LABCONTAINERS_IMAGE_STORES": str(shared),
            }
            words = [sys.executable, "-c", PROGRAM, "run", "--rm", "--network", "none", "team/tool:1", "cat", "/d/y"]
            return subprocess.Popen(words, env={**os.environ, **settings}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        for number in range(3):
            readers = [begin(name) for name in names]
            owner.images.share(f"more:{number}", shared)
            assert [one.communicate() for one in readers] == [("two\n", "")] * 2
        assert len(SharedStore(shared).images()) == 4
