"""What goes on, in a terminal: a build as it wants to be shown; of a pull, push or load one line for each layer, painted over on a screen.

It must not know what builds or moves layers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from labcontainers.commands.build_progress import BuildPrinter
from labcontainers.commands.screen import Screen
from labcontainers.images.transfer import LayerProgress, Transfer, Transferred

_BEAT_S = 0.1


class TerminalProgress:
    """Call it with each event of a command, and `finish` at its end; `write(stream, text)` writes to 1, standard output, or 2."""

    def __init__(self, write: Callable[[int, str], object], *, screen: bool, build: str = "plain", build_screen: bool = False) -> None:
        """`build` is how a build is shown (commands.build_progress), `build_screen` whether standard error is a screen, too."""
        self._build = BuildPrinter(build, lambda text: write(2, text), screen=build_screen)
        self._layers = TransferPainter(lambda text: write(1, text), screen=screen)

    def __call__(self, event: Any) -> None:
        """Show what one event says."""
        if isinstance(event, LayerProgress):
            self._layers(event)
        elif not isinstance(event, Transferred):
            self._build(event)

    def finish(self) -> None:
        """Leave the screen in order."""
        self._build.finish()
        self._layers.finish()


class TransferPainter:
    """Call it with each LayerProgress, and `finish` at the end. Thread-safe."""

    def __init__(self, write: Callable[[str], object], *, screen: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._screen = Screen(write) if screen else None
        self._clock = clock
        self._lock = threading.Lock()
        self._transfer = Transfer()
        self._painted_at = 0.0

    def __call__(self, progress: LayerProgress) -> None:
        """Show what one layer has come to."""
        news = self._transfer.take(progress)
        with self._lock:
            if self._screen is None:
                if news and progress.status not in ("Downloading", "Extracting", "Pushing", "Importing"):
                    self._write(progress.line() + "\n")
            elif news or self._clock() - self._painted_at >= _BEAT_S:
                self._paint()

    def finish(self) -> None:
        """Leave every layer's last line on the screen."""
        with self._lock:
            if self._screen is not None and self._transfer.layers:
                self._paint(last=True)

    def _paint(self, *, last: bool = False) -> None:
        assert self._screen is not None
        self._screen.paint(self._transfer.lines(), last=last)
        self._painted_at = self._clock()
