"""What must be found by name: rows of one SQLite database, shared by all processes that use the store; it must not know their meaning."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from labcontainers.errors import Conflict, NotFound
from labcontainers.store.cache_rows import CacheRow, CacheRows

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
    """
    CREATE TABLE volumes (name TEXT PRIMARY KEY, driver TEXT NOT NULL, document TEXT NOT NULL, created_at REAL NOT NULL);
    """,
    """
    ALTER TABLE layers ADD COLUMN unpacked INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE layer_blobs (diff_id TEXT PRIMARY KEY, digest TEXT NOT NULL, media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL);
    CREATE INDEX layer_blobs_by_digest ON layer_blobs (digest);
    """,
    """
    ALTER TABLE manifests ADD COLUMN facts TEXT NOT NULL DEFAULT '';
    ALTER TABLE manifests ADD COLUMN content TEXT NOT NULL DEFAULT '';
    CREATE INDEX images_of_manifest ON images (manifest_digest);
    CREATE TABLE layer_usage (chain_id TEXT PRIMARY KEY, disk_bytes INTEGER NOT NULL);
    """,
    """
    ALTER TABLE cache ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE cache ADD COLUMN about TEXT NOT NULL DEFAULT '';
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
    """A manifest in the store, tagged or not; `size_bytes` is that of its layers as tar, `facts` what listings tell, opaque JSON."""

    manifest_digest: str
    config_digest: str
    size_bytes: int
    created_at: float
    facts: str = ""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer's tree in the store; `size_bytes` is that of its tar: the canonical one, unless the tree was `unpacked` from another."""

    chain_id: str
    diff_id: str
    parent_chain_id: str
    size_bytes: int
    created_at: float
    unpacked: int = 0


