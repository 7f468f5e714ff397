"""Containers as they are written down: created, found by name or id, listed and forgotten.

It must not start or stop anything. A container's directory is made before its row and taken away before it, so that a directory
without a row is half-made, and a row without a directory belongs to a container that its shim has removed.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.containers import prepare
from labcontainers.containers.names import random_name
from labcontainers.containers.options import ContainerOptions
from labcontainers.errors import Conflict, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.networks.network import Networks
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import ContainerRow


@dataclass(frozen=True, slots=True)
class Record:
    """A container as it was created: its row, its options, the image's process config at that time, and its command line."""

    row: ContainerRow
    options: ContainerOptions
    config: ProcessConfig
    command: tuple[str, ...]
    diff_ids: tuple[str, ...]
    directory: Path

    @property
    def hostname(self) -> str:
        return self.options.hostname or self.row.id[:12]


class Register:
    """All containers of a store, by record. Thread-safe, and safe beside other processes."""

    def __init__(self, store: Store, catalog: Catalog, networks: Networks, launcher: LauncherProcess) -> None:
        self.store = store
        self.catalog = catalog
        self.networks = networks
        self.launcher = launcher

    def directory(self, container_id: str) -> Path:
        """Where a container's files are."""
        return self.store.paths.containers / container_id

    def create(self, image: str | Image, command: tuple[str, ...], options: ContainerOptions) -> Record:
        """Write a new container down, not started. Raises NotFound (image), Conflict (name), InvalidArgument (no command)."""
        found = image if isinstance(image, Image) else self.catalog.get(image)
        words = prepare.command_line(found.config.config, options, command)
        container_id = secrets.token_hex(32)
        directory = self.directory(container_id)
        document = {
            "options": options.to_json(),
            "config": found.config.config.to_json(),
            "command": words,
            "diff_ids": found.diff_ids,
        }
        # Whoever sweeps leaves a directory without a row alone while its lock is held.
        with self.store.locks.hold(self.store.container_lock(container_id)):
            try:
                prepare.make_directories(directory)
                row = self._put(
                    container_id,
                    options.name,
                    image if isinstance(image, str) else str(next(iter(found.tags), found.id)),
                    found.id,
                    document,
                )
                self._check_layers(row, found)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
        self._event(row, "create")
        return self._record(row)

    def _check_layers(self, row: ContainerRow, image: Image) -> None:
        """Now that the row protects the image's layers, see that nobody removed them just before; raises NotFound."""
        try:
            with self.store.locks.hold("images", shared=True):
                self.store.snapshots.lower_paths(image.diff_ids)
        except BaseException:
            self.store.records.remove_container(row.id)
            raise

    def _put(self, container_id: str, name: str | None, image: str, image_id: str, document: dict[str, Any]) -> ContainerRow:
        text = json.dumps(document, separators=(",", ":"))
        for attempt in range(5):
            chosen = name or random_name() + (f"_{secrets.token_hex(2)}" if attempt > 1 else "")
            row = ContainerRow(container_id, chosen, image, image_id, text, time.time())
            try:
                self.store.records.put_container(row)
                return row
            except Conflict:
                if name or attempt == 4:
                    raise
        raise AssertionError("unreachable")

    def _record(self, row: ContainerRow) -> Record:
        document = json.loads(row.document)
        return Record(
            row,
            ContainerOptions.from_json(document["options"]),
            ProcessConfig.from_json(document["config"]),
            tuple(document["command"]),
            tuple(document["diff_ids"]),
            self.directory(row.id),
        )

    def find(self, container_id: str) -> Record | None:
        """The record with exactly this id; one whose shim has removed its directory (`--rm`) is forgotten here."""
        row = self.store.records.find_container(container_id)
        return self._existing(row) if row is not None else None

    def _existing(self, row: ContainerRow) -> Record | None:
        if self.directory(row.id).is_dir():
            return self._record(row)
        self._forget(row.id)
        return None

    def _forget(self, container_id: str) -> None:
        self.networks.disconnect(container_id)
        self.store.records.remove_container(container_id)

    def list(self) -> list[Record]:
        """All containers, newest first."""
        rows = sorted(self.store.records.list_containers(), key=lambda row: -row.created_at)
        return [record for row in rows if (record := self._existing(row)) is not None]

    def get(self, name_or_id: str) -> Record:
        """The container with this name, id or unambiguous beginning of an id; raises NotFound or Conflict."""
        wanted = name_or_id.lstrip("/")
        row = self.store.records.find_container_by_name(wanted) or self.store.records.find_container(wanted)
        if row is None and wanted and all(character in "0123456789abcdef" for character in wanted):
            matches = [row for row in self.store.records.list_containers() if row.id.startswith(wanted)]
            if len(matches) > 1:
                raise Conflict(f"more than one container begins with {wanted}", "give more digits of the id")
            row = matches[0] if matches else None
        record = self._existing(row) if row is not None else None
        if record is None:
            raise NotFound(f"no such container: {name_or_id}", "`ps -a` lists all containers")
        return record

    def _event(self, row: ContainerRow, action: str, attributes: dict[str, str] | None = None) -> None:
        self.store.events.append(Event("container", action, row.id, row.name, {"image": row.image, **(attributes or {})}, time.time_ns()))
