"""A session: one process in a container that executes texts, cell by cell, and keeps folder, variables and functions between them.

It must not know how the process was started, nor notebooks. A session belongs to one engine and ends with it; methods may be called
from any thread, one at a time goes on and the others wait.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from labcontainers.containers.result import Collector, ExecResult, Output, signal_text
from labcontainers.containers.sessions.dialects import Dialect, table
from labcontainers.containers.sessions.peer import Peer
from labcontainers.containers.sessions.wire import Item, Wire
from labcontainers.errors import CellTimedOut, Conflict, Failed, Interrupted, InvalidArgument, LabError, StartFailed, Unsupported
from labcontainers.kernel.interrupts import LOOK_AGAIN_S, Interrupts
from labcontainers.kernel.process_sessions import now_ticks

# an interrupted cell has so long to end by itself, then what it started is killed, and after twice as long the session
GRACE_S = 3.0
_NUDGE_S = 0.25
_START_S = 30.0
_BYE_S = 1.0
_TICK_S = 0.002


@dataclass(frozen=True, slots=True, repr=False)
class CellResult(ExecResult):
    """The end of a cell. `values` are the variables that were pulled; `ended` says that the session ended with it."""

    values: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False

    @property
    def _what(self) -> str:
        return "a cell in container"

    @property
    def reason(self) -> str:
        return "which ended the session" if self.ended else signal_text(self.exit_code)


@dataclass
class _Request:
    """What goes on just now."""

    number: int
    on_output: Output
    deadline: float | None = None
    began: bool = False
    began_ticks: int = field(default_factory=now_ticks)
    code: int | None = None
    gone: bool = False
    asks: bool = False
    interrupts: int = 0
    timed_out: bool = False
    interrupted_at: float = 0.0
    signalled_ticks: int = 0
    nudged_at: float = field(default_factory=time.monotonic)
    answers: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.gone or self.code is not None


class Session:
    """One to `name`, the container `container_id`; made by Container.session(). Leaving the `with` block closes it."""

    def __init__(
        self, container_id: str, name: str, dialect: Dialect, peer: Peer, environment: Mapping[str, str], check: Callable[[], None]
    ) -> None:
        """Greets the process; raises StartFailed when it does not answer. `check` raises Conflict when the container takes no cells now."""
        self.container_id = container_id
        self.name = name
        self.language = dialect.language
        # what who shows it has told already
        self.told_end = False
        self.told_lost_bytes = 0
        self._dialect = dialect
        self._peer = peer
        self._check = check
        self._wire = Wire(peer, name)
        self._turn = threading.Lock()
        self._busy = False
        self._closed = self._cleared = False
        self._number = self._last_ticks = 0
        try:
            self._greet(environment)
        except BaseException:
            peer.kill()
            self._wire.wait_gone(_BYE_S)
            self._wire.close()
            raise

    def _greet(self, environment: Mapping[str, str]) -> None:
        heard = Collector()
        self._wire.send(self._dialect.greeting(environment))
        end = time.monotonic() + _START_S
        while (left := end - time.monotonic()) > 0:
            item = self._wire.next(min(left, LOOK_AGAIN_S))
            if item is None:
                continue
            if item[0] == "output":
                heard(item[1], item[2])
            elif item[0] == "frame" and item[2].startswith(b"ready "):
                self._wire.leave()
                self._dialect.understood(item[2].decode().split(" ", 3)[-1])
                return
            elif item[0] == "gone":
                raise self._no_start(item[1], heard)
        raise StartFailed(f"the {self.language} session in {self.name} does not answer after {_START_S:.0f} s", 125, "look at `top`")

    def _no_start(self, code: int, heard: Collector) -> StartFailed:
        if code == 127:
            return StartFailed(f"there is no {self.language} in container {self.name}", 127, "choose another language, or another image")
        last = (heard.stderr or heard.stdout).decode("utf-8", "replace").strip().splitlines()[-1:]
        why = f": {last[0]}" if last else ""
        return StartFailed(f"the {self.language} session in {self.name} ended at its start with exit code {code}{why}", 125, "see `doctor`")

    # --- what it is

    @property
    def alive(self) -> bool:
        """Whether its process is there and takes cells."""
        return not self._closed and self._wire.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """What its process ended with; None while it lives."""
        return self._wire.exit_code

    @property
    def lost_bytes(self) -> int:
        """How much of what programs in the background wrote between cells was thrown away, because it was too much."""
        return self._wire.lost_bytes

    def __repr__(self) -> str:
        state = "ready" if self.alive else "closed" if self._closed else f"ended with exit code {self.exit_code}"
        return f"<Session {self.language} in {self.name}: {state}>"

    # --- what it does

    def run(self, text: str, *, timeout_s: float | None = None, on_output: Output | None = None) -> CellResult:
        """Execute `text` and wait for its end; its output is collected, and passed to `on_output(stream, data)` in this thread.

        What programs in the background wrote since the last cell comes first. An exit code other than 0 is no exception: see
        CellResult.check(). An interrupt reaches the cell, and Interrupted is raised at its end; with `timeout_s` seconds the cell is
        interrupted, and CellTimedOut raised. What ignores the interrupt is killed, and the session goes on if it can. Raises
        InvalidArgument, and Conflict when the session has ended.
        """
        if timeout_s is not None and not timeout_s > 0:
            raise InvalidArgument(f"a cell cannot be done in {timeout_s} seconds", "give it more than 0 seconds")
        collected = Collector(on_output)
        began = time.monotonic()
        with self._turn:
            number = self._next()
            deadline = None if timeout_s is None else began + timeout_s
            request = self._converse(_Request(number, collected, deadline), self._dialect.run(number, text))
            if request.gone and not request.began:
                raise self._ended_error()
        code = request.code if request.code is not None else 137
        if request.timed_out:
            lives = "its session and the variables are still there" if self.alive else "its session did not survive that"
            raise CellTimedOut(f"the cell in {self.name} was stopped after {timeout_s:g} s", f"{lives}; give it a longer timeout")
        if request.interrupts:
            raise Interrupted(f"the cell in {self.name}", code)
        seconds = time.monotonic() - began
        command = (self.language,)
        return CellResult(self.container_id, self.name, command, code, collected.stdout, collected.stderr, seconds, ended=request.gone)

    def push(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set variables: as JSON in python and node, as text in shells, where lists and dicts become JSON; tables go to python by Arrow.

        Raises InvalidArgument, with the name, for what cannot be pushed, Unsupported, and Conflict when the session has ended.
        """
        wanted = {**(values or {}), **more}
        with self._turn:
            number = self._next()
            request = self._ask(number, self._dialect.push(number, wanted))
        refused = {name: why for kind, name, why in request.answers if kind == "refused"}
        for kind, name, why in request.answers:
            if kind == "lacking":
                raise Unsupported(f"{name} cannot be pushed into {self.name}: {why}", "install it there, or push it as text")
        took = {name for kind, name, _ in request.answers if kind == "took"}
        for name in wanted:
            if name not in took:
                why = refused.get(name, "the session does not take it; is it read-only?")
                raise InvalidArgument(f"{name} cannot be pushed into {self.name}: {why}", "choose another name, or push it as text")

    def pull(self, *names: str) -> dict[str, Any]:
        """The values of variables by name: text from shells, else what JSON can hold, and tables of a python session by Arrow.

        Raises InvalidArgument, with the name, for what is not there or cannot be pulled, Unsupported, and Conflict when it has ended.
        """
        with self._turn:
            number = self._next()
            request = self._ask(number, self._dialect.pull(number, names))
        values: dict[str, Any] = {}
        for kind, name, data in request.answers:
            if kind == "unset":
                raise InvalidArgument(f"the {self.language} session in {self.name} has no variable {name}", "set it in a cell first")
            if kind == "lacking":
                raise Unsupported(f"{name} cannot be pulled from {self.name}: {data}", "install it there, or make it text")
            if kind == "refused":
                raise InvalidArgument(f"{name} cannot be pulled from {self.name}: {data}", "make it text, a number, a list or a dict")
            values[name] = table(name, data) if kind == "table" else self._dialect.value(name, data)
        if missing := [name for name in names if name not in values]:
            raise Failed(f"the {self.language} session in {self.name} says nothing of {missing[0]}", "close it, and begin a new one")
        return {name: values[name] for name in names}

    def interrupt(self) -> None:
        """Interrupt the cell that another thread runs, as a key would; nothing happens between cells."""
        if self._busy:
            self._wire.interrupt(signal.SIGINT)

    def tidy(self) -> None:
        """If its process has ended, let go of what it had open."""
        if self._wire.exit_code is not None:
            with self._turn:
                self._clear_up()

    def close(self) -> None:
        """End the process, and what it started and did not leave its kernel session (setsid). Idempotent; a cell that runs is killed."""
        if self._closed:
            return
        self._closed = True
        if self._cleared:
            return
        ended = self._wire.exit_code is not None
        if not ended and not self._busy:
            self._wire.end_input()
            ended = self._wire.wait_gone(_BYE_S)
        if not ended:
            self._peer.kill()
            self._wire.wait_gone(_BYE_S)
        with self._turn:
            self._clear_up()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- how

    def _next(self) -> int:
        if not self.alive:
            raise self._ended_error()
        self._check()
        # What a cell started is told by its start, in ticks: no two cells may have the same one.
        while now_ticks() <= self._last_ticks:
            time.sleep(_TICK_S)
        self._number += 1
        return self._number

    def _ended_error(self) -> LabError:
        how = "was closed" if self._closed else f"has ended with exit code {self.exit_code}"
        return Conflict(f"the {self.language} session in {self.name} {how}", "ask for a new one: .session()")

    def _ask(self, number: int, data: bytes) -> _Request:
        """A request that runs nothing of the user's. Output that comes meanwhile is kept for the next cell."""
        early: list[tuple[int, bytes]] = []
        request = self._converse(_Request(number, lambda stream, piece: early.append((stream, piece)), began=True, asks=True), data)
        for stream, piece in early:
            self._wire.keep(stream, piece)
        if request.gone:
            raise self._ended_error()
        if request.interrupts:
            raise Interrupted(f"the session in {self.name}", request.code or 0)
        return request

    def _converse(self, request: _Request, data: bytes) -> _Request:
        """Send, and listen until the end of the request or of the process."""
        self._busy = True
        self._wire.expects_much = request.asks
        self._wire.listen()
        try:
            # An interrupt is an item among the others, so that it is met between two of them and not in the middle of one.
            with Interrupts(self._wire.interrupt, patience=None):
                if not self._wire.send(data, lambda: self._look_at_clock(request)):
                    request.gone = self._wire.wait_gone(_BYE_S)
                while not request.over:
                    item = self._wire.next(_NUDGE_S if request.interrupts else LOOK_AGAIN_S)
                    if item is not None:
                        self._take(request, item)
                    self._look_at_clock(request)
        except BaseException:
            self._peer.kill()  # nobody knows what of the cell is still to come
            raise
        finally:
            self._wire.leave()
            self._busy = self._wire.expects_much = False
            self._last_ticks = now_ticks()
        if request.gone:
            self._clear_up()
        return request

    def _clear_up(self) -> None:
        """Nothing stays of a session whose process has ended."""
        if not self._cleared:
            self._cleared = True
            self._peer.hang_up()
            self._wire.close()

    def _take(self, request: _Request, item: Item) -> None:
        kind, number, data = item
        if kind == "output":
            request.on_output(number, data)
        elif kind == "gone":
            request.gone, request.code = True, number
        elif kind == "interrupt":
            request.interrupts += 1
            self._stop(request)
        else:
            self._hear(request, data.decode("utf-8", "surrogateescape"))

    def _hear(self, request: _Request, frame: str) -> None:
        kind, number, said, *_ = [*frame.split(" ", 2), "", ""]
        if number != str(request.number):
            return  # of an earlier request, or no answer of a driver at all
        if kind == "began" and not request.began:
            request.began = True
            self._wire.send(self._dialect.closing(request.number))
        elif kind == "ended" and said.isdecimal():
            request.code = int(said)
        elif request.asks:
            name, _, data = said.partition("=")
            request.answers.append((kind, name, data))

    def _look_at_clock(self, request: _Request) -> None:
        now = time.monotonic()
        if request.over:
            return
        if request.deadline is not None and now > request.deadline and not request.interrupts:
            request.timed_out = True
            request.interrupts += 1
            self._stop(request)
        elif request.interrupts and now - request.nudged_at > _NUDGE_S:
            self._stop(request)
        elif request.asks and now - request.nudged_at > _START_S / 10:
            # a shell that met an error has thrown away the lines that it had read ahead
            request.nudged_at = now
            self._wire.send(self._dialect.closing(request.number, 0))

    def _stop(self, request: _Request) -> None:
        """One step further: an interrupt; what the cell started is killed; the session is killed."""
        request.nudged_at = now = time.monotonic()
        request.interrupted_at = request.interrupted_at or now
        waited_s = now - request.interrupted_at
        if request.interrupts > 2 or waited_s > 2 * GRACE_S:
            self._peer.kill()
        if waited_s > 3 * GRACE_S:
            request.gone, request.code = True, 137  # not even that ends one that is frozen
        if not request.began or request.gone:
            return  # what is sent to one who has not read all of the cell might make it take the rest for something else
        if request.interrupts > 1 or waited_s > GRACE_S:
            self._peer.signal(signal.SIGKILL, request.began_ticks, leader=False)
            self._peer.signal(signal.SIGINT, now_ticks() + 1, leader=True)
        elif not request.signalled_ticks or self._dialect.insists:
            since_ticks = request.signalled_ticks or request.began_ticks
            request.signalled_ticks = now_ticks() - 1  # what begins while the others are told is told the next time
            self._peer.signal(signal.SIGINT, since_ticks, leader=True)
        self._wire.send(self._dialect.closing(request.number, 130))
