"""What must be found by name: rows of one SQLite database, shared by all processes that use the store; it must not know their meaning."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from labcontainers.errors import Conflict, NotFound
from labcontainers.store.database import Database

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


_SELECT: dict[type, str] = {
    kind: f"SELECT {', '.join(column.name for column in fields(kind))} FROM {table}"
    for kind, table in (
        (ImageRow, "images"),
        (ManifestRow, "manifests"),
        (LayerRow, "layers"),
        (ContainerRow, "containers"),
        (CacheRow, "cache"),
        (NetworkRow, "networks"),
    )
}


class Records:
    """All rows of the database at `path`. Thread-safe, and safe beside other processes.

    Every method raises Unavailable after close() or when others block the database for ten seconds, and Failed when it is broken.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def close(self) -> None:
        """Close every thread's connection. Idempotent."""
        self._database.close()

    def check(self) -> list[str]:
        """What SQLite itself finds wrong with the database."""
        return self._database.check()

    def _all(self, kind: type[Row], rest: str, *values: Any) -> list[Row]:
        with self._database.use() as connection:
            return [kind(*row) for row in connection.execute(_SELECT[kind] + rest, values).fetchall()]

    def _one(self, kind: type[Row], rest: str, *values: Any) -> Row | None:
        with self._database.use() as connection:
            row = connection.execute(_SELECT[kind] + rest, values).fetchone()
        return None if row is None else kind(*row)

    def _write(self, statement: str, *values: Any) -> int:
        with self._database.use() as connection:
            return connection.execute(statement, values).rowcount

    # --- images

    def put_manifest(self, manifest_digest: str, config_digest: str, size_bytes: int, created_at: float) -> None:
        """Keep a manifest, whether it is tagged or not. Idempotent."""
        self._write("INSERT OR IGNORE INTO manifests VALUES (?, ?, ?, ?)", manifest_digest, config_digest, size_bytes, created_at)

    def find_manifest(self, manifest_digest: str) -> ManifestRow | None:
        return self._one(ManifestRow, " WHERE manifest_digest = ?", manifest_digest)

    def list_manifests(self) -> list[ManifestRow]:
        return self._all(ManifestRow, " ORDER BY created_at")

    def remove_manifest(self, manifest_digest: str) -> None:
        self._write("DELETE FROM manifests WHERE manifest_digest = ?", manifest_digest)

    def put_image(self, reference: str, manifest_digest: str, config_digest: str, created_at: float) -> None:
        """Let a canonical reference name a manifest; it may have named another one."""
        self._write("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", reference, manifest_digest, config_digest, created_at)

    def find_image(self, reference: str) -> ImageRow | None:
        return self._one(ImageRow, " WHERE reference = ?", reference)

    def list_images(self) -> list[ImageRow]:
        return self._all(ImageRow, " ORDER BY reference")

    def remove_image(self, reference: str) -> None:
        self._write("DELETE FROM images WHERE reference = ?", reference)

    # --- layers

    def put_layer(self, chain_id: str, diff_id: str, parent_chain_id: str, size_bytes: int, created_at: float) -> None:
        """Keep a layer. Idempotent."""
        self._write("INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?)", chain_id, diff_id, parent_chain_id, size_bytes, created_at)

    def find_layer(self, chain_id: str) -> LayerRow | None:
        return self._one(LayerRow, " WHERE chain_id = ?", chain_id)

    def list_layers(self) -> list[LayerRow]:
        return self._all(LayerRow, " ORDER BY created_at")

    def has_layer_above(self, chain_id: str) -> bool:
        """Whether a layer has this one as its parent."""
        with self._database.use() as connection:
            return connection.execute("SELECT 1 FROM layers WHERE parent_chain_id = ? LIMIT 1", (chain_id,)).fetchone() is not None

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
        who = f" by container {owner.id}" if owner else ""
        return Conflict(f"the container name {name!r} is already in use{who}", "remove or rename that container, or choose another name")

    def find_container(self, container_id: str) -> ContainerRow | None:
        return self._one(ContainerRow, " WHERE id = ?", container_id)

    def find_container_by_name(self, name: str) -> ContainerRow | None:
        return self._one(ContainerRow, " WHERE name = ?", name)

    def list_containers(self) -> list[ContainerRow]:
        return self._all(ContainerRow, " ORDER BY created_at")

    def rename_container(self, container_id: str, name: str) -> None:
        """Give a container another name; raises Conflict when it is in use, NotFound when there is no such container."""
        try:
            changed = self._write("UPDATE containers SET name = ? WHERE id = ?", name, container_id)
        except sqlite3.IntegrityError:
            raise self._name_in_use(name) from None
        if not changed:
            raise NotFound(f"no such container: {container_id[:12]}", "`ps -a` lists all containers")

    def remove_container(self, container_id: str) -> None:
        self._write("DELETE FROM containers WHERE id = ?", container_id)

    # --- build cache

    def put_cache(self, key: str, result: str, created_at: float) -> None:
        """Keep a step's result under its key."""
        self._write("INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?)", key, result, created_at, created_at)

    def find_cache(self, key: str) -> CacheRow | None:
        return self._one(CacheRow, " WHERE key = ?", key)

    def touch(self, key: str, used_at: float) -> None:
        """Note that a result was used."""
        self._write("UPDATE cache SET used_at = ? WHERE key = ?", used_at, key)

    def list_cache(self) -> list[CacheRow]:
        return self._all(CacheRow, " ORDER BY used_at")

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
        return self._one(NetworkRow, " WHERE name = ?", name)

    def list_networks(self) -> list[NetworkRow]:
        return self._all(NetworkRow, " ORDER BY name")

    def remove_network(self, name: str) -> None:
        self._write("DELETE FROM networks WHERE name = ?", name)

    def claim_address(self, network_id: str, container_id: str, choose: Callable[[set[str]], str]) -> str:
        """Give a container the address that `choose(taken)` picks, at once for all processes; one it has already is kept."""
        with self._database.transaction() as connection:
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
        with self._database.use() as connection:
            return dict(connection.execute(query, (network_id,)).fetchall())
