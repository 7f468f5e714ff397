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
from labcontainers.store.space import no_space

_BUSY_MS = 10_000
# Connections that stay open while nobody uses them.
_KEPT = 4


@dataclass(slots=True, eq=False)
class _Connection:
    """A connection; its lock is held by the thread that uses it just now, and by close() at the end."""

    sqlite: sqlite3.Connection
    pid: int
    lock: threading.RLock = field(default_factory=threading.RLock)


class Database:
    """The database at `path`, made if it is not there. Each thread uses a connection alone; close() closes them all.

    `migrations` are scripts, one for each version of the schema: the first makes the first version. Raises Unsupported when the
    database is newer than the last one.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._closed = False
        try:
            self._migrate(migrations)
        except BaseException:
            self.close()
            raise

    def _take(self) -> _Connection:
        """A connection whose lock this thread holds from now on: the one that it uses already, a free one, or a new one."""
        own = os.getpid()
        with self._lock:
            if self._closed:
                raise _closed()
            for free in self._connections:
                # One must not be used, nor closed, in a fork of the process that opened it (sqlite.org/howtocorrupt.html, 2.6).
                if free.pid == own and free.lock.acquire(blocking=False):
                    return free
        made = _Connection(_open(self._path), own)
        made.lock.acquire()
        with self._lock:
            if not self._closed:
                self._connections.append(made)
                return made
        made.sqlite.close()
        raise _closed()

    def _give_back(self, used: _Connection) -> None:
        with self._lock:
            if len(self._connections) > _KEPT and not used.sqlite.in_transaction and used in self._connections:
                # Many threads were here at once.
                self._connections.remove(used)
                used.sqlite.close()
        used.lock.release()

    @contextlib.contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone, with SQLite's own errors mapped; IntegrityError is for those who know what it means."""
        taken = self._take()
        try:
            yield taken.sqlite
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise _mapped(error, self._path) from error
        finally:
            self._give_back(taken)

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
        """Close every connection, when its statement has ended. Idempotent."""
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, []
        own = os.getpid()
        for connection in connections:
            if connection.pid == own:
                with connection.lock:
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
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return no_space(str(path))
    return Failed(f"the store's database {path} failed: {error}", "is its disk full, or read-only?")
