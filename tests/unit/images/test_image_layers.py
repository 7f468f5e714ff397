"""Files of layers: told apart from what lies below, found, chosen and shown; what an image wastes; and what two images differ by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import Failed, InvalidArgument, NotFound
from labcontainers.images import tree_listing
from labcontainers.images.catalog import Catalog
from labcontainers.images.exploration import instruction
from labcontainers.images.file_table import FileTable
from labcontainers.images.files import Files, shown_path
from labcontainers.images.image import Image
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.in_process_worker import InProcessWorker
from tests.unit.images.layer_trees import DIRECTORY, OPAQUE, Tree, has_attributes, image_of, plant

BELOW: Tree = {"etc/passwd": "root", "etc/hosts": "", "usr/bin/tool": "12345", "var/cache/one": "1" * 10, "var/cache/two": "2" * 20}

# a layer above BELOW, and what is told of it: path -> change, size
LAYERS: dict[str, tuple[Tree, dict[str, tuple[str, int]]]] = {
    "a new file": ({"etc/new": "abc"}, {"/etc": ("unchanged", 0), "/etc/new": ("added", 3)}),
    "a new directory": ({"srv/a": "x"}, {"/srv": ("added", 0), "/srv/a": ("added", 1)}),
    "other content": ({"etc/passwd": "root2"}, {"/etc": ("unchanged", 0), "/etc/passwd": ("modified", 5)}),
    "other content of one size": ({"etc/passwd": "toor"}, {"/etc": ("unchanged", 0), "/etc/passwd": ("modified", 4)}),
    "the same again": ({"etc/passwd": "root"}, {"/etc": ("unchanged", 0), "/etc/passwd": ("unchanged", 4)}),
    "a file removed": ({"etc/passwd": None}, {"/etc": ("unchanged", 0), "/etc/passwd": ("removed", 4)}),
    "a directory removed": ({"var/cache": None}, {"/var": ("unchanged", 0), "/var/cache": ("removed", 30)}),
    "nothing removed": ({"etc/nothing": None}, {"/etc": ("unchanged", 0)}),
    "a file in place of a directory": ({"var/cache": "f"}, {"/var": ("unchanged", 0), "/var/cache": ("modified", 1)}),
    "a link in place of a file": ({"etc/passwd": b"hosts"}, {"/etc": ("unchanged", 0), "/etc/passwd": ("modified", 0)}),
    "a directory in place of a file": (
        {"etc/hosts/a": "aa"},
        {"/etc": ("unchanged", 0), "/etc/hosts": ("modified", 0), "/etc/hosts/a": ("added", 2)},
    ),
    "an opaque directory": (
        {"var": OPAQUE, "var/cache/two": "22", "var/new": "n"},
        {
            "/var": ("unchanged", 0),
            "/var/cache": ("unchanged", 0),
            "/var/cache/one": ("removed", 10),
            "/var/cache/two": ("modified", 2),
            "/var/new": ("added", 1),
        },
    ),
}

# layers from the bottom up -> (path, [(layer, bytes, what became of it, by which layer)]) of what is wasted
WASTES: dict[str, tuple[list[Tree], list[tuple[str, list[tuple[int, int, str, int]]]]]] = {
    "nothing": ([{"a": "1"}, {"b": "2"}], []),
    "overwritten": ([{"a": "11"}, {"a": "222"}], [("/a", [(0, 2, "overwritten", 1)])]),
    "overwritten twice": ([{"a": "11"}, {"a": "222"}, {"a": "3"}], [("/a", [(1, 3, "overwritten", 2), (0, 2, "overwritten", 1)])]),
    "removed": ([{"a": "11"}, {"a": None}], [("/a", [(0, 2, "removed", 1)])]),
    "removed and made again": (
        [{"a": "11"}, {"a": None}, {"a": "3333"}],
        [("/a", [(0, 2, "removed", 1)])],
    ),
    "a directory removed": (
        [{"d/e/f": "123", "d/g": "4"}, {"d": None}],
        [("/d/e/f", [(0, 3, "removed", 1)]), ("/d/g", [(0, 1, "removed", 1)])],
    ),
    "a directory replaced": ([{"d/f": "123"}, {"d": "no"}], [("/d/f", [(0, 3, "overwritten", 1)])]),
    "a file that became a directory": ([{"d": "123"}, {"d/f": "1"}], [("/d", [(0, 3, "overwritten", 1)])]),
    "opaque": (
        [{"d/f": "123", "d/g": "45"}, {"d": OPAQUE, "d/g": "6"}],
        [("/d/f", [(0, 3, "removed", 1)]), ("/d/g", [(0, 2, "overwritten", 1)])],
    ),
    "seen through two layers": ([{"d/f": "123"}, {"d/g": "4"}, {"d/h": "5"}], []),
    "an empty file": ([{"a": ""}, {"a": None}], []),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    if not has_attributes(tmp_path / "s"):
        pytest.skip("this file system has no extended attributes")
    yield opened
    assert opened.verify(deep=True) == []
    opened.close()


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store, in_use=lambda image_id: [])


class TestFilesOfALayer:
    @pytest.mark.parametrize("name", LAYERS)
    def test_is_told_apart_from_what_lies_below(self, store: Store, catalog: Catalog, name: str) -> None:
        tree, expected = LAYERS[name]
        image = image_of(store, catalog, [BELOW, tree], "app")
        assert {file.path: (file.change, file.size_bytes) for file in image.layers[1].files} == expected
        counted = [change for change, _ in expected.values()]
        assert image.layers[1].changes == {kind: counted.count(kind) for kind in ("added", "modified", "removed")}

    def test_what_it_replaces_and_by_what_it_differs_is_told(self, store: Store, catalog: Catalog) -> None:
        above: Tree = {"etc/passwd": "root2", "var/cache": "f", "usr/bin/tool": b"/bin/sh"}
        files = image_of(store, catalog, [BELOW, above]).layers[1].files
        told = {file.path: (file.replaced_bytes, file.differs, file.link) for file in files.changed("modified")}
        assert told == {
            "/etc/passwd": (4, ("content",), ""),
            "/usr/bin/tool": (5, ("type",), "/bin/sh"),
            "/var/cache": (30, ("type",), ""),
        }

    def test_the_lowest_layer_adds_all_of_its_files(self, store: Store, catalog: Catalog) -> None:
        layer = image_of(store, catalog, [BELOW]).layers[0]
        assert {file.change for file in layer.files} == {"added"}
        assert layer.files.size_bytes == 39
        assert (layer.index, layer.created_by, layer.created) == (0, "RUN 0", "1970-01-01T00:00:00Z")

    def test_a_layer_between_hides_what_is_further_below(self, store: Store, catalog: Catalog) -> None:
        image = image_of(store, catalog, [BELOW, {"etc/passwd": None}, {"etc/passwd": "again"}])
        assert image.layers[2].files["/etc/passwd"].change == "added"

    def test_modes_owners_times_and_attributes_are_told(self, store: Store, catalog: Catalog, tmp_path: Path) -> None:
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", {"file": "1"})
        (scratch / "fs/file").chmod(0o4751)
        os.setxattr(scratch / "fs/file", "user.colour", b"red\xff")
        below = store.snapshots.commit(scratch, [])
        table = catalog.contents.layer([below.diff_id])
        file = Files(table)["file"]
        assert (file.mode, file.permissions, file.uid, file.gid) == (0o4751, "-rwsr-x--x", os.geteuid(), os.getegid())
        assert (file.mtime, dict(file.xattrs), file.kind) == (1000.0, {"user.colour": b"red\xff"}, "file")
        assert json.loads(json.dumps(file.to_json()))["xattrs"] == {"user.colour": "726564ff"}

    def test_the_second_name_of_a_file_is_a_hard_link_without_content(self, store: Store, catalog: Catalog) -> None:
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", {"a": "123"})
        os.link(scratch / "fs/a", scratch / "fs/b")
        files = Files(catalog.contents.layer([store.snapshots.commit(scratch, []).diff_id]))
        assert [(file.path, file.kind, file.link, file.size_bytes) for file in files] == [
            ("/a", "file", "", 3),
            ("/b", "hardlink", "/a", 0),
        ]

    def test_links_of_a_lower_layer_are_not_followed(self, store: Store, catalog: Catalog, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/secret").write_text("1")
        image = image_of(store, catalog, [{"d": os.fsencode(tmp_path / "outside")}, {"d/secret": "2"}])
        assert [(file.path, file.change) for file in image.layers[1].files] == [("/d", "modified"), ("/d/secret", "added")]

    def test_names_that_are_no_text_are_given_back(self, store: Store, catalog: Catalog) -> None:
        scratch = store.snapshots.new_tree()
        for name in (b"\xff\xfe", b"line\nbreak", "Ä".encode()):
            with open(os.path.join(os.fsencode(scratch / "fs"), name), "wb"):
                pass
        files = Files(catalog.contents.layer([store.snapshots.commit(scratch, []).diff_id]))
        assert [os.fsencode(file.path) for file in files] == [b"/line\nbreak", b"/\xc3\x84", b"/\xff\xfe"]
        assert files.tree().splitlines() == ["A line\\nbreak", "A Ä", "A \\xff\\xfe"]

    def test_many_directories_within_directories_are_listed(self, tmp_path: Path) -> None:
        folder = tmp_path / "tree"
        for _ in range(300):
            folder = folder / "d"
        folder.mkdir(parents=True)
        tree_listing.list_layer(str(tmp_path / "tree"), [str(tmp_path / "tree")], str(tmp_path / "out"))
        assert len(FileTable(tmp_path / "out")) == 300


class TestKept:
    def test_what_was_read_is_read_again_from_the_store(self, store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        image = image_of(store, catalog, [BELOW, {"etc/new": "1"}], "app")
        first = image.layers[1].files.to_json()
        waste = image.wasted.to_json()
        later = Catalog(store, in_use=lambda image_id: [])
        monkeypatch.setattr(store.worker, "call", None)
        again = later.get("app")
        assert (again.layers[1].files.to_json(), again.wasted.to_json()) == (first, waste)

    def test_what_is_damaged_is_made_again(self, store: Store, catalog: Catalog) -> None:
        image = image_of(store, catalog, [BELOW], "app")
        first = image.layers[0].files.to_json()
        (place,) = (store.paths.root / "listings").iterdir()
        place.write_bytes(place.read_bytes()[:-20])
        assert Catalog(store, in_use=lambda image_id: []).get("app").layers[0].files.to_json() == first

    def test_what_tells_of_a_layer_goes_after_the_layer(self, store: Store, catalog: Catalog) -> None:
        old = image_of(store, catalog, [{"a": "old"}], "old")
        assert len(old.layers[0].files) == 1
        catalog.remove("old")
        assert len(image_of(store, catalog, [{"a": "new"}], "new").layers[0].files) == 1
        assert len(list((store.paths.root / "listings").iterdir())) == 1

    def test_a_layer_that_is_gone_is_not_found(self, store: Store, catalog: Catalog) -> None:
        (layer,) = image_of(store, catalog, [{"a": "old"}], "old").layers
        catalog.remove("old")
        with pytest.raises(NotFound, match=layer.diff_id):
            layer.files  # noqa: B018  # it is read by being asked for

    @pytest.mark.parametrize("data", [b"", b"nonsense", b"labrows1" * 20])
    def test_what_are_no_rows_is_told(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "rows").write_bytes(data)
        with pytest.raises(Failed, match="damaged"):
            FileTable(tmp_path / "rows")


class TestChoosing:
    @pytest.fixture
    def files(self, store: Store, catalog: Catalog) -> Files:
        return image_of(store, catalog, [BELOW]).layers[0].files

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("passwd", ["/etc/passwd"]),
            ("*o*", ["/usr/bin/tool", "/etc/hosts", "/var/cache/one", "/var/cache/two"]),
            ("/etc/*", ["/etc/hosts", "/etc/passwd"]),
            ("/var/*", ["/var/cache"]),
            ("/var/**", ["/var/cache", "/var/cache/one", "/var/cache/two"]),
            ("/**/two", ["/var/cache/two"]),
            ("cache/*", ["/var/cache/one", "/var/cache/two"]),
            ("[ot]??", ["/var/cache/one", "/var/cache/two"]),
            ("[!o]??", ["/etc", "/usr", "/usr/bin", "/var", "/var/cache/two"]),
            ("[", []),
            ("/nowhere/*", []),
        ],
    )
    def test_patterns_find_by_path(self, files: Files, pattern: str, found: list[str]) -> None:
        assert sorted(file.path for file in files.glob(pattern)) == sorted(found)

    @pytest.mark.parametrize("pattern", ["", "[z-a]"])
    def test_what_is_no_pattern_is_refused(self, files: Files, pattern: str) -> None:
        with pytest.raises(InvalidArgument, match="glob"):
            files.glob(pattern)

    def test_a_path_finds_its_file_with_and_without_a_slash(self, files: Files) -> None:
        assert files["/etc/passwd"] == files["etc/passwd"] == files.get("/etc/passwd")
        assert "/etc/passwd" in files
        assert files["/etc/passwd"] in files
        assert files.get("/etc/nothing") is None
        assert "/etc/passwd" not in files.glob("hosts")
        with pytest.raises(NotFound, match="/etc/nothing"):
            files["/etc/nothing"]

    def test_numbers_and_slices_are_those_of_a_sequence(self, files: Files) -> None:
        assert files[0].path == "/etc"
        assert files[-1].path == "/var/cache/two"
        assert [file.path for file in files[1:3]] == ["/etc/hosts", "/etc/passwd"]
        assert len(files.below("/var")) == 3
        with pytest.raises(NotFound, match="/nowhere"):
            files.below("/nowhere")

    def test_changes_are_chosen_by_name(self, files: Files) -> None:
        assert files.changed() == files.changed("added") == files
        assert len(files.changed("removed", "modified")) == 0
        with pytest.raises(InvalidArgument, match="deleted"):
            files.changed("deleted")


class TestShown:
    def test_the_tree_is_indented_and_says_what_it_leaves_out(self, store: Store, catalog: Catalog) -> None:
        files = image_of(store, catalog, [BELOW, {"etc/passwd": "x", "usr/bin/tool": None, "usr/lib/l": b"../bin"}]).layers[1].files
        assert files.tree().splitlines() == [
            "  etc/",
            "C   passwd",
            "  usr/",
            "    bin/",
            "D     tool",
            "A   lib/",
            "A     l -> ../bin",
        ]
        assert files.changed("removed").tree().splitlines() == ["  usr/", "    bin/", "D     tool"]
        assert files.tree(depth=1).splitlines() == ["  etc/", "  usr/"]
        assert files.tree(most=2).splitlines()[-1].startswith("… 5 more")

    def test_text_and_html_are_bounded_and_harmless(self, store: Store, catalog: Catalog) -> None:
        evil = "<img src=x onerror=alert(1)>"
        files = image_of(store, catalog, [{evil: "1", **{f"{number:04}": "" for number in range(500)}}]).layers[0].files
        assert repr(files).splitlines()[0] == "501 files of layer 0"
        assert len(repr(files).splitlines()) == 42
        assert "461 more" in repr(files)
        assert "461 more" in files._repr_html_()
        assert "<img" not in files.glob("*onerror*")._repr_html_()
        assert "&lt;img" in files.glob("*onerror*")._repr_html_()
        assert len(files.to_json()) == 501

    @pytest.mark.parametrize(("path", "shown"), [("/a b", "/a b"), ("/a\x1b[2J", "/a\\x1b[2J"), ("/\udcff", "/\\xff"), ("/ä", "/ä")])
    def test_a_path_moves_no_cursor(self, path: str, shown: str) -> None:
        assert shown_path(path) == shown

    @pytest.mark.parametrize(
        ("created_by", "told"),
        [
            ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
            ("/bin/sh -c apt-get \\\n  update", "RUN apt-get update"),
            ("RUN /bin/sh -c make # buildkit", "RUN make"),
            ("COPY a /b # buildkit", "COPY a /b"),
            ("", ""),
        ],
    )
    def test_an_instruction_is_told_without_what_builders_put_around_it(self, created_by: str, told: str) -> None:
        assert instruction(created_by) == told

    def test_an_exploration_tells_every_layer_and_what_is_wasted(self, store: Store, catalog: Catalog) -> None:
        image = image_of(store, catalog, [BELOW, {"etc/passwd": None}], "app")
        for told in (repr(image.explore()), image.explore()._repr_html_()):
            assert all(word in told for word in ("app:latest", "RUN 0", "RUN 1", "4B of 39B wasted", "/etc/passwd"))


class TestWasted:
    @pytest.mark.parametrize("name", WASTES)
    def test_is_what_later_layers_overwrite_or_remove(self, store: Store, catalog: Catalog, name: str) -> None:
        trees, expected = WASTES[name]
        image = image_of(store, catalog, trees)
        assert [(file.path, list(file.lies)) for file in sorted(image.wasted, key=lambda file: file.path)] == expected
        assert image.wasted_bytes == sum(size for _, lies in expected for _, size, _, _ in lies)

    def test_the_efficiency_is_the_part_that_is_seen(self, store: Store, catalog: Catalog) -> None:
        wasted = image_of(store, catalog, [{"a": "1" * 30, "b": "1" * 60}, {"a": "2" * 10}]).wasted
        assert (wasted.total_bytes, wasted.size_bytes, wasted.efficiency) == (100, 30, 0.7)
        assert repr(wasted).splitlines() == [
            "30B of 100B wasted in 1 file, efficiency 70.0%",
            "  /a: 30B in layer 0 overwritten by layer 1",
        ]
        assert wasted[0].layers == (0,)
        assert json.loads(json.dumps(wasted.to_json()))["files"][0]["lies"][0]["became"] == "overwritten"

    @pytest.mark.parametrize(("gone", "size"), [(("a",), 0), (("a", "b"), 3)])
    def test_a_file_of_two_names_is_wasted_when_none_is_seen(
        self, store: Store, catalog: Catalog, gone: tuple[str, ...], size: int
    ) -> None:
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", {"a": "123"})
        os.link(scratch / "fs/a", scratch / "fs/b")
        below = store.snapshots.commit(scratch, [])
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", dict.fromkeys(gone))
        above = store.snapshots.commit(scratch, [below.diff_id])
        found = catalog.contents.wasted([below.diff_id, above.diff_id])
        assert (found.total_bytes, found.wasted_bytes) == (3, size)

    def test_an_image_without_layers_wastes_nothing(self, store: Store, catalog: Catalog) -> None:
        image = image_of(store, catalog, [])
        assert (image.wasted_bytes, image.wasted.efficiency, image.layers) == (0, 1.0, ())


class TestDifference:
    def pair(self, store: Store, catalog: Catalog, *trees: Tree) -> tuple[Image, Image]:
        return image_of(store, catalog, [BELOW], "one"), image_of(store, catalog, [BELOW, *trees], "other")

    def test_files_are_those_of_the_merged_layers(self, store: Store, catalog: Catalog) -> None:
        above: Tree = {"etc/passwd": "root2", "var/cache": None, "srv/a": "x", "usr/bin/tool": "12345"}
        one, other = self.pair(store, catalog, above)
        diff = one.diff("other")
        assert {file.path: file.change for file in diff.files} == {
            "/etc/passwd": "modified",
            "/srv": "added",
            "/srv/a": "added",
            "/var/cache": "removed",
            "/var/cache/one": "removed",
            "/var/cache/two": "removed",
        }
        assert [len(files) for files in (diff.added, diff.modified, diff.removed)] == [2, 1, 3]
        assert diff.size_bytes == 1 + 1 - 30
        assert [layer.index for layer in diff.shared] == [0]
        back = other.diff(one)
        assert {file.path for file in back.added} == {file.path for file in diff.removed}
        assert back.size_bytes == -diff.size_bytes

    def test_an_image_does_not_differ_from_itself(self, store: Store, catalog: Catalog) -> None:
        one, _ = self.pair(store, catalog)
        diff = one.diff(one)
        assert (len(diff.files), diff.config, diff.size_bytes) == (0, (), 0)
        assert "config: equal" in repr(diff)
        assert "config: equal" in diff._repr_html_()

    def test_equal_times_and_sizes_are_enough_unless_content_is_asked_for(self, store: Store, catalog: Catalog) -> None:
        one = image_of(store, catalog, [{"a": "1111", "b": "same"}], "one")
        other = image_of(store, catalog, [{"a": "2222", "b": "same"}], "other")
        assert [file.path for file in one.diff(other).files] == []
        assert [(file.path, file.differs) for file in one.diff(other, content=True).files] == [("/a", ("content",))]

    def test_content_counts_instead_of_times_when_asked_for(self, store: Store, catalog: Catalog) -> None:
        one = image_of(store, catalog, [{"a": "same"}], "one")
        scratch = store.snapshots.new_tree()
        plant(scratch / "fs", {"a": "same"}, mtime=2000)
        later = store.snapshots.commit(scratch, [])
        table = catalog.contents.difference(one.diff_ids, [later.diff_id], False)
        assert [file.differs for file in Files(table)] == [("time",)]
        assert len(catalog.contents.difference(one.diff_ids, [later.diff_id], True)) == 0

    def test_configs_are_told_field_by_field(self, store: Store, catalog: Catalog) -> None:
        before = ProcessConfig(cmd=("sh",), env=("PATH=/bin", "A=1"), labels={"v": "1"}, user="lab")
        after = ProcessConfig(cmd=("ash", "-l"), env=("PATH=/bin", "A=2", "B=3"), labels={}, user="lab", exposed_ports=("80/tcp",))
        one = image_of(store, catalog, [BELOW], "one", config=before)
        other = image_of(store, catalog, [BELOW], "other", config=after)
        assert [(found.field, found.before, found.after) for found in one.diff(other).config] == [
            ("Env.A", "1", "2"),
            ("Cmd", ["sh"], ["ash", "-l"]),
            ("Labels.v", "1", None),
            ("ExposedPorts.80/tcp", None, {}),
            ("Env.B", None, "3"),
        ]
        assert 'config: Cmd: ["sh"] -> ["ash", "-l"]' in repr(one.diff(other))

    def test_everything_is_there_as_json_and_as_text(self, store: Store, catalog: Catalog) -> None:
        one, other = self.pair(store, catalog, {"etc/passwd": None})
        document = json.loads(json.dumps(one.diff(other).to_json()))
        assert document["after"] == {"name": "other:latest", "id": other.id}
        assert [file["path"] for file in document["files"]] == ["/etc/passwd"]
        assert [layer["index"] for layer in document["shared_layers"]] == [0]
        text = repr(one.diff(other)).splitlines()
        assert text[1:3] == ["layers: 1 of 1 and 2 are shared, 10.2kB", "files: 0 added, 0 modified, 1 removed, -4B"]
        assert text[-2:] == ["  etc/", "D   passwd"]

    def test_an_empty_directory_is_a_file_too(self, store: Store, catalog: Catalog) -> None:
        one, other = self.pair(store, catalog, {"empty": DIRECTORY})
        assert [(file.path, file.kind) for file in one.diff(other).files] == [("/empty", "directory")]
