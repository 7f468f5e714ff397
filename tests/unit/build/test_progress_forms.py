"""What is shown of a build: BuildKit's plain lines, lines of JSON, and a live view in a terminal."""

from __future__ import annotations

import base64
import json
import threading

import pytest

from labcontainers.build.progress import (
    BuildEvent,
    BuildFinished,
    StepCached,
    StepCancelled,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    StepWaiting,
    TextProgress,
)
from labcontainers.build.raw_progress import RawProgress
from labcontainers.commands.build_progress import BuildPrinter, check_screen, mode_of
from labcontainers.commands.build_screen import BuildScreen
from labcontainers.commands.screen import Screen, clipped, plain, width_of
from labcontainers.errors import Conflict, InvalidArgument

IMAGE = "sha256:" + "ab" * 32
EVENTS: list[BuildEvent] = [
    StepStarted(1, 4, "build", "FROM lab/base", 1, 1, 3),
    StepCached(1),
    StepStarted(2, 4, "build", "RUN make", 2, 2, 3),
    StepMissed(2, "the command changed"),
    StepOutput(2, 1, b"one\ntw"),
    StepStarted(3, 4, "stage-1", "FROM scratch", 3, 1, 1),
    StepFinished(3, 0.04, 0),
    StepOutput(2, 1, b"o\n"),
    StepOutput(2, 2, b"10%\r50%\r100%"),
    StepFinished(2, 1.25, 2048),
    StepStarted(4, 0, "", "exporting to oci image format", 0),
    StepFinished(4, 0.3, 0),
    BuildFinished(IMAGE, ("x:latest",), 2.0),
]
LINES = f"""\
#1 [build 1/3] FROM lab/base
#1 CACHED

#2 [build 2/3] RUN make
#2 run: the command changed
#2 0.500 one
#2 ...

#3 [stage-1 1/1] FROM scratch
#3 DONE 0.0s

#2 [build 2/3] RUN make
#2 1.000 two
#2 1.500 100%
#2 DONE 1.2s

#4 exporting to oci image format
#4 DONE 0.3s

#5 exporting to image
#5 writing image {IMAGE} done
#5 naming to x:latest done
#5 DONE 0.0s
"""


def test_plain_lines_are_those_of_buildkit_also_when_steps_go_on_at_once() -> None:
    written: list[str] = []
    now = iter([9.0, 10.0, 10.5, 10.6, 11.0, 11.5, 12.0])
    show = TextProgress(written.append, lambda: next(now))
    for event in EVENTS:
        show(event)
    assert "".join(written) == LINES


def test_whom_a_step_waits_for_is_told_by_every_form(clock: list[float]) -> None:
    waits = (StepStarted(1, 1, "", "RUN x", 1), StepWaiting(1, "the build of web in process 7"))
    plain_lines: list[str] = []
    show = TextProgress(plain_lines.append, lambda: 1.0)
    for event in (*waits, StepWaiting(1, ""), StepCached(1)):
        show(event)
    assert "".join(plain_lines) == "#1 [1/1] RUN x\n#1 waiting for the build of web in process 7\n#1 goes on\n#1 CACHED\n"

    written: list[str] = []
    raw = RawProgress(written.append, lambda: 1_600_000_000_000_000_001)
    for event in (*waits, StepMissed(1, "new"), StepFinished(1, 1.0, 0)):
        raw(event)
    begun, *rest = [status for text in written for status in json.loads(text).get("statuses", ())]
    assert begun["id"] == "waiting for the build of web in process 7"
    assert "completed" not in begun
    assert [(status["id"], "completed" in status) for status in rest] == [(begun["id"], True), ("run: new", True)]
    written.clear()
    for event in (StepWaiting(1, "a cache"), StepWaiting(1, "")):
        raw(event)
    assert ["completed" in status for text in written for status in json.loads(text)["statuses"]] == [False, True]

    terminal = Terminal()
    screen = BuildScreen(Screen(terminal.write, terminal.size), lambda: clock[0], beat_s=3600)
    for event in waits:
        screen(event)
    assert terminal.shown[-1] == " => => waiting for the build of web in process 7"
    screen(StepWaiting(1, ""))
    assert "waiting" not in terminal.shown[-1]
    screen(StepCached(1))
    assert terminal.shown[-1] == " => CACHED [1/1] RUN x"
    screen.finish()


