"""The sessions of an engine: each container's by language and name, found again until they end.

It must not know what is said in them.
"""

from __future__ import annotations

import threading
from typing import Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.sessions.dialects import Dialect, dialect_of
from labcontainers.containers.sessions.peer import ContainerPeer, Peer
from labcontainers.containers.sessions.session import Session
from labcontainers.containers.state import read_start
from labcontainers.errors import Conflict, StartFailed
from labcontainers.kernel.interrupts import Interrupts

_NOT_FOUND = 127
_DEFAULT = "sh"


class Sessions:
    """Opens and keeps them. Thread-safe."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._lock = threading.RLock()
        self._open: dict[tuple[str, str, str], Session] = {}
        self._languages: dict[tuple[str, str], str] = {}

    def language_of(self, container_id: str, session_id: str) -> str:
        """What the first session of this id in the container was in; "sh" before there is one."""
        return self._languages.get((container_id, session_id), _DEFAULT)

    def find(self, container_id: str, language: str, session_id: str = "") -> Session | None:
        """The one that was opened last, even if it has ended since; None when there was none, or it was closed."""
        return self._open.get((container_id, language, session_id))

    def get(self, record: Record, language: str | None = None, session_id: str = "", **options: Any) -> Session:
        """The one that lives, or a new one. Raises InvalidArgument, StartFailed, and Conflict when the container does not run."""
        with self._lock:
            chosen = language or self.language_of(record.row.id, session_id)
            key = record.row.id, chosen, session_id
            former = self._open.get(key)
            if former is not None and former.alive:
                return former
            for other in self._open.values():
                other.tidy()
            # an interrupt in the middle of this would leave a process that nobody knows
            interrupts = Interrupts(patience=None)
            with interrupts:
                self._open[key] = self._opened(record, dialect_of(chosen), options)
            self._languages.setdefault((record.row.id, session_id), chosen)
            interrupts.give_back()
            return self._open[key]

    def _opened(self, record: Record, dialect: Dialect, options: dict[str, Any]) -> Session:
        entries = read_start(record.directory).get("environment", ())
        given = dict(entry.partition("=")[::2] for entry in entries)
        peer = self._peer(record, dialect, options)
        return Session(record.row.id, record.row.name, dialect, peer, given, lambda: self._check(record))

    def _peer(self, record: Record, dialect: Dialect, options: dict[str, Any]) -> Peer:
        for command in dialect.commands:
            try:
                return ContainerPeer(self._lifecycle, record, command, options)
            except StartFailed as error:
                if error.exit_code != _NOT_FOUND:
                    raise
        raise StartFailed(
            f"there is no {dialect.language} in container {record.row.name}", _NOT_FOUND, "choose another language, or another image"
        )

    def _check(self, record: Record) -> None:
        if self._lifecycle.state(record).status == "paused":
            raise Conflict(f"container {record.row.name} is paused", "unpause it first")

    def close(self, container_id: str | None = None, session_id: str | None = None, language: str | None = None) -> int:
        """Close those that match, all without arguments; how many there were that lived."""
        with self._lock:
            wanted = [
                key for key in self._open if container_id in (None, key[0]) and language in (None, key[1]) and session_id in (None, key[2])
            ]
            closing = [self._open.pop(key) for key in wanted]
            for key in wanted:
                self._languages.pop((key[0], key[2]), None)
        lived = sum(session.alive for session in closing)
        for session in closing:
            session.close()
        return lived
