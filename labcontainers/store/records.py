"""What must be found by name: rows of one SQLite database, shared by all processes that use the store; it must not know their meaning.

WAL with synchronous=NORMAL: a crash of the process loses nothing, a crash of the machine may lose the last rows but never order.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labcontainers.errors import Conflict, Unavailable, Unsupported

_BUSY_MS = 10_000

# One script for each version of the schema; a database is brought from its user_version to the last one.
_MIGRATIONS = (
    """
    CREATE TABLE manifests (manifest_digest TEXT PRIMARY KEY, config_digest TEXT NOT NULL, size_bytes INTEGER NOT NULL,
                            created_at REAL NOT NULL);
    CREATE TABLE images (reference TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL, config_digest TEXT NOT NULL, created_at REAL NOT NULL);
    CREATE TABLE layers (chain_id TEXT PRIMARY KEY, diff_id TEXT NOT NULL, parent_chain_id TEXT NOT NULL, size_bytes INTEGER NOT NULL,
                         created_at REAL NOT NULL);
    CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT NOT NULL, image_id TEXT NOT NULL,
                             document TEXT NOT NULL, created_at REAL NOT NULL);
    CREATE TABLE cache (key TEXT PRIMARY KEY, result TEXT NOT NULL, created_at REAL NOT NULL, used_at REAL NOT NULL);
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, driver TEXT NOT NULL, document TEXT NOT NULL);
    CREATE TABLE addresses (network_id TEXT NOT NULL, address TEXT NOT NULL, container_id TEXT NOT NULL, PRIMARY KEY (network_id, address));
    CREATE INDEX addresses_of_container ON addresses (container_id);
    CREATE INDEX images_of_config ON images (config_digest);
    """,
)


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A canonical reference and what it names."""

    reference: str
    manifest_digest: str
    config_digest: str
    created_at: float


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest in the store, tagged or not; `size_bytes` is that of its layers as tar."""

    manifest_digest: str
    config_digest: str
    size_bytes: int
    created_at: float


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer's tree in the store; `size_bytes` is that of its canonical tar."""

    chain_id: str
    diff_id: str
    parent_chain_id: str
    size_bytes: int
    created_at: float


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A container; `image` is what the user wrote, `document` opaque JSON."""

    id: str
    name: str
    image: str
    image_id: str
    document: str
    created_at: float


@dataclass(frozen=True, slots=True)
class CacheRow:
    """A build step's result; `result` is opaque JSON."""

    key: str
    result: str
    created_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network; `document` is opaque JSON."""

    id: str
    name: str
    driver: str
    document: str


Row = TypeVar("Row")


class Records:
    """All rows. Thread-safe: each thread has a connection of its own; close() closes them all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False
        self._migrate()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._closed:
                raise Unavailable("the store is closed", "make a new Engine")
            connection = sqlite3.connect(self._path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def _migrate(self) -> None:
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(_MIGRATIONS):
                where = self._path.parent
                raise Unsupported(f"the store at {where} was made by a newer version", "upgrade labcontainers, or use another root")
            for script in _MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close every thread's connection. Idempotent."""
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._local = threading.local()

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the database."""
        found = [row[0] for row in self._connection().execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def _all(self, kind: Callable[..., Row], query: str, *values: Any) -> list[Row]:
        return [kind(*row) for row in self._connection().execute(query, values).fetchall()]

    def _one(self, kind: Callable[..., Row], query: str, *values: Any) -> Row | None:
        row = self._connection().execute(query, values).fetchone()
        return None if row is None else kind(*row)

    def _write(self, statement: str, *values: Any) -> None:
        self._connection().execute(statement, values)

    # --- images

    def put_manifest(self, manifest_digest: str, config_digest: str, size_bytes: int, created_at: float) -> None:
        """Keep a manifest, whether it is tagged or not. Idempotent."""
        self._write("INSERT OR IGNORE INTO manifests VALUES (?, ?, ?, ?)", manifest_digest, config_digest, size_bytes, created_at)

    def find_manifest(self, manifest_digest: str) -> ManifestRow | None:
        return self._one(ManifestRow, "SELECT * FROM manifests WHERE manifest_digest = ?", manifest_digest)

    def list_manifests(self) -> list[ManifestRow]:
        return self._all(ManifestRow, "SELECT * FROM manifests ORDER BY created_at")

    def remove_manifest(self, manifest_digest: str) -> None:
        self._write("DELETE FROM manifests WHERE manifest_digest = ?", manifest_digest)

    def put_image(self, reference: str, manifest_digest: str, config_digest: str, created_at: float) -> None:
        """Let a canonical reference name a manifest; it may have named another one."""
        self._write("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", reference, manifest_digest, config_digest, created_at)

    def find_image(self, reference: str) -> ImageRow | None:
        return self._one(ImageRow, "SELECT * FROM images WHERE reference = ?", reference)

    def list_images(self) -> list[ImageRow]:
        return self._all(ImageRow, "SELECT * FROM images ORDER BY reference")

    def remove_image(self, reference: str) -> None:
        self._write("DELETE FROM images WHERE reference = ?", reference)

    # --- layers

    def put_layer(self, chain_id: str, diff_id: str, parent_chain_id: str, size_bytes: int, created_at: float) -> None:
        """Keep a layer. Idempotent."""
        self._write("INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?)", chain_id, diff_id, parent_chain_id, size_bytes, created_at)

    def find_layer(self, chain_id: str) -> LayerRow | None:
        return self._one(LayerRow, "SELECT * FROM layers WHERE chain_id = ?", chain_id)

    def list_layers(self) -> list[LayerRow]:
        return self._all(LayerRow, "SELECT * FROM layers ORDER BY created_at")

    def remove_layer(self, chain_id: str) -> None:
        self._write("DELETE FROM layers WHERE chain_id = ?", chain_id)

    # --- containers

    def put_container(self, row: ContainerRow) -> None:
        """Add a container; raises Conflict, naming the owner, when its name is in use."""
        try:
            self._write(
                "INSERT INTO containers VALUES (?, ?, ?, ?, ?, ?)",
                row.id, row.name, row.image, row.image_id, row.document, row.created_at,
            )  # fmt: skip
        except sqlite3.IntegrityError:
            raise self._name_in_use(row.name) from None

    def _name_in_use(self, name: str) -> Conflict:
        owner = self.find_container_by_name(name)
        who = f" by container {owner.id[:12]}" if owner else ""
        return Conflict(f"the container name {name!r} is already in use{who}", "remove or rename that container, or choose another name")

    def find_container(self, container_id: str) -> ContainerRow | None:
        return self._one(ContainerRow, "SELECT * FROM containers WHERE id = ?", container_id)

    def find_container_by_name(self, name: str) -> ContainerRow | None:
        return self._one(ContainerRow, "SELECT * FROM containers WHERE name = ?", name)

    def list_containers(self) -> list[ContainerRow]:
        return self._all(ContainerRow, "SELECT * FROM containers ORDER BY created_at")

    def rename_container(self, container_id: str, name: str) -> None:
        """Give a container another name; raises Conflict when it is in use."""
        try:
            self._write("UPDATE containers SET name = ? WHERE id = ?", name, container_id)
        except sqlite3.IntegrityError:
            raise self._name_in_use(name) from None

    def remove_container(self, container_id: str) -> None:
        self._write("DELETE FROM containers WHERE id = ?", container_id)

    # --- build cache

    def put_cache(self, key: str, result: str, created_at: float) -> None:
        """Keep a step's result under its key."""
        self._write("INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?)", key, result, created_at, created_at)

    def find_cache(self, key: str) -> CacheRow | None:
        return self._one(CacheRow, "SELECT * FROM cache WHERE key = ?", key)

    def touch(self, key: str, used_at: float) -> None:
        """Note that a result was used."""
        self._write("UPDATE cache SET used_at = ? WHERE key = ?", used_at, key)

    def list_cache(self) -> list[CacheRow]:
        return self._all(CacheRow, "SELECT * FROM cache ORDER BY used_at")

    def remove_cache(self, key: str) -> None:
        self._write("DELETE FROM cache WHERE key = ?", key)

    # --- networks

    def put_network(self, row: NetworkRow) -> None:
        """Add a network; raises Conflict when its name is in use."""
        try:
            self._write("INSERT INTO networks VALUES (?, ?, ?, ?)", row.id, row.name, row.driver, row.document)
        except sqlite3.IntegrityError:
            raise Conflict(f"a network named {row.name!r} exists already", "remove it, or choose another name") from None

    def find_network(self, name: str) -> NetworkRow | None:
        return self._one(NetworkRow, "SELECT * FROM networks WHERE name = ?", name)

    def list_networks(self) -> list[NetworkRow]:
        return self._all(NetworkRow, "SELECT * FROM networks ORDER BY name")

    def remove_network(self, name: str) -> None:
        self._write("DELETE FROM networks WHERE name = ?", name)

    def claim_address(self, network_id: str, container_id: str, choose: Callable[[set[str]], str]) -> str:
        """Give a container the address that `choose(taken)` picks, at once for all processes; one it has already is kept."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT address, container_id FROM addresses WHERE network_id = ?", (network_id,)).fetchall()
            own = next((address for address, owner in rows if owner == container_id), None)
            if own is not None:
                return str(own)
            address = choose({address for address, _ in rows})
            connection.execute("INSERT INTO addresses VALUES (?, ?, ?)", (network_id, address, container_id))
            return address

    def release_addresses(self, container_id: str) -> None:
        self._write("DELETE FROM addresses WHERE container_id = ?", container_id)

    def list_addresses(self, network_id: str) -> dict[str, str]:
        """Address -> id of the container that has it."""
        query = "SELECT address, container_id FROM addresses WHERE network_id = ?"
        return dict(self._connection().execute(query, (network_id,)).fetchall())
