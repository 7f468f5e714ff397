"""The terminal widget's end in the kernel, over a terminal that the test plays: numbers, windows, pages, ends, and what is kept."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from labcontainers.containers.attaching.attach import Attached, Piece
from labcontainers.containers.attaching.pty_stream import BATCH_BYTES
from labcontainers.errors import Conflict
from labcontainers.widgets import bundle
from labcontainers.widgets.terminal import ContainerTerminal
from labcontainers.widgets.terminal_pages import WINDOW_BYTES, InOrder, Pages
from labcontainers.widgets.terminal_widget import TerminalWidget
from tests.unit.widgets.surfaces import Clock
from tests.waiting import until


class PlayedTerminal(Attached):
    """What the test writes is read; what is typed is kept."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__("web", tty=True, stdin=True, detach_keys=None)
        self.typed = b""
        self.sizes = [size]
        self.read_bytes = 0
        self.closed = False
        self._code: int | None = None
        self._pieces: queue.Queue[bytes | None] = queue.Queue()

    @property
    def exit_code(self) -> int | None:
        return self._code

    def says(self, data: bytes) -> None:
        self._pieces.put(data)

    def ends(self, code: int) -> None:
        self._code = code
        self._pieces.put(None)

    def read(self, timeout_s: float | None = None) -> Piece | None:
        try:
            data = self._pieces.get(timeout=None if timeout_s is None else max(timeout_s, 0.001))
        except queue.Empty:
            raise TimeoutError from None
        if data is None:
            self._pieces.put(None)
            return None
        self.read_bytes += len(data)
        return 1, data

    def _send(self, data: memoryview) -> None:
        self.typed += bytes(data)

    def close_stdin(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def signal(self, number: int) -> None: ...

    def detach(self) -> None: ...

    def close(self) -> None:
        self.closed = True
        self._pieces.put(None)


class PlayedSource:
    """A container's terminal that can be opened again and again."""

    id, name, title, own, rows, columns = "0" * 64, "web", "sh", False, 24, 0

    def __init__(self) -> None:
        self.opened: list[PlayedTerminal] = []
        self.error: Exception | None = None
        self.container = "running"

    def open(self, rows: int, columns: int) -> Attached:
        if self.error is not None:
            raise self.error
        self.opened.append(PlayedTerminal((rows, columns)))
        return self.opened[-1]

    def status(self) -> str:
        return self.container

    @property
    def now(self) -> PlayedTerminal:
        until(lambda: bool(self.opened), "it is opened")
        return self.opened[-1]


class PlayedSurface:
    """Keeps messages with their bytes."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], bytes]] = []
        self.kept: list[bool] = []

    def update(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self.sent.append(("update", dict(data), b"".join(buffers)))

    def resend(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self.sent.append(("replay", dict(data), b"".join(buffers)))

    def keep(self, *, in_output: bool) -> None:
        self.kept.append(in_output)

    def output(self) -> bytes:
        """All output in updates, which must be numbered without a gap."""
        pieces = [(data["output"]["at"], body) for _, data, body in list(self.sent) if "output" in data]
        for (at, body), (following, _) in pairwise(pieces):
            assert at + len(body) == following, "a piece is missing"
        return b"".join(body for _, body in pieces)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = next(data["state"] for _, data, _ in reversed(self.sent) if "state" in data)
        return found

    def taken(self, page: str) -> int:
        return sum(data["taken"].get(page, 0) for _, data, _ in list(self.sent) if "taken" in data)


class Table:
    """A terminal with its source, its surface and a clock."""

    def __init__(self) -> None:
        self.source, self.surface, self.clock = PlayedSource(), PlayedSurface(), Clock()
        self.busy = False
        self.terminal = ContainerTerminal(self.source, busy=lambda: self.busy, clock=self.clock)
        self.terminal.show_on(self.surface)

    def begin(self, page: str = "p") -> PlayedTerminal:
        self.terminal.watch(page, 1)
        self.terminal.size(page, 24, 100)
        played = self.source.now
        until(lambda: self.surface.state()["status"] == "running", "it runs")
        return played


@pytest.fixture
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.terminal.close()


def test_nothing_is_started_before_a_page_tells_its_size(table: Table) -> None:
    table.terminal.shown()
    table.terminal.watch("p", 1)
    assert table.source.opened == []
    assert "no page has shown it yet" in table.terminal.snapshot().text
    assert table.begin().sizes == [(24, 100)]
    table.terminal.size("q", 30, 90)
    table.terminal.size("q", 30, 90)
    assert table.source.now.sizes == [(24, 100), (30, 90)]
    assert (table.surface.state()["rows"], table.surface.state()["columns"]) == (30, 90)


def test_output_comes_numbered_and_whole(table: Table) -> None:
    played = table.begin()
    parts = [b"\xc3", b"\xa4 umlaut\r\n", b"x" * 1000]
    for part in parts:
        played.says(part)
    until(lambda: table.surface.output() == b"".join(parts), "all has been sent")


def test_reading_stops_while_a_page_has_not_taken_a_window(table: Table) -> None:
    played = table.begin()
    pieces = WINDOW_BYTES // 16384 + 64
    for _ in range(pieces):
        played.says(b"y\n" * 8192)
    until(lambda: len(table.surface.output()) >= WINDOW_BYTES, "the window is full")
    most = WINDOW_BYTES + BATCH_BYTES + (1 << 16)
    assert played.read_bytes <= most
    table.terminal.take("p", len(table.surface.output()))
    until(lambda: len(table.surface.output()) > most, "it goes on")

    def take() -> bool:
        table.terminal.take("p", len(table.surface.output()))
        return len(table.surface.output()) == pieces * 16384

    until(take, "nothing is lost")


def test_slowest_page_counts_until_it_falls_silent(table: Table) -> None:
    pages = Pages(lambda: table.busy, table.clock)
    assert pages.limit() is None
    assert pages.hear("quick", 0)
    assert pages.hear("slow", 0)
    assert not pages.hear("slow", 5)
    pages.take("quick", 1000)
    assert pages.limit() == WINDOW_BYTES
    table.clock.now += 20
    pages.take("quick", 900)
    pages.hear("quick", 0)
    table.clock.now += 20
    assert pages.limit() == 1000 + WINDOW_BYTES
    table.busy = True
    table.clock.now += 1000
    assert pages.limit() == 1000 + WINDOW_BYTES, "while a cell runs a page may not be heard"
    pages.leave("quick")
    assert pages.limit() is None


def test_what_nobody_saw_is_told_to_the_page_that_comes(table: Table) -> None:
    played = table.begin()
    table.terminal.watch("p", 0)
    played.says(b"unseen")
    until(lambda: played.read_bytes == 6, "it is read although nobody looks")
    until(lambda: "unseen" in table.terminal.snapshot().text, "it is kept")
    assert table.surface.output() == b""
    table.terminal.watch("q", 1)
    kind, data, body = next(entry for entry in reversed(table.surface.sent) if "screen" in entry[1])
    assert (kind, data["cleared"], data["screen"], body) == ("update", True, {"at": 6}, b"unseen")


def test_page_that_is_loaded_again_gets_the_last_of_it(table: Table) -> None:
    played = table.begin()
    played.says(b"first\r\n")
    until(lambda: table.surface.output() == b"first\r\n", "it is sent")
    table.terminal.replay()
    kind, data, body = table.surface.sent[-1]
    assert (kind, data["screen"], body) == ("replay", {"at": 7}, b"first\r\n")


def test_keys_go_in_the_order_of_their_numbers_and_are_told_to_be_taken(table: Table) -> None:
    played = table.begin()
    table.terminal.type("p", 1, b"b", answer=False)
    table.terminal.type("p", 0, b"a", answer=False)
    table.terminal.type("q", 0, b"c" * 9000, answer=False)
    until(lambda: played.typed == b"ab" + b"c" * 9000, "all has been typed")
    until(lambda: (table.surface.taken("p"), table.surface.taken("q")) == (2, 9000), "each page is told")


def test_answers_count_from_the_page_that_is_used(table: Table) -> None:
    played = table.begin("used")
    table.terminal.type("other", 0, b"\x1b[1;1R", answer=True)
    table.terminal.type("used", 0, b"\x1b[2;2R", answer=True)
    until(lambda: played.typed == b"\x1b[2;2R", "one has answered")
    assert table.surface.taken("other") == 6


def test_piece_that_never_comes_does_not_hold_up_the_rest() -> None:
    order = InOrder()
    assert order.put("p", 0, b"a") == [b"a"]
    got = [piece for number in range(2, 70) for piece in order.put("p", number, b"%d" % number)]
    assert got == [b"%d" % number for number in range(2, 70)]
    assert order.put("p", 1, b"late") == []


def test_exit_code_is_told_and_it_starts_again_with_an_empty_screen(table: Table) -> None:
    first = table.begin()
    first.says(b"old")
    until(lambda: table.surface.output() == b"old", "it is sent")
    first.ends(3)
    until(lambda: table.surface.state()["status"] == "exited", "its end is told")
    assert table.surface.state()["exit_code"] == 3
    assert "(exited with code 3)" in table.terminal.snapshot().text
    assert True in table.surface.kept, "a saved notebook has the end"
    table.terminal.act("restart")
    until(lambda: len(table.source.opened) == 2, "it is opened again")
    until(lambda: table.surface.state()["status"] == "running", "it runs again")
    assert any(data.get("cleared") for _, data, _ in table.surface.sent)
    first.says(b"of the dead")
    table.source.now.says(b"new")
    until(lambda: table.surface.output() == b"oldnew", "numbers go on, and only the present one is heard")


def test_closing_hangs_up_and_is_told(table: Table) -> None:
    played = table.begin()
    table.terminal.act("close")
    until(lambda: table.surface.state()["status"] == "closed", "it is told")
    assert played.closed


def test_why_it_cannot_start_is_told_and_whether_the_container_is_gone(table: Table) -> None:
    table.source.error = Conflict("container web is not running", "start it first")
    table.source.container = "removed"
    table.terminal.size("p", 24, 80)
    until(lambda: table.surface.state()["status"] == "failed", "it is told")
    assert table.surface.state()["failure"] == {"message": "container web is not running", "hint": "start it first"}
    assert table.surface.state()["container"] == "removed"
    table.source.container = "running"
    table.terminal.watch("p", 1)
    assert table.surface.state()["container"] == "running"


def test_screen_that_a_page_paints_is_what_a_notebook_keeps(table: Table) -> None:
    table.begin()
    table.terminal.paint("p", "~ # echo <b>\n<b>\n~ #", left=False)
    assert table.surface.kept == [False], "the output that somebody uses must not be drawn anew"
    snapshot = table.terminal.snapshot()
    assert snapshot.text == "terminal of web: sh (running)\n  ~ # echo <b>\n  <b>\n  ~ #"
    assert "~ # echo &lt;b&gt;" in snapshot.html
    table.terminal.paint("other", "~ # echo <b>\n<b>\n~ #", left=True)
    table.terminal.paint("p", "~ # echo <b>\n<b>\n~ #", left=True)
    table.terminal.paint("p", "~ # echo <b>\n<b>\n~ #", left=True)
    assert table.surface.kept == [False, False, True], "once, and when nobody types any more"


class RecordingTerminalWidget(TerminalWidget):
    """A TerminalWidget whose messages are kept instead of sent."""

    def __init__(self, owner: Any) -> None:
        self.sent: list[tuple[dict[str, Any], Any]] = []
        super().__init__(owner)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append((content, buffers))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RecordingTerminalWidget, list[Any]]]:
    told: list[Any] = []
    owner = ContainerTerminal(PlayedSource())
    spy = SimpleNamespace(
        take=lambda *words: told.append(("take", *words)),
        type=lambda *words, answer: told.append(("type", *words, answer)),
        size=lambda *words: told.append(("size", *words)),
        paint=lambda *words, left: told.append(("paint", *words, left)),
    )
    widget = RecordingTerminalWidget(owner)
    widget._terminal = spy
    yield widget, told
    widget.close()


def test_what_a_page_says_of_its_terminal_reaches_it(said: tuple[RecordingTerminalWidget, list[Any]]) -> None:
    widget, told = said
    widget._receive(widget, {"kind": "taken", "page": "p", "at": 7}, [])
    widget._receive(widget, {"kind": "keys", "page": "p", "number": 2, "answer": False}, [memoryview(b"ls\r")])
    widget._receive(widget, {"kind": "size", "page": "p", "rows": 30, "columns": 100}, None)
    widget._receive(widget, {"kind": "screen", "page": "p", "text": "x", "left": True}, None)
    for content in (None, "text", [], {}, {"kind": "other"}):
        widget._receive(widget, content, None)
    assert told == [("take", "p", 7), ("type", "p", 2, b"ls\r", False), ("size", "p", 30, 100), ("paint", "p", "x", True)]


def test_bytes_travel_beside_the_message_and_the_code_is_another_than_the_cards(
    said: tuple[RecordingTerminalWidget, list[Any]],
) -> None:
    widget, _ = said
    widget.update({"output": {"at": 0}}, [b"\xff\x00"])
    content, buffers = widget.sent[-1]
    assert (content["data"], buffers) == ({"output": {"at": 0}}, [b"\xff\x00"])
    widget._receive(widget, {"kind": "code"}, None)
    content, _ = widget.sent[-1]
    code = bundle.read(name=bundle.TERMINAL)
    assert content == {"kind": "code", "hash": code.hash, "text": code.code}
    assert code.hash in widget._esm
    assert len(widget._esm) < 2000
    assert "xterm" in code.code
    assert "xterm" not in bundle.read().code, "pages without a terminal do not pay for it"
