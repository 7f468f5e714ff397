"""The widget of a container that is made step by step, over a made-up Making: what it sends, what buttons do, what stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labcontainers.containers.explain.explanation import Explanation, Operation
from labcontainers.errors import Conflict, StartFailed
from labcontainers.widgets.step_box import StepBox
from tests.unit.widgets.surfaces import RecordingSurface


class FakeLook:
    def groups(self) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        return [("Namespaces", [("pid", "5", True)])]


class FakeMaking:
    """Stands where a Making stands; the test says what becomes of it."""

    def __init__(self) -> None:
        self.status = "waiting"
        self.stage = "layers"
        self.pid = 77
        self.error: BaseException | None = None
        self.listeners: list[Callable[[], None]] = []
        self.done: list[Any] = []

    def explain(self) -> Explanation:
        result = "ok" if self.status == "running" else "planned"
        return Explanation(
            "slow", [Operation("clone", "", "ok", None, "clone(2)", values={"flags": 0}), Operation("exec", "", result, 3, "")]
        )

    def look(self) -> FakeLook:
        if self.status != "waiting":
            raise Conflict("it does not wait")
        return FakeLook()

    def go_on(self, stop_at: str | None) -> None:
        self.done.append(("go on", stop_at))

    def ask_to_abort(self) -> None:
        self.done.append("abort")

    def become(self, status: str, stage: str = "") -> None:
        self.status, self.stage = status, stage
        for listener in list(self.listeners):
            listener()


def opened() -> tuple[FakeMaking, StepBox, RecordingSurface]:
    making, surface = FakeMaking(), RecordingSurface()
    box = StepBox(making)
    box.show_on(surface)
    return making, box, surface


def test_the_first_message_tells_where_it_waits_and_what_it_looks_like() -> None:
    _, box, _ = opened()
    step = box.everything()["step"]
    assert (step["status"], step["stage"], step["pid"], step["failure"]) == ("waiting", "layers", 77, None)
    assert step["look"] == [{"title": "Namespaces", "rows": [("pid", "5", True)]}]


def test_buttons_let_it_go_on_or_end_it_and_nothing_else_does() -> None:
    making, box, _ = opened()
    for action in ("next", "finish", "abort", "something else"):
        box.act(action)
    assert making.done == [("go on", None), ("go on", ""), "abort"]


def test_each_change_is_sent_and_the_end_is_kept() -> None:
    making, box, surface = opened()
    making.become("waiting", "mounts")
    assert surface.last("step")["stage"] == "mounts"
    assert surface.kept_in_output == 0
    making.become("going")
    assert surface.last("step")["look"] == []
    making.become("running")
    assert surface.last("explained")["operations"][-1]["result"] == "ok"
    assert surface.kept_in_output == 1
    assert box.snapshot().text.startswith("slow was made\n")
    box.replay()
    assert surface.replays[-1] == box.everything()


def test_what_failed_is_told_here_and_in_the_snapshot() -> None:
    making, box, surface = opened()
    making.error = StartFailed("exec <nope>: not found", 127, "check the command")
    making.become("failed")
    assert surface.last("step")["failure"] == {"message": "exec <nope>: not found", "hint": "check the command"}
    assert "could not be made: exec <nope>: not found" in box.snapshot().text
    assert "exec &lt;nope&gt;" in box.snapshot().html


def test_of_what_was_aborted_the_last_that_was_known_stays() -> None:
    making, box, surface = opened()
    making.explain = lambda: Explanation("slow", ())
    making.become("aborted")
    assert len(surface.last("explained")["operations"]) == 2
    assert "nothing of it is left" in box.snapshot().text


def test_a_page_that_looks_is_answered_and_a_closed_box_hears_no_more() -> None:
    making, box, surface = opened()
    box.shown()
    box.watch("page", 1)
    assert surface.updates == [{}]
    box.close()
    box.close()
    making.become("running")
    assert surface.updates == [{}]
