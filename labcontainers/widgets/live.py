"""What the progress of anything that ends has in common: it sends what changed, a few times a second, until it is over.

It must not know what goes on.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labcontainers.widgets.pulse import Pulse
from labcontainers.widgets.snapshot import Snapshot

if TYPE_CHECKING:
    from labcontainers.widgets.card import Surface
    from labcontainers.widgets.plumbing import LiveWidget

BEAT_S = 0.125


class LiveProgress(ABC):
    """A plumbing.Owner of which nothing is pressed. Every method is thread-safe; subclasses hold `_lock` where they change something."""

    role: str

    def __init__(self, thread_name: str, clock: Callable[[], float], beat_s: float) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._surface: Surface | None = None
        self._pulse = Pulse(thread_name, self.beat, beat_s)

    # --- what subclasses say

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it is not over yet."""

    @abstractmethod
    def everything(self) -> dict[str, Any]:
        """All that a page must know."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """What stays without a kernel."""

    @abstractmethod
    def _take_changes(self) -> dict[str, Any]:
        """What changed since the last call; called with the lock."""

    @abstractmethod
    def _touch(self) -> None:
        """Let something be sent, whether it changed or not; called with the lock."""

    # --- the surface

    def show_on(self, surface: Surface) -> None:
        """Send to `surface` from now on."""
        self._surface = surface

    @property
    def widget(self) -> LiveWidget | None:
        """The widget it is shown by, None where only its text is."""
        from labcontainers.widgets.plumbing import LiveWidget

        return self._surface if isinstance(self._surface, LiveWidget) else None

    def replay(self) -> None:
        with self._lock:
            self.flush()
            if self._surface is not None:
                self._surface.resend(self.everything())

    def act(self, action: str) -> None:
        """There is nothing to press: the cell's interrupt stops it."""
        del action

    def watch(self, page: str, views: int) -> None:
        """While it goes on it sends anyway; afterwards an answer says that the kernel is there."""
        with self._lock:
            self._touch()
        self.flush()

    def shown(self) -> None:
        self._pulse.start()

    def close(self) -> None:
        """Stop sending; blocks until the thread has ended."""
        self._pulse.stop()

    # --- the beat

    def beat(self) -> bool:
        """Send what changed; False once it is over."""
        self.flush()
        return self.running

    def flush(self) -> None:
        """Send what changed, as one message."""
        with self._lock:
            if self._surface is None:
                return
            data = self._take_changes()
            if data:
                self._surface.update(data)

    def _end(self) -> None:
        """It is over: send the rest, and let it stay in the output. Blocks until the thread has ended."""
        self._pulse.stop()
        self.flush()
        if self._surface is not None:
            self._surface.keep(in_output=True)

    # --- how it is shown

    def __repr__(self) -> str:
        return self.snapshot().text

    def _repr_html_(self) -> str:
        return self.snapshot().html

    def _ipython_display_(self, **_: object) -> None:
        widget = self.widget
        if widget is not None:
            widget._ipython_display_()
        else:
            from IPython.display import display

            snapshot = self.snapshot()
            display({"text/plain": snapshot.text, "text/html": snapshot.html}, raw=True)
