"""The glass box: a container that is assembled before the reader's eyes, operation by operation; a walk that needs no kernel.

All data are in the first message. It must not know comms or HTML: those are plumbing's and the explanation's own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from labcontainers.containers.explain.parts import parts_of
from labcontainers.containers.planning.stages import STAGES
from labcontainers.units import format_duration
from labcontainers.widgets.messages import Explained, ExplainedOperation
from labcontainers.widgets.snapshot import Snapshot

if TYPE_CHECKING:
    from labcontainers.containers.explain.explanation import Explanation, Operation
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

# letters of one operation's arguments that are sent at most
LONGEST = 2000


class GlassBox:
    """An explanation as a walk. Every method is thread-safe."""

    role = "explain"

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation
        self._lock = threading.RLock()
        self._surface: Surface | None = None

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    def everything(self) -> dict[str, Any]:
        return {"explained": explained(self._explanation), "step": None}

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())

    def act(self, action: str) -> None:
        """The page needs nobody to walk."""
        del action

    def watch(self, page: str, views: int) -> None:
        """Nothing changes."""
        del page, views

    def shown(self) -> None:
        """Nothing is to be begun."""

    def snapshot(self) -> Snapshot:
        return Snapshot(repr(self._explanation), self._explanation._repr_html_())

    def close(self) -> None:
        """There is no thread."""


def explained(explanation: Explanation) -> Explained:
    """What a page needs of an explanation."""
    return {
        "name": explanation.name,
        "summary": summary_of(explanation),
        "planned": explanation.planned,
        "made": explanation.made,
        "docker": explanation.docker,
        "shell": explanation.shell,
        "stages": [{"name": stage.name, "title": stage.title, "note": stage.note} for stage in STAGES],
        "operations": [_operation(operation) for operation in explanation],
    }


def summary_of(explanation: Explanation) -> str:
    """How many operations there are, and how long all took together."""
    count = f"{len(explanation)} operations"
    return count if explanation.planned else f"{count}, {format_duration(explanation.duration_us / 1e6)}"


def _operation(operation: Operation) -> ExplainedOperation:
    return {
        "name": operation.name,
        "by": operation.by,
        "man_page": operation.man_page,
        "text": operation.arguments[:LONGEST],
        "note": operation.note,
        "result": operation.result,
        "failed": operation.failed,
        "duration_us": operation.duration_us,
        "stage": operation.stage,
        "parts": parts_of(operation.name, operation.values),
    }


def show_explanation(explanation: Explanation) -> LiveWidget:
    """The walk through an explanation, to be displayed. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import LiveWidget

    return LiveWidget(GlassBox(explanation))
