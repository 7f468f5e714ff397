"""What the views of a running container have in common: a value that can be looked at again, once a second while somebody looks.

Of what was read, only what changed is sent. It must not know comms or HTML, nor what is looked at.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from labcontainers.errors import Conflict, NotFound
from labcontainers.widgets.messages import ViewBatch, ViewState, failure_of
from labcontainers.widgets.rounds import Rounds
from labcontainers.widgets.snapshot import Snapshot, of_lines
from labcontainers.widgets.watchers import Watchers

if TYPE_CHECKING:
    from labcontainers.widgets.card import Surface

BEAT_S = 1.0
KEEP_EVERY_S = 10.0

ROUNDS = Rounds("lab-views", BEAT_S)


class Looked(Protocol):
    """What is looked at: ProcessTree and ControlGroup are such."""

    @property
    def name(self) -> str: ...

    def again(self) -> Self: ...

    def brief(self) -> list[str]: ...


Value = TypeVar("Value", bound=Looked)


class LiveView(ABC, Generic[Value]):
    """A plumbing.Owner of which nothing is pressed. All methods may be called from any thread, and none but `close` blocks."""

    role: str

    def __init__(
        self,
        value: Value,
        *,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
        rounds: Rounds = ROUNDS,
    ) -> None:
        self._value = value
        self._clock = clock
        self._rounds = rounds
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._state: ViewState = {"status": "live", "failure": None}
        self._parts = self.parts(value)
        self._read_at = clock()
        self._keep_at = self._read_at + KEEP_EVERY_S
        self._watchers = Watchers(busy, time.monotonic)
        self._closed = False

    @abstractmethod
    def parts(self, value: Value) -> dict[str, Any]:
        """What a page needs of a value, in parts that are compared and sent by themselves."""

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {"name": self._value.name, "state": self._state, "parts": {"changed": self._parts, "gone": []}}

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())
        self._watchers.expect()
        self._wake()

    def act(self, action: str) -> None:
        """There is nothing to press."""
        del action

    def watch(self, page: str, views: int) -> None:
        self._watchers.tell(page, views)
        if views > 0:
            self._wake()
            with self._lock:
                # an answer, so that the page knows that somebody is here
                self._send({"state": self._state})

    def shown(self) -> None:
        self._watchers.expect()
        self._wake()

    def snapshot(self) -> Snapshot:
        with self._lock:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._read_at))
            told = {"live": f"as of {at}", "ended": f"before {self._value.name} ended, {at}", "removed": f"before it was removed, {at}"}
            words = told[self._state["status"]]
            return of_lines("", [*self._value.brief(), f"({words})"])

    def close(self) -> None:
        """Look no more; waits for the look in hand."""
        self._closed = True
        self._rounds.stop(self.beat)

    # --- the beat

    def _wake(self) -> None:
        if not self._closed:
            self._rounds.start(self.beat)

    def beat(self) -> bool:
        """Look again, and send what changed; False when nobody looks any more, or there is nothing left to see."""
        if self._closed:
            return False
        self._look()
        return self._state["status"] != "removed" and self._watchers.anyone()

    def _look(self) -> None:
        try:
            value = self._value.again()
        except NotFound:
            self._become("removed")
        except Conflict:
            self._become("ended")
        except Exception as error:
            # whatever went wrong is the reader's to see, and must not end the looks
            self._become("live", error)
        else:
            self._take(value)

    def _take(self, value: Value) -> None:
        parts, now = self.parts(value), self._clock()
        with self._lock:
            self._become("live")
            changed = {name: part for name, part in parts.items() if self._parts.get(name) != part}
            gone = [name for name in self._parts if name not in parts]
            self._value, self._parts, self._read_at = value, parts, now
            if changed or gone:
                batch: ViewBatch = {"changed": changed, "gone": gone}
                self._send({"parts": batch})
            surface = self._surface if now >= self._keep_at else None
        if surface is not None:
            self._keep_at = now + KEEP_EVERY_S
            surface.keep(in_output=False)

    def _become(self, status: str, error: Exception | None = None) -> None:
        state: ViewState = {"status": status, "failure": None if error is None else failure_of(error)}
        with self._lock:
            if state == self._state:
                return
            self._state = state
            self._send({"state": state})
            surface = self._surface
        if surface is not None and status != "live":
            surface.keep(in_output=True)

    def _send(self, data: dict[str, Any]) -> None:
        if self._surface is not None:
            self._surface.update(data)
