"""What a build says as lines of JSON in the shape of BuildKit's solve status, for programs that read along.

It must not know how steps are carried out. Source: BuildKit, client/graph.go (SolveStatus, Vertex, VertexLog) and --progress=rawjson.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from labcontainers.build.progress import (
    BuildEvent,
    BuildFinished,
    StepCached,
    StepCancelled,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    StepWaiting,
    title_of,
)


class RawProgress:
    """Writes one line for each event. `clock` gives nanoseconds since the epoch."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], int] = time.time_ns) -> None:
        self._write = write
        self._clock = clock
        self._vertexes: dict[int, dict[str, Any]] = {}
        self._waiting: dict[int, dict[str, Any]] = {}

    def __call__(self, event: BuildEvent) -> None:
        """Write what one event says."""
        now = _moment(self._clock())
        match event:
            case StepStarted():
                name = title_of(event)
                digest = "sha256:" + hashlib.sha256(f"{event.index} {name}".encode(errors="surrogateescape")).hexdigest()
                self._vertex(event.index, digest=digest, name=name, started=now)
            case StepCached():
                self._vertex(event.index, completed=now, cached=True)
            case StepFinished():
                self._vertex(event.index, completed=now)
            case StepFailedEvent():
                self._vertex(event.index, completed=now, error=event.message)
            case StepCancelled():
                self._vertex(event.index, completed=now, error=f"canceled: {event.message}")
            case StepWaiting():
                self._status(event.index, event.holder and f"waiting for {event.holder}", now, ended=False)
            case StepMissed():
                self._status(event.index, f"run: {event.reason}", now)
            case StepOutput():
                data = base64.b64encode(event.data).decode("ascii")
                self._line({"logs": [{"vertex": self._digest(event.index), "stream": event.stream, "data": data, "timestamp": now}]})
            case BuildFinished():
                self._finish(event, now)

    def _vertex(self, index: int, **news: Any) -> None:
        if "completed" in news:
            self._status(index, "", news["completed"])
        vertex = self._vertexes.setdefault(index, {})
        vertex.update(news)
        self._line({"vertexes": [vertex]})

    def _status(self, index: int, text: str, now: str, *, ended: bool = True) -> None:
        """A line of a step. One that has not ended does so with the step's next one, or with the step."""
        vertex = self._digest(index)
        former = self._waiting.pop(index, None)
        statuses = [] if former is None else [{**former, "timestamp": now, "completed": now}]
        if text:
            status = {"id": text, "vertex": vertex, "current": 0, "timestamp": now, "started": now}
            statuses.append({**status, "completed": now} if ended else status)
            if not ended:
                self._waiting[index] = status
        if statuses:
            self._line({"statuses": statuses})

    def _digest(self, index: int) -> str:
        return str(self._vertexes.get(index, {}).get("digest", ""))

    def _finish(self, event: BuildFinished, now: str) -> None:
        index = max(self._vertexes, default=0) + 1
        digest = "sha256:" + hashlib.sha256(f"{index} {event.image_id}".encode()).hexdigest()
        self._vertexes[index] = {"digest": digest, "name": "exporting to image", "started": now, "completed": now}
        status = {"vertex": digest, "current": 0, "timestamp": now, "started": now, "completed": now}
        names = [f"writing image {event.image_id}", *(f"naming to {tag}" for tag in event.tags)]
        self._line({"vertexes": [self._vertexes[index]], "statuses": [{"id": name, **status} for name in names]})

    def _line(self, value: dict[str, Any]) -> None:
        self._write(json.dumps(value, separators=(",", ":")) + "\n")


def _moment(nanoseconds: int) -> str:
    """RFC 3339 in UTC, with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