def test_a_failure_is_told_after_the_output_that_had_no_end() -> None:
    written: list[str] = []
    show = TextProgress(written.append, lambda: 1.0)
    for event in (StepStarted(1, 1, "", "RUN x", 1), StepOutput(1, 2, b"no newline"), StepFailedEvent(1, "exit code 3")):
        show(event)
    assert "".join(written) == "#1 [1/1] RUN x\n#1 0.000 no newline\n#1 ERROR: exit code 3\n"


def test_raw_json_has_the_shape_of_a_solve_status() -> None:
    written: list[str] = []
    show = RawProgress(written.append, lambda: 1_600_000_000_000_000_001)
    for event in [*EVENTS, StepStarted(9, 9, "", "RUN x", 1), StepFailedEvent(9, "no")]:
        show(event)
    lines = [json.loads(line) for text in written for line in text.splitlines()]
    assert len(lines) == len(EVENTS) + 2
    vertexes = {vertex["name"]: vertex for line in lines for vertex in line.get("vertexes", ())}
    assert vertexes["[build 1/3] FROM lab/base"]["cached"] is True
    made = vertexes["[build 2/3] RUN make"]
    assert made["started"] == made["completed"] == "2020-09-13T12:26:40.000000001Z"
    assert vertexes["[9/9] RUN x"]["error"] == "no"
    logs = [log for line in lines for log in line.get("logs", ())]
    assert {log["vertex"] for log in logs} == {made["digest"]}
    assert b"".join(base64.b64decode(log["data"]) for log in logs if log["stream"] == 1) == b"one\ntwo\n"
    assert {status["id"] for line in lines for status in line.get("statuses", ())} == {
        "run: the command changed",
        f"writing image {IMAGE}",
        "naming to x:latest",
    }


# --- a screen


class Terminal:
    """What a terminal shows of what is written to it: as much of its sequences as a Screen writes."""

    def __init__(self, columns: int = 60, lines: int = 12) -> None:
        self.columns, self.lines = columns, lines
        self.rows: list[str] = [""]
        self.row = 0
        self.cursor = True

    def size(self) -> tuple[int, int]:
        return self.columns, self.lines

    def write(self, text: str) -> None:
        parts = iter(text.split("\x1b["))
        self._put(next(parts))
        for part in parts:
            end = next(place for place, letter in enumerate(part) if letter.isalpha())
            word, rest = part[: end + 1], part[end + 1 :]
            if word == "?25l" or word == "?25h":
                self.cursor = word == "?25h"
            elif word == "2K":
                self.rows[self.row] = ""
            elif word == "J":
                del self.rows[self.row + 1 :]
                self.rows[self.row] = ""
            elif word.endswith("A"):
                self.row -= int(word[:-1])
                assert self.row >= 0
            self._put(rest)

    def _put(self, text: str) -> None:
        for letter in text:
            if letter == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            elif letter != "\r":
                self.rows[self.row] += letter
                assert width_of(self.rows[self.row]) < self.columns

    @property
    def shown(self) -> list[str]:
        return self.rows[: self.row]


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def view(terminal: Terminal, clock: list[float]) -> BuildScreen:
    """One that paints only when something happens."""
    return BuildScreen(Screen(terminal.write, terminal.size), lambda: clock[0], beat_s=threading.TIMEOUT_MAX)


def test_a_terminal_shows_the_output_of_what_runs_and_one_line_of_what_has_ended(clock: list[float]) -> None:
    terminal = Terminal()
    show = view(terminal, clock)
    for event in EVENTS[:5]:
        show(event)
    clock[0] = 1.5
    show(EVENTS[5])
    assert terminal.shown == [
        "[+] Building 1.5s (1/4)",
        " => CACHED [build 1/3] FROM lab/base",
        " => [build 2/3] RUN make                               1.5s",
        " => => # one",
        " => => # tw",
        " => [stage-1 1/1] FROM scratch                         0.0s",
    ]
    assert not terminal.cursor
    for event in EVENTS[6:]:
        show(event)
    show.finish()
    assert terminal.shown == [
        "[+] Building 1.5s (4/4) FINISHED",
        " => CACHED [build 1/3] FROM lab/base",
        " => [build 2/3] RUN make                               1.2s",
        " => [stage-1 1/1] FROM scratch                         0.0s",
        " => exporting to oci image format                      0.3s",
    ]
    assert terminal.cursor


