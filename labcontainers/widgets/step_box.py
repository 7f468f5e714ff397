"""The glass box of a container that is being made step by step: it goes on when a button says so, and shows the half-made process.

It holds what is made, not the Stepper: who drops that ends it, whether it is shown or not. It must not know comms or HTML.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from labcontainers.errors import LabError
from labcontainers.widgets.glass_box import explained
from labcontainers.widgets.messages import LookGroup, StepState, failure_of
from labcontainers.widgets.snapshot import Snapshot, of_lines

if TYPE_CHECKING:
    from labcontainers.containers.stepping import Making, Stepper
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

_WORDS = {
    "waiting": "waits before the stage {stage}, as process {pid}",
    "going": "is being made",
    "running": "was made",
    "aborted": "was aborted; nothing of it is left",
    "failed": "could not be made",
}


class StepBox:
    """One Making. Every method is thread-safe, and none but `close` blocks for longer than a look at /proc."""

    role = "stepper"

    def __init__(self, making: Making) -> None:
        self._making = making
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._explanation = making.explain()
        self._step = self._state()
        making.listeners.append(self._changed)

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    # --- what a page or a display says (plumbing.Owner)

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {"explained": explained(self._explanation), "step": self._step}

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())

    def act(self, action: str) -> None:
        """A button: next, finish or abort."""
        if action == "next":
            self._making.go_on(None)
        elif action == "finish":
            self._making.go_on("")
        elif action == "abort":
            self._making.ask_to_abort()

    def watch(self, page: str, views: int) -> None:
        """An answer tells the page that the kernel is there."""
        with self._lock:
            if views > 0 and self._surface is not None:
                self._surface.update({})

    def shown(self) -> None:
        """What happened before it was shown is known already."""

    def snapshot(self) -> Snapshot:
        with self._lock:
            step, explanation = self._step, self._explanation
        title = f"{explanation.name} {_WORDS[step['status']].format(**step)}"
        failure = f": {step['failure']['message']}" if step["failure"] else ""
        return of_lines(f"{title}{failure}", explanation.brief())

    def close(self) -> None:
        """Hear no more. What is half made stays as it is, and with whoever has the Stepper."""
        if self._changed in self._making.listeners:
            self._making.listeners.remove(self._changed)

    # --- what changes

    def _changed(self) -> None:
        with self._lock:
            # of what is gone nothing can be read: what was known last stays
            self._explanation = self._making.explain() or self._explanation
            self._step = self._state()
            if self._surface is None:
                return
            self._surface.update(self.everything())
            over = self._step["status"] in ("running", "aborted", "failed")
        if over:
            self._surface.keep(in_output=True)

    def _state(self) -> StepState:
        making = self._making
        look: list[LookGroup] = []
        if making.status == "waiting":
            try:
                look = [{"title": title, "rows": list(rows)} for title, rows in making.look().groups()]
            except LabError:
                look = []
        error = making.error
        return {
            "status": making.status,
            "stage": making.stage,
            "pid": making.pid,
            "look": look,
            "failure": failure_of(error) if error is not None else None,
        }


def show_stepper(stepper: Stepper) -> LiveWidget:
    """The live glass box of a Stepper, to be displayed: the same while it is open. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import OPEN, LiveWidget

    making = stepper.making
    return OPEN.find_or_open(f"steps of {making.container.id} {id(making)}", lambda: LiveWidget(StepBox(making)))
