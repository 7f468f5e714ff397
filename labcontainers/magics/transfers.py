"""What a cell shows of a pull, push, load or import: the widget, or where there is none, its text and HTML updated in place.

It must not know what moves the layers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.images.transfer import Transferred, is_address

if TYPE_CHECKING:
    from labcontainers.widgets.transfer import TransferProgress, Verb

# An output that is replaced is drawn anew as a whole.
_BEAT_S = 0.25


class TransferDisplay:
    """Call it with each event of a command, and `finish` at the end. Thread-safe; shown with the first LayerProgress."""

    def __init__(self, verb: Verb, name: str) -> None:
        self._verb: Verb = verb
        self._name = name
        self._lock = threading.Lock()
        self._progress: TransferProgress | None = None

    def show(self) -> TransferDisplay:
        """Show it now; itself."""
        with self._lock:
            if self._progress is None:
                self._progress = _shown(self._verb, self._name)
        return self

    def __call__(self, event: Any) -> None:
        """Take one event."""
        if isinstance(event, Transferred):
            self.finish()
            return
        self.show()
        if self._progress is not None:
            self._progress(event)

    def finish(self, outcome: object = None) -> None:
        """It is over, with an error if `outcome` is one; what ends after the transfer's own end changes nothing."""
        if self._progress is not None:
            self._progress.finish(outcome)


class InPlace:
    """One output that is updated in place, as HTML and as text; it needs no JavaScript."""

    def __init__(self, progress: TransferProgress) -> None:
        from IPython.display import DisplayHandle

        self._progress = progress
        self._handle = DisplayHandle()
        self._handle.display(self._forms(), raw=True)

    def _forms(self) -> dict[str, str]:
        snapshot = self._progress.snapshot()
        return {"text/plain": snapshot.text, "text/html": snapshot.html}

    def update(self, data: Mapping[str, Any]) -> None:
        """Something changed."""
        self._handle.update(self._forms(), raw=True)

    def resend(self, data: Mapping[str, Any]) -> None:
        """Nobody asks."""

    def keep(self, *, in_output: bool) -> None:
        """What is shown is what is saved."""


def _shown(verb: Verb, name: str) -> TransferProgress:
    from labcontainers.magics.display import shows_widgets
    from labcontainers.widgets.transfer import TransferProgress, transfer_progress

    if shows_widgets():
        return transfer_progress(verb, name)
    progress = TransferProgress(verb, name, beat_s=_BEAT_S)
    progress.show_on(InPlace(progress))
    progress.shown()
    return progress


def display_of(command: str, arguments: Mapping[str, Any]) -> TransferDisplay | None:
    """What shows how a command gets on, None for one that moves no layers."""
    if command in ("pull", "run", "create"):
        return TransferDisplay("pull", str(arguments["image"] or ""))
    # these are first told of in threads, whose outputs belong to no cell
    if command == "push":
        return TransferDisplay("push", str(arguments["image"])).show()
    if command == "load":
        return TransferDisplay("load", str(arguments["input"] or "")).show()
    if command == "import" and is_address(arguments["file"]):
        # nothing of the address but its last word: it may hold a password
        return TransferDisplay("import", arguments["repository"] or arguments["file"].partition("?")[0].rpartition("/")[2])
    return None
