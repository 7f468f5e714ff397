"""A terminal as a widget: starts the command once a page shows it, and carries bytes between its stream and any number of pages.

It must not know comms or HTML: those are plumbing's and snapshot's. How a terminal is opened is containers.attaching's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from labcontainers.containers.attaching.pty_stream import PtyStream
from labcontainers.containers.attaching.terminal import COLUMNS, LARGEST
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.widgets.messages import TerminalFacts, TerminalState, failure_of
from labcontainers.widgets.scrollback import Scrollback
from labcontainers.widgets.snapshot import Snapshot, terminal_snapshot
from labcontainers.widgets.terminal_pages import InOrder, Pages

if TYPE_CHECKING:
    from labcontainers.containers.attaching.attach import Attached
    from labcontainers.containers.attaching.terminal import Terminal
    from labcontainers.widgets.plumbing import LiveWidget

_SCREEN_CHARACTERS = 100_000
_ALIVE = ("starting", "running")
_OVER = ("exited", "closed", "failed")
# the container tells its end a moment after the command in it has ended with it
_KILLED = 137
_SOON_S = 0.05
_SOON_TIMES = 40


class Source(Protocol):
    """What is sat down at; containers.attaching.terminal.Terminal is one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def own(self) -> bool: ...
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...

    def open(self, rows: int, columns: int) -> Attached: ...
    def status(self) -> str: ...


