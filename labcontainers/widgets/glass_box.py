"""The glass box: a container that is assembled before the reader's eyes, operation by operation; a walk that needs no kernel.

All data are in the first message; who shares which namespaces can be asked for again. It must not know comms or HTML: those are
plumbing's and the explanation's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labcontainers.containers.explain.parts import parts_of
from labcontainers.containers.planning.stages import STAGES
from labcontainers.errors import LabError
from labcontainers.units import format_duration
from labcontainers.widgets.messages import Explained, ExplainedOperation, Sharing, SharingSubject
from labcontainers.widgets.snapshot import Snapshot, of_lines

if TYPE_CHECKING:
    from labcontainers.containers.explain.explanation import Explanation, Operation
    from labcontainers.containers.isolation.namespace_map import NamespaceMap
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

# letters of one operation's arguments that are sent at most
LONGEST = 2000


class GlassBox:
    """An explanation as a walk. Every method is thread-safe."""

    role = "explain"

    def __init__(self, explanation: Explanation, clock: Callable[[], float] = time.time) -> None:
        self._explanation = explanation
        self._clock = clock
        self._sharing: Sharing | None = None
        self._lock = threading.RLock()
        self._surface: Surface | None = None

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    def everything(self) -> dict[str, Any]:
        with self._lock:
            if self._sharing is None:
                self._sharing = self._look()
            return {"explained": explained(self._explanation), "step": None, "sharing": self._sharing}

    def replay(self) -> None:
        with self._lock:
            if self._surface is not None:
                self._surface.resend(self.everything())

    def act(self, action: str) -> None:
        """To walk, a page needs nobody; "sharing" is another look at who shares which namespaces."""
        if action == "sharing":
            sharing = self._look()
            with self._lock:
                self._sharing = sharing
                if self._surface is not None:
                    self._surface.update({"sharing": sharing})

    def _look(self) -> Sharing | None:
        """Who shares which namespaces now; what was known before, where that cannot be told any more."""
        look = self._explanation.sharing
        try:
            return None if look is None else sharing_of(look(), self._clock())
        except (LabError, OSError):
            return self._sharing

    def watch(self, page: str, views: int) -> None:
        """Nothing changes by itself."""
        del page, views

    def shown(self) -> None:
        """Nothing is to be begun."""

    def snapshot(self) -> Snapshot:
        return of_lines("", self._explanation.brief())

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


def sharing_of(found: NamespaceMap, at: float) -> Sharing:
    """What a page needs of a namespace map."""
    shades = found.shades()
    subjects: list[SharingSubject] = []
    for subject in found:
        inodes = [subject.namespaces.get(kind, 0) for kind in found.kinds]
        cells = [(inode, shades.get((kind, inode), 0)) for kind, inode in zip(found.kinds, inodes, strict=True)]
        subjects.append({"name": subject.name, "kind": subject.kind, "pids": list(subject.pids), "cells": cells})
    return {"time": at, "kinds": list(found.kinds), "subjects": subjects, "unseen": found.unseen}


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
