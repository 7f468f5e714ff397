"""`images` and `history` as lines: columns, names, digests, the tree, ids. What Docker 28.5.2 writes of such images is kept here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.in_process_worker import InProcessWorker
from tests.fakes.small_images import layer, put

ONE, TWO = ("sha256:" + digit * 64 for digit in "12")
Say = Callable[..., Any]
# an image by its names and digests, the flags, and its rows: repository, tag, digest
ROWS = [
    (["a"], [], "--digests", ["a latest <none>"]),
    (["b:2", "a"], [], "--digests", ["a latest <none>", "b 2 <none>"]),
    ([], [], "--digests", ["<none> <none> <none>"]),
    (["a", "a:2"], [f"a@{ONE}"], "--digests", [f"a 2 {ONE}", f"a latest {ONE}"]),
    (["a"], [f"a@{ONE}", f"a@{TWO}"], "--digests", [f"a latest {ONE}", f"a latest {TWO}"]),
    (["a"], [f"b@{ONE}"], "--digests", ["a latest <none>", f"b <none> {ONE}"]),
    ([], [f"a@{ONE}", f"a@{TWO}"], "--digests", [f"a <none> {ONE}", f"a <none> {TWO}"]),
    (["a"], [f"a@{ONE}", f"a@{TWO}"], "--all", ["a latest <none>"]),
    ([], [f"a@{ONE}", f"a@{TWO}"], "--all", ["a <none> <none>"]),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    yield opened
    opened.close()


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store, in_use=lambda image_id: [])


@pytest.fixture
def used() -> list[str]:
    """The images of the containers that there are."""
    return []


@pytest.fixture
def say(catalog: Catalog, used: list[str]) -> Say:
    containers = SimpleNamespace(list=lambda all: [SimpleNamespace(image_id=image_id) for image_id in used])
    engine: Any = SimpleNamespace(images=catalog, containers=containers)
    return lambda *words: execute(lambda: engine, understand(words))


class TestImages:
    @pytest.mark.parametrize(("names", "digests", "flag", "rows"), ROWS)
    def test_a_row_is_a_name_or_a_name_with_a_digest(
        self, say: Say, catalog: Catalog, store: Store, names: list[str], digests: list[str], flag: str, rows: list[str]
    ) -> None:
        put(catalog, [layer(store, "one")], *names, digests=digests)
        listing = say("images", flag)
        shown = [f"{row['REPOSITORY']} {row['TAG']} {row.get('DIGEST', '<none>')}" for row in listing.rows]
        assert shown == rows
        assert ("DIGEST" in repr(listing)) is (flag == "--digests")

    def test_a_template_that_asks_for_digests_gets_them(self, say: Say, catalog: Catalog, store: Store) -> None:
        put(catalog, [layer(store, "one")], "a", digests=[f"a@{ONE}"])
        assert say("images", "--format", "{{.Repository}} {{.Digest}}") == f"a {ONE}"
        assert json.loads(say("images", "--format", "json"))["Digest"] == ONE

    def test_the_newest_stands_first_by_what_its_config_says(self, say: Say, catalog: Catalog, store: Store) -> None:
        for name, at in (("middle", 2000.0), ("newest", 3000.0), ("oldest", 1000.0)):
            put(catalog, [layer(store, name)], name, at=at)
        assert [row["REPOSITORY"] for row in say("images").rows] == ["newest", "middle", "oldest"]

    def test_ids_alone_stand_once_for_each_name(self, say: Say, catalog: Catalog, store: Store) -> None:
        image = put(catalog, [layer(store, "one")], "a", "b")
        assert say("images", "-q") == f"{image.short_id}\n{image.short_id}"
        assert say("images", "-q", "--no-trunc", "a") == image.id

    def test_a_repository_is_a_pattern_or_a_name_with_its_tag(self, say: Say, catalog: Catalog, store: Store) -> None:
        for name in ("me/a:1", "me/a:2", "me/b:1", "c"):
            put(catalog, [layer(store, name)], name)
        found = {words: len(say("images", words)) for words in ("me/a", "me/*", "me/*:1", "c:latest", "nosuch", "*")}
        assert found == {"me/a": 2, "me/*": 3, "me/*:1": 2, "c:latest": 1, "nosuch": 0, "*": 1}

    def test_the_tree_has_each_image_with_its_names_its_platform_and_what_it_takes(
        self, say: Say, catalog: Catalog, store: Store, used: list[str]
    ) -> None:
        one = put(catalog, [layer(store, "one")], "me/a:1", "me/a:2", at=2000.0)
        put(catalog, [layer(store, "two")], "b", at=1000.0)
        put(catalog, [layer(store, "three")], at=500.0)
        used.append(one.id)
        lines = say("images", "--tree").splitlines()
        assert lines[0] == "IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA"
        assert lines[1] == "me/a:1"
        assert lines[2].split()[:2] == ["me/a:2", one.short_id]
        assert lines[2].endswith("   U")
        assert lines[3].startswith("└─ linux/amd64   ")
        assert (lines[4], lines[5].split()[0], len(lines)) == ("", "b:latest", 7)
        assert lines[2].index("kB") == lines[0].index("DISK USAGE") + len("DISK USAGE") - 2
        assert "<untagged>" in say("images", "--tree", "-a")

    @pytest.mark.parametrize("flag", ["-q", "--digests", "--no-trunc", "--format=json"])
    def test_the_tree_goes_with_no_other_form(self, say: Say, flag: str) -> None:
        with pytest.raises(InvalidArgument, match="--tree"):
            say("images", "--tree", flag)

    def test_an_image_that_before_names_must_be_there(self, say: Say) -> None:
        with pytest.raises(NotFound, match="nosuch"):
            say("images", "--filter", "before=nosuch")


class TestHistory:
    @pytest.fixture
    def made(self, catalog: Catalog, store: Store) -> str:
        one = layer(store, "one")
        history = (
            HistoryEntry("1970-01-01T00:00:00Z", "", "Imported from -"),
            HistoryEntry("1970-01-01T00:00:00Z", "ENV\tA=b", "buildkit.dockerfile.v0", empty_layer=True),
            HistoryEntry("", "RUN /bin/sh -c echo a line that is longer than forty-five letters"),
        )
        two = layer(store, "two", one)
        config = ImageConfig("amd64", "linux", ProcessConfig(), (one.diff_id, two.diff_id), history)
        return catalog.put(config, [one, two], ["app"]).id

    def test_its_table_is_dockers(self, say: Say, made: str) -> None:
        lines = repr(say("history", "app")).splitlines()
        assert lines[0] == "IMAGE          CREATED   CREATED BY                                      SIZE      COMMENT"
        assert lines[1] == f"{made[7:19]}   N/A       RUN /bin/sh -c echo a line that is longer th…   10.2kB"
        assert [line.split()[0] for line in lines[2:]] == ["<missing>", "<missing>"]
        assert "ENV A=b " in lines[2]
        assert lines[2].split()[-2:] == ["0B", "buildkit.dockerfile.v0"]
        assert lines[3].endswith(" 10.2kB    Imported from -")

    def test_whole_ids_and_instructions(self, say: Say, made: str) -> None:
        text = repr(say("history", "--no-trunc", "app"))
        assert f"{made}   " in text
        assert "longer than forty-five letters" in text
        assert say("history", "-q", "app") == f"{made[7:19]}\n<missing>\n<missing>"
        assert say("history", "-q", "--no-trunc", "app").splitlines()[0] == made

    def test_for_programs_sizes_are_bytes_and_times_are_moments(self, say: Say, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
        listing = say("history", "-H=false", "app")
        assert list(listing.rows[0]) == ["IMAGE", "CREATED AT", "CREATED BY", "SIZE", "COMMENT"]
        assert [row["SIZE"] for row in listing.rows] == ["10240", "0", "10240"]
        assert listing.rows[1]["CREATED AT"].startswith(("1970-01-01T", "1969-12-31T"))
        assert listing.rows[0]["CREATED AT"] == "N/A"

    def test_its_json_has_dockers_fields(self, say: Say, made: str) -> None:
        first = json.loads(say("history", "--format", "json", "app").splitlines()[0])
        assert first == {
            "Comment": "",
            "CreatedAt": "N/A",
            "CreatedBy": "RUN /bin/sh -c echo a line that is longer th…",
            "CreatedSince": "N/A",
            "ID": made[7:19],
            "Size": "10.2kB",
        }

    def test_the_heads_of_a_table_are_dockers(self, say: Say, made: str) -> None:
        head = say("history", "--format", "table {{.ID}} {{.CreatedSince}} {{.CreatedBy}} {{.Size}}", "app").splitlines()[0]
        assert head == "IMAGE CREATED CREATED BY SIZE"

    def test_an_image_that_is_not_there_is_not_found(self, say: Say) -> None:
        with pytest.raises(NotFound, match="nosuch"):
            say("history", "nosuch")
