"""Folders that build steps keep between builds (RUN --mount=type=cache): made once, shared or held alone, and pruned.

It must not know Dockerfiles. A folder's name is a digest of what it was asked for by, so that no id is ever a path. Whoever uses one holds
a lock on it, shared or alone; what is pruned is held by nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labcontainers.errors import Unavailable
from labcontainers.store.layout import Store

_NOTE = "cache.json"
_MOST_COPIES = 1000


@dataclass(frozen=True, slots=True)
class CacheMount:
    """A folder that is kept: `id` is what the user calls it; times in seconds since the epoch."""

    name: str
    id: str
    path: Path
    created_at: float
    used_at: float
    uses: int = 1


class CacheMounts:
    """All kept folders of a store. Several processes may use them at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._place = store.paths.caches

    @contextlib.contextmanager
    def hold(
        self, key: str, cache_id: str, sharing: str, fill: Callable[[Path], None], meanwhile: Callable[[], object] | None = None
    ) -> Iterator[Path]:
        """The folder for `key`, filled by `fill` when it is new; "locked" waits for others, "private" takes one that nobody has.

        `fill` gets a scratch directory whose `fs` it may write to; `meanwhile` is called again and again while it waits, and may raise.
        """
        name = _name(key)
        with contextlib.ExitStack() as stack:
            if sharing == "private":
                name = self._alone(name, stack)
            else:
                shared = sharing == "shared"
                note = "" if shared else str(os.getpid())
                stack.enter_context(self._store.locks.hold(_lock(name), shared=shared, meanwhile=meanwhile, note=note))
            with self._store.locks.hold(f"{_lock(name)}-making"):
                if not (self._place / name / _NOTE).exists():
                    self._make(name, cache_id, fill)
                self._count(self._place / name)
            yield self._place / name / "fs"

    def place(self, key: str) -> Path:
        """The folder for `key` that is shared, whether it is there or not."""
        return self._place / _name(key) / "fs"

    def holder(self, key: str) -> int | None:
        """The process that has the folder for `key` alone; None where nobody has, or several share it."""
        note = self._store.locks.note_of(_lock(_name(key)))
        return int(note) if note.isdecimal() else None

    def _alone(self, name: str, stack: contextlib.ExitStack) -> str:
        for number in range(_MOST_COPIES):
            copy = hashlib.sha256(f"{name} {number}".encode()).hexdigest() if number else name
            with contextlib.suppress(Unavailable):
                stack.enter_context(self._store.locks.hold(_lock(copy), timeout_s=0))
                return copy
        raise Unavailable(f"{_MOST_COPIES} steps use private copies of one cache", "wait until some have ended")

    def _make(self, name: str, cache_id: str, fill: Callable[[Path], None]) -> None:
        place = self._place / name
        if (place / _NOTE).exists():
            return
        self._remove(place)
        scratch = self._store.snapshots.new_tree()
        try:
            fill(scratch)
            place.mkdir(mode=0o700)
            self._store.worker.call("labcontainers.store.trees:move", source=str(scratch / "fs"), target=str(place / "fs"))
        finally:
            self._store.snapshots.discard(scratch)
        # last: a folder without a note is half-made
        self._write(place, {"id": cache_id, "created_at": time.time(), "uses": 0})

    @staticmethod
    def _write(place: Path, note: Mapping[str, object]) -> None:
        new = place / f"{_NOTE}.{os.getpid()}"
        new.write_text(json.dumps(note))
        os.replace(new, place / _NOTE)

    def _count(self, place: Path) -> None:
        """Note one more use, which is also the last one."""
        note = json.loads((place / _NOTE).read_text())
        self._write(place, {**note, "uses": int(note.get("uses", 0)) + 1})

    def is_held(self, name: str) -> bool:
        """Whether a step has it mounted now, of whichever process."""
        try:
            with self._store.locks.hold(_lock(name), timeout_s=0):
                return False
        except Unavailable:
            return True

    def entries(self) -> list[CacheMount]:
        """All of them, the oldest first."""
        found = []
        for place in self._place.iterdir():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                note = json.loads((place / _NOTE).read_text())
                used_at = (place / _NOTE).stat().st_mtime
                found.append(
                    CacheMount(place.name, str(note["id"]), place / "fs", float(note["created_at"]), used_at, int(note.get("uses", 1)))
                )
        return sorted(found, key=lambda one: (one.created_at, one.name))

    def prune(self, chosen: Callable[[CacheMount], bool]) -> list[str]:
        """Remove those that are chosen and that nobody uses; their names."""
        gone = []
        for one in self.entries():
            if not chosen(one):
                continue
            with contextlib.suppress(Unavailable), self._store.locks.hold(_lock(one.name), timeout_s=0):
                self._remove(self._place / one.name)
                gone.append(one.name)
        return gone

    def _remove(self, place: Path) -> None:
        gone = self._store.paths.trash / f"cache-{place.name}.{secrets.token_hex(4)}"
        try:
            os.rename(place, gone)
        except FileNotFoundError:
            return
        self._store.worker.call("labcontainers.store.trees:remove", path=str(gone))


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _lock(name: str) -> str:
    return f"cache-mount-{name}"
