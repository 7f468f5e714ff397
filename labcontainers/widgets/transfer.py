"""The progress of a pull, push, load or import: takes what is said of layers, and sends what changed, a few times a second.

It must not know what moves layers: it goes by the words of images.transfer, which are Docker's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from labcontainers.widgets.live import BEAT_S, LiveProgress
from labcontainers.widgets.messages import TransferLayer, TransferPhase, TransferState, failure_of
from labcontainers.widgets.snapshot import Snapshot, transfer_snapshot

if TYPE_CHECKING:
    from labcontainers.images.transfer import LayerProgress

Verb = Literal["pull", "push", "load", "import"]
_PHASES: dict[str, TransferPhase] = {
    "Pulling fs layer": "waiting",
    "Preparing": "preparing",
    "Downloading": "downloading",
    "Download complete": "unpacking",
    "Extracting": "unpacking",
    "Pull complete": "done",
    "Already exists": "exists",
    "Layer already exists": "exists",
    "Pushing": "pushing",
    "Pushed": "done",
    "Loading layer": "loading",
    "Importing": "importing",
}
_MOVING = ("downloading", "pushing", "loading", "importing")
_OVER = ("done", "exists", "mounted")
_MOUNTED = "Mounted from "
# A rate is that of the last seconds: shorter and it jumps, longer and it lies.
_WINDOW_S = 3.0
_GOES_ON = "what was downloaded is kept: the next pull goes on from there"


class Rate:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, now: float, count: int) -> float:
        """Note that there are `count` bytes at `now`; the rate then, 0 until two moments are known."""
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()  # it began anew
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return float(round((count - before) / (now - since))) if now > since else 0.0


class TransferProgress(LiveProgress):
    """One transfer, live: call it with each LayerProgress, display it, and call `finish` at the end. Every method is thread-safe."""

    role = "transfer"

    def __init__(self, verb: Verb, name: str = "", *, clock: Callable[[], float] = time.time, beat_s: float = BEAT_S) -> None:
        super().__init__("lab-transfer", clock, beat_s)
        self._layers: dict[str, TransferLayer] = {}
        self._rates: dict[str, Rate] = {}
        self._rate = Rate()
        self._changed: set[str] = set()
        self._changed_transfer = False
        self._transfer: TransferState = {
            "verb": verb,
            "name": name,
            "status": "running",
            "started_at": clock(),
            "duration_s": None,
            "rate": 0.0,
            "failure": None,
        }

    # --- what a transfer says

    def __call__(self, progress: LayerProgress) -> None:
        """Take what is said of one layer; never blocks for long."""
        with self._lock:
            if self.running:
                self._take(progress)

    def _take(self, progress: LayerProgress) -> None:
        phase = "mounted" if progress.status.startswith(_MOUNTED) else _PHASES.get(progress.status, "waiting")
        before = self._layers.get(progress.layer)
        if before is not None and before["phase"] == "done" and phase == "exists":
            return  # the same layer in another image of the same command
        current, total = progress.current, progress.total
        if before is not None and phase == "unpacking":
            # counted in bytes of the tar, while all else counts stored ones
            total = before["total"]
            current = max(before["current"], total)
        source = progress.status.removeprefix(_MOUNTED) if phase == "mounted" else ""
        rate = before["rate"] if before is not None and phase in _MOVING else 0.0
        self._layers[progress.layer] = {
            "id": progress.layer, "phase": phase, "current": current, "total": total, "rate": rate, "source": source,
        }  # fmt: skip
        self._changed.add(progress.layer)

    def finish(self, outcome: object = None) -> None:
        """It is over, with an error if `outcome` is one. Sends the rest; blocks until its thread has ended. Idempotent."""
        with self._lock:
            if not self.running:
                return
            took = max(0.0, self._clock() - self._transfer["started_at"])
            failed = isinstance(outcome, BaseException)
            for layer in self._layers.values():
                if layer["phase"] not in _OVER:
                    self._layers[layer["id"]] = {**layer, "phase": "stopped" if failed else "done", "rate": 0.0}
                    self._changed.add(layer["id"])
            moved = self._moved()
            self._transfer["duration_s"] = round(took, 3)
            self._transfer["rate"] = float(round(moved / took)) if moved and took else 0.0
            self._transfer["status"] = "done"
            if isinstance(outcome, BaseException):
                self._fail(outcome)
            self._changed_transfer = True
        self._end()

    def _fail(self, error: BaseException) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        self._transfer["status"] = "interrupted" if interrupted else "failed"
        self._transfer["failure"] = failure_of(error)
        if interrupted:
            hint = _GOES_ON if self._transfer["verb"] == "pull" and self._moved() else ""
            self._transfer["failure"] = {"message": "interrupted", "hint": hint}

    def _moved(self) -> int:
        """The bytes that came or went so far."""
        return sum(layer["current"] for layer in self._layers.values() if layer["phase"] not in ("exists", "mounted", "preparing"))

    # --- what is sent and shown

    def everything(self) -> dict[str, Any]:
        with self._lock:
            return {"transfer": dict(self._transfer), "layers": [dict(layer) for layer in self._layers.values()]}

    def snapshot(self) -> Snapshot:
        with self._lock:
            return transfer_snapshot(self._transfer, list(self._layers.values()), self._clock())

    @property
    def running(self) -> bool:
        return self._transfer["status"] == "running"

    def _touch(self) -> None:
        self._changed_transfer = True

    def beat(self) -> bool:
        with self._lock:
            if self.running:
                self._measure()
        return super().beat()

    def _measure(self) -> None:
        now = self._clock()
        for name, layer in self._layers.items():
            if layer["phase"] not in _MOVING:
                continue
            rate = self._rates.setdefault(name, Rate()).take(now, layer["current"])
            if rate != layer["rate"]:
                self._layers[name] = {**layer, "rate": rate}
                self._changed.add(name)
        rate = self._rate.take(now, self._moved())
        if rate != self._transfer["rate"]:
            self._transfer["rate"] = rate
            self._changed_transfer = True

    def _take_changes(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self._changed_transfer:
            data["transfer"] = dict(self._transfer)
        if self._changed:
            data["layers"] = [dict(layer) for name, layer in self._layers.items() if name in self._changed]
        self._changed.clear()
        self._changed_transfer = False
        return data


def transfer_progress(verb: Verb, name: str = "") -> TransferProgress:
    """A live progress that is displayed now. Raises Unavailable when the bundles are not built."""
    from labcontainers.widgets.plumbing import LiveWidget

    progress = TransferProgress(verb, name)
    LiveWidget(progress)  # which keeps it
    progress._ipython_display_()
    return progress
