"""One SQLite database for several threads and processes, brought to its newest schema; it must not know what is in it.

WAL with synchronous=NORMAL, so that nothing waits for the disk on the way of a start: a crash of the process loses nothing, a crash
of the machine may lose the last transactions but keeps their order. Source: sqlite.org/wal.html.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labcontainers.errors import Failed, LabError, Unavailable, Unsupported

_BUSY_MS = 10_000


@dataclass(slots=True)
class _Connection:
    """One thread's connection; the lock keeps close() from pulling it away under a statement."""

    sqlite: sqlite3.Connection
    thread: threading.Thread
    pid: int
    lock: threading.RLock = field(default_factory=threading.RLock)
    closed: bool = False


class Database:
    """The database at `path`, made if it is not there. Each thread has a connection of its own; close() closes them all.

    `migrations` are scripts, one for each version of the schema: the first makes the first version. Raises Unsupported when the
    database is newer than the last one.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._closed = False
        try:
            self._migrate(migrations)
        except BaseException:
            self.close()
            raise

    def _mine(self) -> _Connection:
        mine: _Connection | None = getattr(self._local, "connection", None)
        # A connection must not be used, nor closed, in a fork of the process that opened it (sqlite.org/howtocorrupt.html, 2.6).
        if mine is None or mine.pid != os.getpid():
            mine = self._connect()
            self._local.connection = mine
        return mine

    def _connect(self) -> _Connection:
        with self._lock:
            if self._closed:
                raise _closed()
            own = os.getpid()
            for other in [other for other in self._connections if other.pid == own and not other.thread.is_alive()]:
                self._connections.remove(other)
                other.sqlite.close()
            made = _Connection(_open(self._path), threading.current_thread(), own)
            self._connections.append(made)
            return made

    @contextlib.contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, with SQLite's own errors mapped; IntegrityError is for those who know what it means."""
        mine = self._mine()
        with mine.lock:
            if mine.closed:
                raise _closed()
            try:
                yield mine.sqlite
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise _mapped(error, self._path) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything or nothing, alone among all processes."""
        with self.use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.use() as connection:
            if connection.execute("PRAGMA user_version").fetchone() == (len(migrations),):
                return
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(migrations):
                where = self._path.parent
                raise Unsupported(f"the store at {where} was made by a newer version", "upgrade labcontainers, or use another root")
            for script in migrations[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(migrations)}")

    def close(self) -> None:
        """Close every thread's connection, when its statement has ended. Idempotent."""
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, []
        own = os.getpid()
        for connection in connections:
            if connection.pid == own:
                with connection.lock:
                    connection.closed = True
                    connection.sqlite.close()

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the database."""
        with self.use() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + _BUSY_MS / 1000
    try:
        while True:
            try:
                # SQLite does not wait for others here, and on a new database everybody changes the mode at once.
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        connection.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error as error:
        connection.close()
        raise _mapped(error, path) from error
    return connection


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _closed() -> Unavailable:
    return Unavailable("the store is closed", "make a new Engine")


def _mapped(error: sqlite3.Error, path: Path) -> LabError:
    if _is_busy(error):
        return Unavailable(f"the store's database {path} was busy for {_BUSY_MS // 1000} s", "another process is at work on it: try again")
    return Failed(f"the store's database {path} failed: {error}", "is its disk full, or read-only?")
