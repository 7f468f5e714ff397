"""Folders that last as long as a build, in the store, which sweeps those of dead processes; it must not know what they are for."""

from __future__ import annotations

import threading
from pathlib import Path

from labcontainers.store.layout import Store


class Places:
    """The folders of one build. Thread-safe; close it at the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._made: list[Path] = []

    def new(self) -> Path:
        """An empty folder that nobody else can enter."""
        scratch = self._store.snapshots.new_tree()
        with self._lock:
            self._made.append(scratch)
        return scratch / "fs"

    def close(self) -> None:
        """Remove them all. Idempotent."""
        with self._lock:
            made, self._made = self._made, []
        for scratch in made:
            self._store.snapshots.discard(scratch)
