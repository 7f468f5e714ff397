"""One thread for the beats of any number of widgets: it goes round among those that somebody looks at, and lives only while there are any.

It must not know what a beat does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labcontainers.widgets.pulse import Pulse

Beat = Callable[[], bool]


class Rounds:
    """Calls every beat once in `interval_s` seconds, one after the other in a thread named `name`, each until it returns False.

    A beat that raises is logged and left out until it is started again. Thread-safe.
    """

    def __init__(self, name: str, interval_s: float) -> None:
        self._name = name
        self._interval_s = interval_s
        self._lock = threading.Lock()
        # held while a beat is called, by the thread that calls it
        self._turn = threading.RLock()
        # whether a beat was started again since it was called
        self._beats: dict[Beat, bool] = {}
        self._pulse: Pulse | None = None

    def start(self, beat: Beat) -> None:
        """Call `beat` from now on, or make sure that it goes on."""
        with self._lock:
            self._beats[beat] = True
            if self._pulse is None:
                self._pulse = Pulse(self._name, self._go_round, self._interval_s)
            self._pulse.start()

    def stop(self, beat: Beat) -> None:
        """Call `beat` no more, and wait for the call in hand; with the last one the thread has ended. Waits for nothing within a beat."""
        with self._lock:
            self._beats.pop(beat, None)
            last = self._pulse if not self._beats else None
            if last is not None:
                self._pulse = None
        if last is not None:
            last.stop()
        with self._turn:
            pass

    def _go_round(self) -> bool:
        with self._lock:
            beats = list(self._beats)
        for beat in beats:
            with self._turn:
                self._call(beat)
        with self._lock:
            return bool(self._beats)

    def _call(self, beat: Beat) -> None:
        with self._lock:
            if beat not in self._beats:
                return
            self._beats[beat] = False
        try:
            more = beat()
        except Exception:
            logging.getLogger(__name__).exception("a beat of a widget failed")
            more = False
        with self._lock:
            if not more and self._beats.get(beat) is False:
                del self._beats[beat]