@dataclass(frozen=True, slots=True)
class LayerBlobRow:
    """The stored bytes, perhaps compressed, of a layer that came from elsewhere."""

    diff_id: str
    digest: str
    media_type: str
    size_bytes: int


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
class NetworkRow:
    """A network; `document` is opaque JSON."""

    id: str
    name: str
    driver: str
    document: str


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume; `document` is opaque JSON."""

    name: str
    driver: str
    document: str
    created_at: float


_TABLES: dict[type, str] = {
    ImageRow: "images",
    ManifestRow: "manifests",
    LayerRow: "layers",
    LayerBlobRow: "layer_blobs",
    ContainerRow: "containers",
    CacheRow: "cache",
    NetworkRow: "networks",
    VolumeRow: "volumes",
}


class Records(CacheRows):
    """All rows of the database at `path`. Thread-safe, and safe beside other processes.

    Every method raises Unavailable after close() or when others block the database for ten seconds, and Failed when it is broken.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _MIGRATIONS, _TABLES)

    # --- images

    def put_manifest(self, digest: str, config_digest: str, size_bytes: int, created_at: float, facts: str = "", content: str = "") -> None:
        """Keep a manifest, whether it is tagged or not; `content` is what it needs, opaque JSON. Idempotent."""
        columns = "manifest_digest, config_digest, size_bytes, created_at, facts, content"
        statement = f"INSERT OR IGNORE INTO manifests ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
        self._write(statement, digest, config_digest, size_bytes, created_at, facts, content)

    def describe_manifest(self, manifest_digest: str, facts: str, content: str) -> None:
        """Add what a manifest of an older store lacks."""
        self._write("UPDATE manifests SET facts = ?, content = ? WHERE manifest_digest = ?", facts, content, manifest_digest)

    def list_contents(self) -> list[tuple[str, str, str]]:
        """Digest, config's digest and `content` of each manifest."""
        with self._database.use() as connection:
            return connection.execute("SELECT manifest_digest, config_digest, content FROM manifests").fetchall()

    def list_named_manifests(self) -> list[tuple[ManifestRow, str]]:
        """Every manifest with each of its references, "" for one that has none, as they are at one moment."""
        columns = ", ".join(f"m.{column.name}" for column in fields(ManifestRow))
        statement = f"SELECT {columns}, i.reference FROM manifests AS m LEFT JOIN images AS i USING (manifest_digest) ORDER BY i.reference"
        with self._database.use() as connection:
            return [(ManifestRow(*row[:-1]), row[-1] or "") for row in connection.execute(statement).fetchall()]

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

    def list_references(self) -> list[str]:
        """The canonical references of all images alone, quickly where there are many."""
        return self._texts("SELECT reference FROM images ORDER BY reference")

    def list_names(self, manifest_digest: str) -> list[ImageRow]:
        """The references of one manifest."""
        return self._all(ImageRow, " WHERE manifest_digest = ? ORDER BY reference", manifest_digest)

    def remove_image(self, reference: str) -> None:
        self._write("DELETE FROM images WHERE reference = ?", reference)

    # --- layers

    def put_layer(self, row: LayerRow) -> None:
        """Keep a layer. Idempotent."""
        self._write(
            "INSERT OR IGNORE INTO layers (chain_id, diff_id, parent_chain_id, size_bytes, created_at, unpacked) VALUES (?, ?, ?, ?, ?, ?)",
            row.chain_id, row.diff_id, row.parent_chain_id, row.size_bytes, row.created_at, row.unpacked,
        )  # fmt: skip

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
        self._write("DELETE FROM layer_usage WHERE chain_id = ?", chain_id)

    def put_layer_usage(self, chain_id: str, disk_bytes: int) -> None:
        """Note what a layer's tree takes on disk, which never changes."""
        self._write("INSERT OR REPLACE INTO layer_usage VALUES (?, ?)", chain_id, disk_bytes)

    def list_layer_usage(self) -> dict[str, int]:
        """Bytes on disk of the layers that were measured."""
        with self._database.use() as connection:
            return dict(connection.execute("SELECT chain_id, disk_bytes FROM layer_usage").fetchall())

    def put_layer_blob(self, row: LayerBlobRow) -> None:
        """Note which blob holds a layer; one that is known already counts no longer."""
        self._write("INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?)", row.diff_id, row.digest, row.media_type, row.size_bytes)

    def find_layer_blob(self, diff_id: str) -> LayerBlobRow | None:
        return self._one(LayerBlobRow, " WHERE diff_id = ?", diff_id)

    def holds_layer(self, digest: str) -> bool:
        """Whether a tree in the store was unpacked from this blob, which alone can give the layer's tar back."""
        statement = "SELECT 1 FROM layer_blobs AS b JOIN layers AS l ON l.diff_id = b.diff_id WHERE b.digest = ? AND l.unpacked LIMIT 1"
        with self._database.use() as connection:
            return connection.execute(statement, (digest,)).fetchone() is not None

    def remove_layer_blob(self, digest: str) -> None:
        self._write("DELETE FROM layer_blobs WHERE digest = ?", digest)

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

    def list_container_names(self) -> list[str]:
        """The names alone, quickly where there are many."""
        return self._texts("SELECT name FROM containers ORDER BY created_at")

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

    def rewrite_container(self, container_id: str, document: str) -> None:
        """Keep another document for a container; raises NotFound when there is no such container."""
        if not self._write("UPDATE containers SET document = ? WHERE id = ?", document, container_id):
            raise NotFound(f"no such container: {container_id[:12]}", "`ps -a` lists all containers")

    def remove_container(self, container_id: str) -> None:
        self._write("DELETE FROM containers WHERE id = ?", container_id)

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

    def find_address(self, container_id: str) -> str | None:
        """The container's address in its network, or None; quick, since it is asked at the end of every container."""
        with self._database.use() as connection:
            row = connection.execute("SELECT address FROM addresses WHERE container_id = ?", (container_id,)).fetchone()
        return None if row is None else str(row[0])

    def list_addresses(self, network_id: str) -> dict[str, str]:
        """Address -> id of the container that has it."""
        query = "SELECT address, container_id FROM addresses WHERE network_id = ?"
        with self._database.use() as connection:
            return dict(connection.execute(query, (network_id,)).fetchall())

    # --- volumes

    def put_volume(self, row: VolumeRow) -> None:
        """Keep a volume; one of its name that was there is forgotten."""
        self._write("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?)", row.name, row.driver, row.document, row.created_at)

    def find_volume(self, name: str) -> VolumeRow | None:
        return self._one(VolumeRow, " WHERE name = ?", name)

    def list_volumes(self) -> list[VolumeRow]:
        return self._all(VolumeRow, " ORDER BY name")

    def remove_volume(self, name: str) -> None:
        self._write("DELETE FROM volumes WHERE name = ?", name)
