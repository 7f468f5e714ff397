"""The store's event log: one JSON line for each thing that happened, appended by any process; it must not know who reads.

A shim appends lines of the same form on its own (runtime.shim), so that events are told when no engine lives.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_S = 0.1
_LARGEST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is container, image, network or builder; `time_ns` is since the epoch."""

    type: str
    action: str
    id: str
    name: str
    attributes: Mapping[str, str]
    time_ns: int

    def to_line(self) -> bytes:
        """One JSON line."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Event | None:
        """From one line; None for one that a crash left incomplete."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        return self.time_ns / 1e9


class EventLog:
    """Appends are single writes with O_APPEND, so that lines of several processes never mix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: Event) -> None:
        """Add one event; a log that has grown too large becomes the old one first."""
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size > _LARGEST_BYTES:
                os.rename(self._path, self._old)
            os.write(fd, event.to_line())
        finally:
            os.close(fd)

    @property
    def _old(self) -> Path:
        return self._path.with_suffix(".old.jsonl")

    def read(self, since: float | None = None, until: float | None = None) -> Iterator[Event]:
        """Past events in order; `since` and `until` are seconds since the epoch."""
        for path in (self._old, self._path):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                event = Event.from_line(line)
                if event is not None and (since is None or event.at >= since) and (until is None or event.at <= until):
                    yield event

    def follow(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Events appended from now on, until `stop()` is true; blocks between them, looking ten times a second."""
        position, inode = self._end()
        rest = b""
        while True:
            ending = stop()
            data, position, inode = self._read_from(position, inode)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                event = Event.from_line(line)
                if event is not None:
                    yield event
            if ending:
                return
            if not data:
                time.sleep(_POLL_S)

    def _end(self) -> tuple[int, int]:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return 0, 0
        return status.st_size, status.st_ino

    def _read_from(self, position: int, inode: int) -> tuple[bytes, int, int]:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b"", position, inode
        try:
            current = os.fstat(fd).st_ino
            if current != inode:
                position = 0
            data = os.pread(fd, 1 << 20, position)
            return data, position + len(data), current
        finally:
            os.close(fd)
