"""The layer explorer without a kernel or a browser: what it tells unasked, what it answers, and its end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.widgets import layer_explorer
from labcontainers.widgets.layer_explorer import ROWS, LayerExplorer
from tests.fakes.in_process_worker import InProcessWorker
from tests.unit.images.layer_trees import Tree, image_of
from tests.unit.widgets.surfaces import RecordingSurface, wait_until

LOW: Tree = {"etc/passwd": "root", "etc/hosts": "", "usr/bin/tool": "12345", **{f"many/{number:03}": "" for number in range(450)}}
HIGH: Tree = {"etc/passwd": "root2", "usr/bin/tool": None, "srv/new": "abc"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    yield opened
    opened.close()


@pytest.fixture
def image(store: Store) -> Image:
    catalog = Catalog(store, in_use=lambda image_id: [])
    image_of(store, catalog, [LOW], "app:old")
    image_of(store, catalog, [{"else": "1"}], "another")
    return image_of(store, catalog, [LOW, HIGH], "app:new")


class Page:
    """A page that shows the explorer: it asks, and waits for the answers."""

    def __init__(self, explorer: LayerExplorer) -> None:
        self.explorer = explorer
        self.surface = RecordingSurface()
        explorer.show_on(self.surface)

    def ask(self, **question: Any) -> dict[str, Any]:
        text = json.dumps(question)
        self.explorer.act(text)
        wait_until(lambda: self.answers(text))
        return self.answers(text)[0]

    def answers(self, text: str) -> list[dict[str, Any]]:
        return [answer for update in self.surface.updates for answer in update.get("answers", ()) if answer["question"] == text]


@pytest.fixture
def page(image: Image) -> Iterator[Page]:
    explorer = LayerExplorer(image)
    yield Page(explorer)
    explorer.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "lab-layers"]


def test_the_first_message_tells_the_layers_and_what_else_there_is(page: Page) -> None:
    told = page.explorer.everything()
    assert [layer["created_by"] for layer in told["image"]["layers"]] == ["RUN 0", "RUN 1"]
    assert told["image"]["others"] == ["app:old", "another:latest"]
    assert (told["changes"], told["wasted"], told["comparison"], told["failure"]) == ([], None, None, None)
    json.dumps(told)


def test_what_each_layer_changes_and_what_is_wasted_is_told_once_it_is_shown(page: Page) -> None:
    page.explorer.shown()
    page.explorer.shown()
    wait_until(lambda: page.surface.kept_in_output)
    changes = [row for update in page.surface.updates for row in update.get("changes", ())]
    assert changes == [[0, 457, 0, 0], [1, 2, 1, 1]]
    wasted = page.surface.last("wasted")
    assert (wasted["size_bytes"], wasted["count"]) == (9, 2)
    assert wasted["files"][0] == ("/usr/bin/tool", 5, "5B in layer 0 removed by layer 1")
    snapshot = page.explorer.snapshot()
    assert all("9B of 17B wasted" in form and "RUN 1" in form for form in (snapshot.text, snapshot.html))
    assert page.explorer.everything()["changes"] == changes


def test_a_snapshot_before_anything_is_known_tells_the_layers(page: Page) -> None:
    assert "RUN 1" in page.explorer.snapshot().text
    assert "wasted" not in page.explorer.snapshot().text


def test_a_folder_is_told_when_it_is_asked_for(page: Page) -> None:
    top = page.ask(ask="folder", source="layer 1", row=-1, start=0)
    assert [(row[1], row[2], row[6], row[8]) for row in top["rows"]] == [
        ("etc", "directory", "unchanged", (0, 1, 0)),
        ("srv", "directory", "added", (1, 0, 0)),
        ("usr", "directory", "unchanged", (0, 0, 1)),
    ]
    etc = page.ask(ask="folder", source="layer 1", row=top["rows"][0][0], start=0)
    assert [(row[1], row[5], row[6], row[9]) for row in etc["rows"]] == [("passwd", 5, "modified", ["content", "was 4B"])]
    assert (etc["total"], etc["failure"]) == (1, None)
    usr = page.ask(ask="folder", source="layer 1", row=top["rows"][2][0], start=0)
    assert [row[5] for row in (*top["rows"], *usr["rows"])] == [5, 3, -5, -5], "what is gone is told below zero"


def test_an_answer_has_a_bounded_number_of_rows_and_the_rest_is_asked_for(page: Page) -> None:
    row = next(row for row in page.ask(ask="folder", source="layer 0", row=-1, start=0)["rows"] if row[1] == "many")[0]
    first = page.ask(ask="folder", source="layer 0", row=row, start=0)
    last = page.ask(ask="folder", source="layer 0", row=row, start=2 * ROWS)
    assert (len(first["rows"]), first["total"], first["rows"][0][1]) == (ROWS, 450, "000")
    assert (len(last["rows"]), last["rows"][-1][1]) == (50, "449")


@pytest.mark.parametrize(
    ("text", "changes", "found"),
    [
        ("PASSWD", [], ["/etc/passwd"]),
        ("", ["removed"], ["/usr/bin/tool"]),
        ("s", ["added", "removed"], ["/srv", "/srv/new", "/usr/bin/tool"]),
        ("*ol", [], ["/usr/bin/tool"]),
        ("nothing of this name", [], []),
    ],
)
def test_a_search_finds_parts_of_paths_and_patterns(page: Page, text: str, changes: list[str], found: list[str]) -> None:
    answer = page.ask(ask="search", source="layer 1", text=text, changes=changes)
    assert ([row[1] for row in answer["rows"]], answer["total"]) == (found, len(found))


def test_a_search_tells_how_many_it_leaves_out(page: Page) -> None:
    answer = page.ask(ask="search", source="layer 0", text="many/", changes=[])
    assert (len(answer["rows"]), answer["total"]) == (ROWS, 450)


def test_another_image_is_compared_and_its_files_are_looked_into(page: Page) -> None:
    assert page.ask(ask="compare", other="app:old")["failure"] is None
    compared = page.surface.last("comparison")
    assert (compared["other"], compared["shared_layers"], compared["other_layers"], compared["changes"]) == ("app:old", 1, 1, (1, 1, 2))
    top = page.ask(ask="folder", source="diff app:old", row=-1, start=0)
    assert [(row[1], row[6]) for row in top["rows"]] == [("etc", "unchanged"), ("srv", "removed"), ("usr", "unchanged")]
    assert page.explorer.everything()["comparison"] == compared
    page.ask(ask="compare", other="")
    assert page.surface.last("comparison") is None


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"ask": "compare", "other": "nothing"}, "no such image: nothing"),
        ({"ask": "folder", "source": "layer 1", "row": 10**6, "start": 0}, "no row"),
        ({"ask": "folder", "source": "layer 9", "row": -1, "start": 0}, "IndexError"),
        ({"ask": "search", "source": "layer 1", "text": "[z-a]", "changes": []}, "not a pattern"),
        ({"ask": "sing"}, "KeyError"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why_and_the_next_one_is_answered(
    page: Page, question: dict[str, Any], message: str
) -> None:
    assert message in page.ask(**question)["failure"]["message"]
    assert page.ask(ask="folder", source="layer 1", row=-1, start=0)["total"] == 3


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "7"])
def test_nonsense_ends_nothing(page: Page, text: str) -> None:
    page.explorer.act(text)
    assert page.ask(ask="folder", source="layer 1", row=-1, start=0)["total"] == 3


def test_a_layer_that_is_gone_is_told(store: Store, image: Image) -> None:
    explorer = LayerExplorer(image)
    Catalog(store, in_use=lambda image_id: []).remove("app:new")
    page = Page(explorer)
    explorer.shown()
    wait_until(lambda: "failure" in (page.surface.updates or [{}])[-1])
    assert "is not in the store" in page.surface.last("failure")["message"]
    explorer.close()


def test_a_page_that_says_that_it_looks_is_answered_and_a_later_one_gets_all(page: Page) -> None:
    page.explorer.watch("page", 1)
    page.explorer.watch("page", 0)
    assert page.surface.updates == [{}]
    page.explorer.replay()
    assert page.surface.replays == [page.explorer.everything()]


def test_after_the_end_nothing_is_answered(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.explorer.close()
    page.explorer.close()
    monkeypatch.setattr(layer_explorer.threading, "Thread", None)
    page.explorer.act('{"ask": "folder"}')
    page.explorer.shown()
    assert page.surface.updates == []
