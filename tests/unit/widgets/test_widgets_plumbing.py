"""The plumbing without a kernel or a browser: numbered messages by one door, a small state, and an end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from labcontainers.widgets import bundle, plumbing
from labcontainers.widgets.plumbing import VIEW_TYPE, Cells, LiveWidget, OpenWidgets
from labcontainers.widgets.snapshot import Snapshot

IGNORED: list[Any] = [None, "text", [], {}, {"kind": "other"}, {"kind": None}]


class PlayedOwner:
    """Remembers what it was told."""

    role = "card"

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.moment = "first"
        self.surface: Any = None

    def show_on(self, surface: Any) -> None:
        self.surface = surface

    def everything(self) -> Mapping[str, Any]:
        return {"moment": self.moment}

    def replay(self) -> None:
        self.told.append("replay")

    def act(self, action: str) -> None:
        self.told.append(("act", action))

    def watch(self, page: str, views: int) -> None:
        self.told.append(("watch", page, views))

    def shown(self) -> None:
        self.told.append("shown")

    def snapshot(self) -> Snapshot:
        return Snapshot(f"text of {self.moment}", f"<p>{self.moment}</p>")

    def close(self) -> None:
        self.told.append("close")


class RecordingWidget(LiveWidget):
    """A LiveWidget whose messages are kept instead of sent."""

    def __init__(self, owner: PlayedOwner) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(owner)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)


@pytest.fixture
def owner() -> PlayedOwner:
    return PlayedOwner()


@pytest.fixture
def widget(owner: PlayedOwner) -> Iterator[RecordingWidget]:
    widget = RecordingWidget(owner)
    yield widget
    widget.close()


def test_an_owner_is_told_which_widget_shows_it(widget: RecordingWidget, owner: PlayedOwner) -> None:
    assert owner.surface is widget


def test_updates_are_numbered_and_a_replay_carries_the_last_number(widget: RecordingWidget) -> None:
    widget.update({"a": 1})
    widget.update({"a": 2})
    widget.resend({"a": 2, "b": 3})
    assert [(message["kind"], message["seq"], message["data"]) for message in widget.sent] == [
        ("update", 1, {"a": 1}),
        ("update", 2, {"a": 2}),
        ("replay", 2, {"a": 2, "b": 3}),
    ]


def test_notebook_keeps_of_a_widget_the_loader_and_the_snapshot_only(widget: RecordingWidget) -> None:
    state = json.dumps(widget.get_state(), default=str)
    js = bundle.read()
    assert widget._first is None, "the bundle and the first data must leave the state as soon as it is open"
    assert js.code[:500] not in widget._esm
    assert len(widget._esm) < 2000
    assert "<p>first</p>" in state
    assert len(state) < 6000


def test_page_that_has_no_code_is_given_it(widget: RecordingWidget) -> None:
    widget._receive(widget, {"kind": "code"}, [])
    js = bundle.read()
    assert widget.sent == [{"kind": "code", "hash": js.hash, "text": js.code}]
    assert js.hash in widget._esm


def test_what_a_page_says_reaches_the_owner(widget: RecordingWidget, owner: PlayedOwner) -> None:
    widget._receive(widget, {"kind": "ready", "page": "p"}, [])
    widget._receive(widget, {"kind": "watch", "page": "p", "views": 2}, [])
    widget._receive(widget, {"kind": "act", "action": "stop"}, [])
    assert owner.told == ["replay", ("watch", "p", 2), ("act", "stop")]


@pytest.mark.parametrize("content", IGNORED)
def test_what_is_not_understood_is_ignored(widget: RecordingWidget, owner: PlayedOwner, content: Any) -> None:
    widget._receive(widget, content, [])
    assert owner.told == []
    assert widget.sent == []


def test_every_display_has_text_and_html_beside_the_view(widget: RecordingWidget) -> None:
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == "text of first" == repr(widget)
    assert data["text/html"] == "<p>first</p>"
    assert data[VIEW_TYPE]["model_id"] == widget.model_id


def test_state_that_is_saved_is_renewed(widget: RecordingWidget, owner: PlayedOwner) -> None:
    owner.moment = "second"
    widget.keep(in_output=False)
    assert widget._snapshot == "<p>second</p>"


def test_what_is_known_while_it_is_being_shown_is_not_covered_by_what_was_known_before(
    widget: RecordingWidget, owner: PlayedOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[tuple[str, bool]] = []

    def publish(data: Mapping[str, Any], metadata: Any, *, transient: Any, update: bool = False) -> None:
        published.append((data["text/html"], update))

    def snapshot() -> Snapshot:
        """The owner's thread ends its work just after a snapshot was taken, and before that is shown."""
        taken = Snapshot("", f"<p>{owner.moment}</p>")
        if owner.moment == "first":
            owner.moment = "last"
            widget.keep(in_output=True)
        return taken

    monkeypatch.setattr(plumbing, "publish_display_data", publish)
    monkeypatch.setattr(owner, "snapshot", snapshot)
    widget._ipython_display_()
    assert published == [("<p>last</p>", False)]
    widget.keep(in_output=True)
    assert published[1:] == [("<p>last</p>", True)]


def test_closed_widget_sends_nothing_more_and_keeps_its_forms(owner: PlayedOwner) -> None:
    widget = RecordingWidget(owner)
    widget.close()
    widget.close()
    widget.update({"a": 1})
    widget.keep(in_output=True)
    assert owner.told == ["close"]
    assert widget.sent == []
    # by the class, as it is displayed: ipywidgets takes the method of a closed widget away
    data, _ = LiveWidget._repr_mimebundle_(widget)
    assert set(data) == {"text/plain", "text/html"}


def test_same_name_is_the_same_widget_until_it_is_closed() -> None:
    opened = OpenWidgets()
    made: list[RecordingWidget] = []

    def make() -> LiveWidget:
        made.append(RecordingWidget(PlayedOwner()))
        return made[-1]

    first = opened.find_or_open("web", make)
    assert opened.find_or_open("web", make) is first
    assert opened.find_or_open("db", make) is not first
    first.close()
    assert opened.find_or_open("web", make) is not first
    assert len(made) == 3
    for widget in made:
        widget.close()


def test_cells_know_whether_one_is_running() -> None:
    handlers: dict[str, Any] = {}
    shell = SimpleNamespace(events=SimpleNamespace(register=lambda name, handler: handlers.update({name: handler})))
    cells = Cells()
    assert not cells.running()
    cells.follow(shell)
    assert cells.running(), "it is followed from within a cell"
    handlers["post_run_cell"]("result")
    assert not cells.running()
    handlers["pre_run_cell"]("info")
    assert cells.running()