def test_a_terminal_keeps_the_output_of_what_failed_and_its_cursor_after_an_interrupt(clock: list[float]) -> None:
    terminal = Terminal()
    show = view(terminal, clock)
    for event in (StepStarted(1, 1, "", "RUN x", 1), StepOutput(1, 2, b"\x1b[31mwhy\x1b[0m\n"), StepFailedEvent(1, "no")):
        show(event)
    show.finish()
    assert terminal.shown[1:] == [" => ERROR [1/1] RUN x                                  0.0s", " => => # why"]
    other = Terminal()
    show = view(other, clock)
    show(StepStarted(1, 2, "", "RUN sleep", 1))
    show.finish()
    show.finish()
    assert other.shown[0] == "[+] Building 0.0s (0/2) ENDED EARLY"
    assert other.cursor


def test_a_small_terminal_shows_what_runs_rather_than_what_has_ended(clock: list[float]) -> None:
    terminal = Terminal(columns=30, lines=8)
    show = view(terminal, clock)
    for index in range(1, 20):
        show(StepStarted(index, 20, "", f"RUN number {index} with a text that is far too long", 1))
        show(StepFinished(index, 1.0, 0))
    show(StepStarted(20, 20, "", "RUN last", 1))
    assert len(terminal.shown) == 6
    assert terminal.shown[0] == "[+] Building 0.0s (19/20)"
    assert terminal.shown[-2:] == [" => [19/20] RUN number … 1.0s", " => [20/20] RUN last     0.0s"]
    show.finish()
    assert len(terminal.shown) == 21


def test_the_times_go_on_while_nothing_happens() -> None:
    painted = threading.Event()
    writes: list[str] = []

    def write(text: str) -> None:
        writes.append(text)
        if len(writes) > 3:
            painted.set()

    show = BuildScreen(Screen(write, lambda: (80, 24)), beat_s=0.001)
    show(StepStarted(1, 1, "", "RUN sleep", 1))
    assert painted.wait(30)
    show.finish()
    assert not [thread for thread in threading.enumerate() if thread.name == "lab-screen"]


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301x", 2, "e\u0301x"),
    ],
)
def test_a_line_is_cut_by_the_columns_that_its_letters_take(text: str, columns: int, shown: str) -> None:
    assert clipped(text, columns) == shown


def test_output_does_not_move_the_cursor() -> None:
    assert plain("a\x1b[2Kb\x1b]0;title\x07c\x1b[1;31md\x08\x1bMe\tf") == "abcde   f"


# --- which form


@pytest.mark.parametrize(
    ("arguments", "environ", "mode"),
    [
        ({"progress": None}, {}, "auto"),
        ({"progress": "plain"}, {"BUILDKIT_PROGRESS": "tty"}, "plain"),
        ({"progress": None}, {"BUILDKIT_PROGRESS": "rawjson"}, "rawjson"),
        ({"progress": None, "quiet": True}, {}, "quiet"),
    ],
)
def test_the_form_is_that_of_the_flag_or_of_the_environment(arguments: dict[str, object], environ: dict[str, str], mode: str) -> None:
    assert mode_of(arguments, environ) == mode


def test_an_unknown_form_is_refused_by_who_said_it() -> None:
    with pytest.raises(InvalidArgument, match="--progress: unknown: 'loud'"):
        mode_of({"progress": "loud"}, {})
    with pytest.raises(InvalidArgument, match="BUILDKIT_PROGRESS: unknown: 'loud'"):
        mode_of({"progress": None}, {"BUILDKIT_PROGRESS": "loud"})
    with pytest.raises(Conflict, match="not a terminal"):
        check_screen("tty", False)


def test_auto_is_a_live_view_on_a_screen_and_lines_elsewhere() -> None:
    for mode, screen, begins in (
        ("auto", False, "#1 "),
        ("auto", True, "\x1b"),
        ("plain", True, "#1 "),
        ("rawjson", True, "{"),
        ("quiet", True, ""),
        ("none", True, ""),
    ):
        written: list[str] = []
        printer = BuildPrinter(mode, written.append, screen=screen)
        printer(StepStarted(1, 1, "", "RUN x", 1))
        printer.finish()
        assert "".join(written).startswith(begins)
        assert bool(written) == bool(begins)


def test_a_step_that_was_stopped_is_told_as_canceled_in_every_form() -> None:
    events = (StepStarted(1, 1, "", "RUN x", 1), StepCancelled(1, "another step failed"))
    plain: list[str] = []
    raw: list[str] = []
    show, tell = TextProgress(plain.append), RawProgress(raw.append)
    for event in events:
        show(event)
        tell(event)
    assert "".join(plain) == "#1 [1/1] RUN x\n#1 CANCELED\n"
    assert json.loads(raw[-1])["vertexes"][0]["error"] == "canceled: another step failed"
