"""What stays in a saved notebook: honest text, and HTML in which nothing that a container says can do anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from labcontainers.widgets.messages import BuildState, Facts, Point, Sample, State, Step
from labcontainers.widgets.snapshot import build_snapshot, card_snapshot, state_words, visible

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
NOW = 2000.0
FACTS: Facts = {
    "id": "c0ffee" + 58 * "0",
    "name": "web",
    "image": "lesson/clock",
    "command": "/srv/clock.sh",
    "created_at": 1000.0,
    "ports": [{"text": "8080 → 80/tcp", "host": "0.0.0.0", "port": 8080, "path": ""}],
    "level": "single id, no control groups",
    "level_means": "of one user",
}
RUNNING: State = {
    "status": "running",
    "exit_code": 0,
    "oom_killed": False,
    "error": "",
    "started_at": 1000.0,
    "finished_at": None,
    "warnings": [],
}
EXITED: State = {**RUNNING, "status": "exited", "exit_code": 137, "oom_killed": True, "finished_at": 1990.0}
SAMPLE: Sample = {
    "time": 1999.0,
    "cpu_percent": 12.34,
    "memory_bytes": 3 * 2**20,
    "memory_limit_bytes": 32 * 2**20,
    "pids": 2,
    "network_rx": None,
    "network_tx": None,
    "block_read": None,
    "block_write": None,
}
STEP: Step = {
    "index": 2,
    "total": 3,
    "stage": "",
    "text": "RUN make",
    "line": 4,
    "status": "done",
    "started_at": 1990.0,
    "duration_s": 1.5,
    "layer_size_bytes": 2048,
    "message": "",
    "reason": "",
    "waits_for": "",
}
BUILDING: BuildState = {"status": "running", "started_at": 1990.0, "duration_s": None, "image_id": "", "tags": [], "failure": None}

SEEN = [
    ("plain", "plain"),
    ("\x1b[1;31mred\x1b[0m", "red"),
    ("\x1b]8;;http://example.org\x07link\x1b]8;;\x07", "link"),
    ("10 %\r20 %\r30 %", "30 %"),
    ("done\r", "done"),
    ("a\x00b\x07c\td", "abc\td"),
]

WORDS = [
    (RUNNING, "Up 16 minutes"),
    ({**RUNNING, "status": "paused"}, "Up 16 minutes (paused)"),
    (EXITED, "Exited (137) 10 seconds ago, out of memory"),
    ({**RUNNING, "status": "removed", "started_at": None}, "Removed"),
    ({**RUNNING, "status": "created", "started_at": None}, "Created"),
]


class Tags(HTMLParser):
    """Every tag and attribute, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.classes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.classes += [value or "" for name, value in attributes if name == "class"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(("raw", "seen"), SEEN)
def test_line_is_as_a_reader_sees_it(raw: str, seen: str) -> None:
    assert visible(raw) == seen


@pytest.mark.parametrize(("state", "words"), WORDS)
def test_state_is_said_as_ps_says_it(state: State, words: str) -> None:
    assert state_words(state, NOW) == words


def test_card_says_what_it_is_how_it_is_and_what_it_said() -> None:
    snapshot = card_snapshot(FACTS, RUNNING, [SAMPLE], [(1, "tick 9"), (2, "oh")], 7, NOW)
    for form in (snapshot.text, Tags(snapshot.html).text):
        for part in ("web", "lesson/clock", "c0ffee000000", "Up 16 minutes", "8080 → 80/tcp", "12.3 %", "tick 9", "oh", "7 earlier lines"):
            assert part in form
        assert re.search(r"as of \d{4}-\d\d-\d\d", form), "it must say when that was so"


def test_card_shows_the_line_of_checkpoints() -> None:
    first: Point = {"number": 1, "label": EVIL, "parent": 0, "created_at": NOW, "current": False}
    snapshot = card_snapshot(
        FACTS, {**EXITED, "checkpoints": [first, {**first, "number": 2, "label": "", "current": True}]}, [], [], 0, NOW
    )
    assert f"checkpoints  1 {EVIL}, 2 (now)" in snapshot.text
    assert EVIL not in snapshot.html
    assert "checkpoints" not in card_snapshot(FACTS, EXITED, [], [], 0, NOW).text


def test_card_shows_warnings_and_the_error() -> None:
    snapshot = card_snapshot(FACTS, {**EXITED, "warnings": ["no memory limit"], "error": "exec failed"}, [], [], 0, NOW)
    for form in (snapshot.text, Tags(snapshot.html).text):
        assert "no memory limit" in form
        assert "exec failed" in form
        assert "out of memory" in form


@pytest.mark.parametrize("place", ["name", "image", "command", "port", "warning", "error", "log"])
def test_nothing_that_a_container_says_becomes_html(place: str) -> None:
    facts: Facts = {**FACTS, "ports": [{"text": EVIL if place == "port" else "80/tcp", "host": "", "port": 0, "path": ""}]}
    if place in ("name", "image", "command"):
        facts = {**facts, place: EVIL}
    state: State = {**RUNNING, "warnings": [EVIL] if place == "warning" else [], "error": EVIL if place == "error" else ""}
    html = card_snapshot(facts, state, [SAMPLE], [(1, EVIL if place == "log" else "fine")], 0, NOW).html
    page = Tags(html)
    assert page.tags <= {"div", "b", "span", "table", "tr", "td", "pre", "code"}
    assert page.attributes <= {"style", "colspan", "class"}
    # of the box alone, which MathJax leaves alone by it
    assert page.classes == ["mathjax_ignore tex2jax_ignore"]
    assert EVIL in page.text
    assert "url(" not in html
    assert "http" not in html


def test_build_says_every_step_with_its_state_time_and_size() -> None:
    steps: list[Step] = [{**STEP, "index": 1, "text": "FROM lab/base", "status": "cached", "layer_size_bytes": None}, STEP]
    done: BuildState = {**BUILDING, "status": "done", "duration_s": 2.0, "image_id": "sha256:" + 64 * "a", "tags": ["lesson/clock:latest"]}
    snapshot = build_snapshot(done, steps, {}, NOW)
    assert snapshot.text.splitlines()[0] == "build lesson/clock:latest: done, 2 s"
    for form in (snapshot.text, Tags(snapshot.html).text):
        for part in ("FROM lab/base", "cached", "RUN make", "1.5 s", "2.05kB", "aaaaaaaaaaaa"):
            assert part in form


def test_failed_build_says_why_once_and_where_with_the_end_of_the_output() -> None:
    failed: Step = {**STEP, "status": "failed", "message": "step failed with exit code 2: RUN make"}
    failure = {"message": "the step failed with exit code 2", "hint": "look at it", "line": 4, "source": "RUN make"}
    build: BuildState = {**BUILDING, "status": "failed", "duration_s": 2.0, "failure": failure}
    output = "".join(f"line {number}\n" for number in range(100))
    snapshot = build_snapshot(build, [failed], {2: output}, NOW)
    for form in (snapshot.text, Tags(snapshot.html).text):
        assert form.count("exit code 2") == 1
        assert "Dockerfile line 4: the step failed" in form
        assert "look at it" in form
        assert "line 99" in form
        assert "line 79\n" not in form


@pytest.mark.parametrize("place", ["text", "output", "message"])
def test_nothing_that_a_build_says_becomes_html(place: str) -> None:
    step: Step = {**STEP, "status": "failed", "text": EVIL if place == "text" else "RUN x", "message": EVIL if place == "message" else ""}
    html = build_snapshot(BUILDING, [step], {2: EVIL if place == "output" else ""}, NOW).html
    assert Tags(html).tags <= {"div", "b", "span", "table", "tr", "td", "pre", "code"}
    assert EVIL in Tags(html).text
