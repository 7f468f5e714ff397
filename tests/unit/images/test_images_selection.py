"""Docker's filters of images: which are meant by names, labels and times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.selection import list_filters, pattern, prune_filters, select
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.in_process_worker import InProcessWorker
from tests.fakes.small_images import layer, put

DIGEST = "sha256:" + "d" * 64

# As Go's path.Match on the familiar name, with and without its tag.
MATCHES = [
    ("busybox", "busybox:latest", True),
    ("busybox:latest", "busybox:latest", True),
    ("busybox:1", "busybox:latest", False),
    ("busy*", "busybox:latest", True),
    ("busy*:lat*", "busybox:latest", True),
    ("*", "me/app:1", False),
    ("*/*", "me/app:1", True),
    ("*/*:1", "me/app:1", True),
    ("me/ap?", "me/app:1", True),
    ("me?app", "me/app:1", False),
    ("me/[a-c]pp", "me/app:1", True),
    ("me/[^a-c]pp", "me/app:1", False),
    ("m\\e/app", "me/app:1", True),
    ("me/app.1", "me/app:1", False),
    ("docker.io/library/busybox:latest", "busybox:latest", True),
]
WRONG = [
    ({"nope": "x"}, "unknown filter 'nope'"),
    ({"dangling": "x"}, "dangling=x"),
    ({"dangling": ["true", "false"]}, "both true and false"),
    ({"until": "yesterday"}, "until=yesterday"),
    ({"reference": "a["}, "reference=a["),
    ({"reference": "[z-a]"}, "reference="),
]
# filters of `images` and what they leave, the newest first
FOUND = [
    ({}, "new old loose known"),
    ({"dangling": "true"}, "loose"),
    ({"dangling": False}, "new old known"),
    ({"label": "tier"}, "new old"),
    ({"label": "tier=web"}, "new"),
    ({"label": ["tier", "size=big"]}, "old"),
    ({"before": "new"}, "old loose known"),
    ({"since": "me/old:1"}, "new"),
    ({"until": "2500"}, "loose known"),
    ({"reference": "me/*"}, "old"),
    ({"reference": ["me/*", "new"]}, "new old"),
    ({"reference": "known"}, "known"),
    ({"reference": "new", "label": "tier=db"}, ""),
]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    store = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    made = Catalog(store, in_use=lambda image_id: [])
    one = layer(store, "one")
    put(made, [one], at=1000.0, cmd="known", digests=[f"known@{DIGEST}"])
    put(made, [one], at=2000.0, cmd="loose")
    put(made, [one], "me/old:1", at=3000.0, cmd="old", labels={"tier": "db", "size": "big"})
    put(made, [one], "new", at=4000.0, cmd="new", labels={"tier": "web"})
    yield made
    store.close()


@pytest.mark.parametrize(("text", "name", "expected"), MATCHES)
def test_a_pattern_of_names_is_gos(text: str, name: str, expected: bool) -> None:
    assert pattern(text)(name) is expected


@pytest.mark.parametrize(("filters", "message"), WRONG)
def test_what_no_filter_can_be_is_refused_by_name(filters: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        list_filters(filters)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("filters", "names"), FOUND)
def test_filters_leave_what_docker_leaves(catalog: Catalog, filters: dict[str, str], names: str) -> None:
    found = select(catalog.list(all=True), list_filters(filters), catalog.get)
    assert " ".join(image.config.config.cmd[0] for image, _ in found if image.config.config.cmd) == names


def test_of_an_image_only_the_names_are_left_that_match(catalog: Catalog) -> None:
    image = catalog.tag(catalog.get("new"), "other/new:2")
    ((found, names),) = select(catalog.list(), list_filters({"reference": "other/*"}), catalog.get)
    assert (found, names) == (image, ("other/new:2",))


def test_an_image_to_compare_with_that_is_not_there_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="nosuch"):
        select(catalog.list(), list_filters({"before": "nosuch"}), catalog.get)


def test_a_prune_knows_other_filters() -> None:
    with pytest.raises(InvalidArgument, match="unknown filter 'reference'"):
        prune_filters({"reference": "x"})
    assert prune_filters({"label!": ["keep"], "until": "24h"}) == {"label!": ["keep"], "until": ["24h"]}