class Surface(Protocol):
    """Where its data go; LiveWidget is one."""

    def update(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None: ...
    def resend(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None: ...
    def keep(self, *, in_output: bool) -> None: ...


class _Life:
    """One run of the command (pty_stream.Watching): what it says counts as long as it is the terminal's present one."""

    def __init__(self, terminal: ContainerTerminal, begins_at: int) -> None:
        self._terminal = terminal
        self._begins_at = begins_at
        self.stream: PtyStream | None = None

    def may_read(self) -> int | None:
        limit = self._terminal.pages.limit()
        return None if limit is None else limit - self._begins_at

    def began(self) -> None:
        self._terminal.began(self)

    def output(self, data: bytes) -> None:
        self._terminal.output(self, data)

    def taken(self, size: int) -> None:
        self._terminal.taken(self, size)

    def ended(self, exit_code: int | None, error: Exception | None) -> None:
        self._terminal.ended(self, exit_code, error)


class ContainerTerminal:
    """One terminal. All methods may be called from any thread, and none but `close` blocks."""

    role = "terminal"

    def __init__(self, source: Source, *, busy: Callable[[], bool] = lambda: False, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._facts: TerminalFacts = {
            "id": source.id,
            "name": source.name,
            "title": source.title,
            "own": source.own,
            "rows": source.rows,
            "columns": source.columns,
        }
        self._state: TerminalState = {
            "status": "waiting",
            "exit_code": None,
            "container": "running",
            "failure": None,
            "rows": source.rows,
            "columns": source.columns or COLUMNS,
        }
        self.pages = Pages(busy, clock)
        self._scrollback = Scrollback()
        self._painted: list[str] | None = None
        self._kept: list[str] | None = None
        # bytes that no page was sent, as none was known
        self._unsent = False
        self._active = ""
        self._typed = InOrder()
        self._on_the_way: deque[tuple[str, int]] = deque()
        self._life: _Life | None = None
        self._closing: list[threading.Thread] = []
        self._closed = False
        self._ending = threading.Event()

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {"facts": self._facts, "state": self._state, "screen": {"at": self._scrollback.total}}

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything(), [self._scrollback.everything()])

    def shown(self) -> None:
        """Nothing is started before a page tells how large it is."""

    def watch(self, page: str, views: int) -> None:
        if views > 0:
            self.hear(page)
            with self._lock:
                if self._state["status"] in _OVER:
                    self._state = {**self._state, "container": self._source.status()}
                # an answer, so that the page knows that somebody is here
                self._send({"state": self._state})
        else:
            self.pages.leave(page)
            self._wake()

    def act(self, action: str) -> None:
        if action == "restart":
            with self._lock:
                former, self._life = self._life, None
                if not self._closed:
                    self._begin()
            self._let_go(former)
        elif action == "close":
            self._let_go(self._life)

    def snapshot(self) -> Snapshot:
        with self._lock:
            lines = self._painted if self._painted is not None else self._scrollback.last_lines(self._state["rows"])
            return terminal_snapshot(self._facts, self._state, lines)

    def close(self) -> None:
        """Hang up, and wait until the threads have ended."""
        with self._lock:
            self._closed = True
            self._ending.set()
            life, closing = self._life, list(self._closing)
        if life is not None and life.stream is not None:
            life.stream.close()
        for thread in closing:
            if thread is not threading.current_thread():
                thread.join()

    # --- what a page says of its terminal

    def hear(self, page: str) -> None:
        """A page is there. If output went to nobody, all get the screen anew."""
        with self._lock:
            if self.pages.hear(page, self._scrollback.total) and self._unsent:
                self._unsent = False
                self._send({**self.everything(), "cleared": True}, [self._scrollback.everything()])

    def take(self, page: str, at: int) -> None:
        """A page has taken the output up to byte number `at`."""
        self.hear(page)
        self.pages.take(page, at)
        self._wake()

    def type(self, page: str, number: int, data: bytes, *, answer: bool) -> None:
        """A page sends piece `number` of what is typed; an `answer` to a question of the program counts from one page alone."""
        with self._lock:
            if not answer:
                self._active = page
            for piece in self._typed.put(page, number, data):
                self._write(page, piece, wanted=not answer or page == self._active)

    def _write(self, page: str, data: bytes, *, wanted: bool) -> None:
        stream = self._life.stream if self._life is not None else None
        # first, since it may be taken before write() returns
        self._on_the_way.append((page, len(data)))
        if not wanted or stream is None or not stream.write(data):
            self._on_the_way.pop()
            self._send({"taken": {page: len(data)}})

    def size(self, page: str, rows: int, columns: int) -> None:
        """A page has room for so many characters, and is the one that is used. The first time, this starts the command."""
        rows, columns = (max(2, min(LARGEST, number)) for number in (rows, columns))
        self.hear(page)
        with self._lock:
            self._active = page
            if (rows, columns) != (self._state["rows"], self._state["columns"]):
                self._state = {**self._state, "rows": rows, "columns": columns}
                self._send({"state": self._state})
            if self._life is not None and self._life.stream is not None:
                self._life.stream.resize(rows, columns)
            elif self._state["status"] == "waiting" and not self._closed:
                self._begin()

    def paint(self, page: str, text: str, *, left: bool) -> None:
        """A page tells the text of the screen; with `left` nobody types there now, so that what a notebook keeps may be drawn anew."""
        lines = text[:_SCREEN_CHARACTERS].split("\n")
        with self._lock:
            self._painted = lines
            if self._surface is None or lines == self._kept:
                return
            in_output = (left and page == self._active) or self._state["status"] not in _ALIVE
            if in_output:
                self._kept = lines
            surface = self._surface
        surface.keep(in_output=in_output)

    # --- what the command's present run says

    def began(self, life: _Life) -> None:
        """It has been started."""
        with self._lock:
            if life is self._life:
                self._set(status="running")

    def output(self, life: _Life, data: bytes) -> None:
        """It has written something."""
        with self._lock:
            if life is not self._life:
                return
            at = self._scrollback.total
            self._scrollback.add(data)
            if self.pages.limit() is None:
                self._unsent, self._painted = True, None
            else:
                self._send({"output": {"at": at}}, [data])

    def taken(self, life: _Life, size: int) -> None:
        """It has taken so many bytes of what was typed."""
        with self._lock:
            told: dict[str, int] = {}
            while life is self._life and size and self._on_the_way:
                page, length = self._on_the_way.popleft()
                if length > size:
                    self._on_the_way.appendleft((page, length - size))
                told[page] = told.get(page, 0) + min(length, size)
                size -= min(length, size)
            if told:
                self._send({"taken": told})

    def ended(self, life: _Life, exit_code: int | None, error: Exception | None) -> None:
        """It has ended, or was hung up, or could not be started."""
        container = self._status_after(exit_code)
        with self._lock:
            if life is not self._life:
                return
            self._on_the_way.clear()
            failure = failure_of(error) if error is not None else None
            status = "failed" if failure else "closed" if exit_code is None else "exited"
            self._set(status=status, exit_code=exit_code, failure=failure, container=container)
            surface = self._surface
        if surface is not None:
            surface.keep(in_output=True)

    def _status_after(self, exit_code: int | None) -> str:
        status = self._source.status()
        for _ in range(_SOON_TIMES if exit_code == _KILLED else 0):
            if status != "running" or self._ending.wait(_SOON_S):
                break
            status = self._source.status()
        return status

    # --- starting and letting go

    def _begin(self) -> None:
        """Start the command, and forget the screen of a former one."""
        life = self._life = _Life(self, self._scrollback.total)
        self._scrollback.clear()
        self._on_the_way.clear()
        self._painted = self._kept = None
        self._set(cleared=True, status="starting", exit_code=None, failure=None, container="running")
        life.stream = PtyStream(self._source.open, (self._state["rows"], self._state["columns"]), life)
        life.stream.start()

    def _let_go(self, life: _Life | None) -> None:
        if life is None or life.stream is None:
            return
        thread = threading.Thread(target=life.stream.close, name="lab-terminal-act", daemon=True)
        with self._lock:
            self._closing = [*(other for other in self._closing if other.is_alive()), thread]
            begin_thread(thread)

    def _wake(self) -> None:
        life = self._life
        if life is not None and life.stream is not None:
            life.stream.wake()

    # --- out

    def _set(self, *, cleared: bool = False, **changes: Any) -> None:
        self._state = {**self._state, **changes}  # type: ignore[typeddict-item]  # the names are its own
        self._send({"state": self._state, **({"cleared": True} if cleared else {})})

    def _send(self, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.update(data, buffers)


def show_terminal(terminal: Terminal) -> LiveWidget:
    """The terminal, to be displayed: the same widget while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import CELLS, OPEN
    from labcontainers.widgets.terminal_widget import TerminalWidget

    return OPEN.find_or_open(f"terminal {terminal.key}", lambda: TerminalWidget(ContainerTerminal(terminal, busy=CELLS.running)))
