"""The end of the event log, for who comes back for more: cheap while nothing has happened, however long the log is.

It must not know what events mean.
"""

from __future__ import annotations

import contextlib
import os
from io import FileIO
from pathlib import Path

from labcontainers.store.events import Event

_FIRST_BYTES = 256 << 10


class EventTail:
    """Keeps its place between calls, also when the log goes on in another file. For one caller at a time."""

    def __init__(self, path: Path, first_bytes: int = _FIRST_BYTES) -> None:
        self._path = path
        self._first_bytes = first_bytes
        self._file: FileIO | None = None
        self._rest = b""
        self._torn = False

    def read(self) -> list[Event]:
        """The events since the last call, in order; at first those of the log's last `first_bytes`."""
        if self._file is None and not self._open(self._first_bytes):
            return []
        events = self._read()
        while not self._is_current():
            # what was written after it had become the old one counts too
            events += self._read()
            self.close()
            if not self._open(None):
                break
            events += self._read()
        return events

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self, last_bytes: int | None) -> bool:
        with contextlib.suppress(FileNotFoundError):
            self._file = FileIO(self._path)
            size = os.fstat(self._file.fileno()).st_size
            if last_bytes is not None and size > last_bytes:
                self._file.seek(size - last_bytes)
                self._torn = True
        return self._file is not None

    def _read(self) -> list[Event]:
        assert self._file is not None
        data = self._file.readall()
        if not data:
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._torn and lines:
            # it began somewhere before
            del lines[0]
            self._torn = False
        return [event for line in lines if (event := Event.from_line(line)) is not None]

    def _is_current(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True
