"""The store's event log: one JSON line for each thing that happened, appended by any process; it must not know who reads.

A shim appends lines of the same form on its own (runtime.shim), so that events are told when no engine lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from labcontainers.kernel.lean import dumps
from labcontainers.store.space import FULL

_POLL_S = 0.1
_LARGEST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is container, image, network or volume; `time_ns` is since the epoch."""

    type: str
    action: str
    id: str
    name: str
    attributes: Mapping[str, str]
    time_ns: int

    def to_line(self) -> bytes:
        """One JSON line."""
        values = {"type": self.type, "action": self.action, "id": self.id, "name": self.name}
        return dumps({**values, "attributes": dict(self.attributes), "time_ns": self.time_ns}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Event | None:
        """From one line; None for one that a crash left incomplete. Keys of newer versions are left out."""
        try:
            value = json.loads(line)
            kind, action, thing, name, time_ns = (value[key] for key in ("type", "action", "id", "name", "time_ns"))
            return cls(str(kind), str(action), str(thing), str(name), dict(value["attributes"]), int(time_ns))
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        return self.time_ns / 1e9

    def _repr_html_(self) -> str:
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = ", ".join(f"{key}={value}" for key, value in self.attributes.items())
        what = f"{html.escape(f'{self.type} {self.action}')} <b>{html.escape(self.name or self.id)}</b>"
        return f"{when} {what} <span style='opacity:.7'>{html.escape(about)}</span>"


class EventLog:
    """Appends are single writes with O_APPEND, so that lines of several processes never mix.

    A log larger than `largest_bytes` becomes the old one, of which there is one at a time.
    """

    def __init__(self, path: Path, largest_bytes: int = _LARGEST_BYTES) -> None:
        self._path = path
        self._largest_bytes = largest_bytes

    @property
    def _old(self) -> Path:
        return self._path.with_suffix(".old.jsonl")

    def append(self, event: Event) -> None:
        """Add one event; a full disk loses it, and what has happened has happened all the same."""
        try:
            self._append(event)
        except OSError as error:
            if error.errno not in FULL:
                raise

    def append_prune(self, kind: str, reclaimed_bytes: int) -> None:
        """Tell that everything of a kind that nobody needs was removed, and how many bytes became free."""
        self.append(Event(kind, "prune", "", "", {"reclaimed": str(reclaimed_bytes)}, time.time_ns()))

    def _append(self, event: Event) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            line = event.to_line()
            if size and os.pread(fd, 1, size - 1) != b"\n":
                # Somebody died in the middle of a line: it must not take this one with it.
                line = b"\n" + line
            os.write(fd, line)
            if size > self._largest_bytes:
                self._rotate(fd)
        finally:
            os.close(fd)

    def _rotate(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who comes second finds another file at this name, and leaves it alone.
            if os.stat(self._path).st_ino == os.fstat(fd).st_ino:
                os.rename(self._path, self._old)

    def read(self, since: float | None = None, until: float | None = None) -> Iterator[Event]:
        """Past events in order; `since` and `until` are seconds since the epoch."""
        with contextlib.ExitStack() as stack:
            files: list[BinaryIO] = []
            # The new one first: were the log to become the old one in between, it would be read twice and not never.
            for path in (self._path, self._old):
                with contextlib.suppress(FileNotFoundError):
                    files.insert(0, stack.enter_context(open(path, "rb")))
            if len(files) == 2 and os.path.sameopenfile(files[0].fileno(), files[1].fileno()):
                files.pop()
            for line in (line for file in files for line in file):
                event = Event.from_line(line)
                if event is not None and (since is None or event.at >= since) and (until is None or event.at <= until):
                    yield event

    def follow(self, stop: Callable[[], bool], since: float | None = None) -> Generator[Event, None, None]:
        """Events appended from this call on, until `stop()` is true; blocks between them, looking ten times a second.

        With `since` (seconds since the epoch), those come first that there have been since then.
        """
        # Made here if it is not there, so that it is held before it can become the old one.
        os.close(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
        file = self._open()
        if since is None:
            if file is not None:
                file.seek(0, os.SEEK_END)
            return self._follow(file, stop)
        return self._follow_since(self._old_lines(file), self._follow(file, stop), since)

    def _old_lines(self, current: FileIO | None) -> list[bytes]:
        """What is in the log before `current`, which may be the old one meanwhile."""
        with contextlib.suppress(FileNotFoundError), open(self._old, "rb") as old:
            if current is None or not os.path.sameopenfile(old.fileno(), current.fileno()):
                return old.readlines()
        return []

    def _follow_since(self, old: list[bytes], coming: Generator[Event, None, None], since: float) -> Generator[Event, None, None]:
        with contextlib.closing(coming):
            past = (event for line in old if (event := Event.from_line(line)) is not None)
            yield from (event for event in chain(past, coming) if event.at >= since)

    def _follow(self, file: FileIO | None, stop: Callable[[], bool]) -> Generator[Event, None, None]:
        rest = b""
        late = False
        try:
            while True:
                ending = stop()
                file = file or self._open()
                data = file.readall() if file is not None else b""
                *lines, rest = (rest + data).split(b"\n")
                yield from (event for line in lines if (event := Event.from_line(line)) is not None)
                is_old = file is not None and not self._is_current(file)
                if file is not None and is_old and (late or ending):
                    file.close()
                    file, rest, late = self._open(), b"", False
                    continue
                # Who opened the log before it became the old one may still write to it: look once more before leaving it.
                late = is_old
                if ending:
                    return
                if not data:
                    time.sleep(_POLL_S)
        finally:
            if file is not None:
                file.close()

    def _open(self) -> FileIO | None:
        try:
            return FileIO(self._path)
        except FileNotFoundError:
            return None

    def _is_current(self, file: FileIO) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False
