"""Containers as they are written down: created, found by name or id, listed and forgotten.

It must not start or stop anything. A container's directory is made before its row and taken away before it, so that a directory
without a row is half-made, and a row without a directory belongs to a container that its shim has removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from labcontainers.containers.names import random_name
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.planning import host_root, mount_plan, prepare
from labcontainers.containers.planning.host_root import Ground
from labcontainers.containers.planning.mount_point import MountPoint
from labcontainers.errors import Conflict, NoSpace, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.kernel.lean import dumps
from labcontainers.kernel.notes import Entry, Notes
from labcontainers.networks.network import Networks
from labcontainers.oci.image_config import ProcessConfig
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import ContainerRow
from labcontainers.store.space import tells_full_disk
from labcontainers.volumes.volumes import Volumes

# how often an image that somebody removes meanwhile is looked for, or made, again
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Record:
    """A container as it was created: its row, its options, the image's process config at that time, and its command line.

    `made` is what its creation did (kernel.notes), for `explain`.
    """

    row: ContainerRow
    options: ContainerOptions
    config: ProcessConfig
    command: tuple[str, ...]
    diff_ids: tuple[str, ...]
    directory: Path
    mounts: tuple[MountPoint, ...] = ()
    made: tuple[Entry, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels and those of the options."""
        return {**self.config.labels, **dict(self.options.labels)}

    @property
    def event_attributes(self) -> dict[str, str]:
        """What every event of the container tells of it beside its name."""
        return {**self.labels, "image": self.row.image}

    @property
    def image_ids(self) -> frozenset[str]:
        """The image that it runs, and those that it has mounted."""
        return frozenset((self.row.image_id, *(point.image_id for point in self.mounts)))

    @property
    def hostname(self) -> str:
        if self.options.hostname:
            return self.options.hostname
        hosts = self.options.network == "host" or self.options.uts_mode == "host"
        return os.uname().nodename if hosts else self.row.id[:12]


class _ImageRemoved(NotFound):
    """Its layers were removed with it, while a container of it was written down."""


class Register:
    """All containers of a store, by record. Thread-safe, and safe beside other processes."""

    def __init__(self, store: Store, catalog: Catalog, networks: Networks, launcher: LauncherProcess) -> None:
        self.store = store
        self.catalog = catalog
        self.networks = networks
        self.launcher = launcher
        self.volumes = Volumes(store)

    def directory(self, container_id: str) -> Path:
        """Where a container's files are."""
        return self.store.paths.containers / container_id

    @tells_full_disk(lambda self: self.store.paths.root)
    def create(self, image: str | Image | None, command: tuple[str, ...], options: ContainerOptions) -> Record:
        """Write a new container down, not started. Raises NotFound (image), Conflict (name), InvalidArgument (no command)."""
        for _ in range(_TRIES):
            try:
                return self._create(image, command, options)
            except _ImageRemoved as error:
                removed = error
        raise removed

    def _create(self, image: str | Image | None, command: tuple[str, ...], options: ContainerOptions) -> Record:
        ground = host_root.ground_of(image, options, self.catalog.obtain, rootless=self.launcher.rootless)
        options = host_root.settled(options, self.store.paths.root, rootless=self.launcher.rootless)
        config = ground.config
        words = prepare.command_line(config, options, command)
        container_id = secrets.token_hex(32)
        directory = self.directory(container_id)
        document: dict[str, Any] = {
            "options": options.to_json(),
            "config": config.to_json(),
            "command": words,
            "diff_ids": ground.diff_ids,
        }
        points: tuple[MountPoint, ...] = ()
        notes = Notes()
        # Whoever sweeps leaves a directory without a row alone while its lock is held.
        with self.store.locks.hold(self.store.container_lock(container_id)):
            try:
                with notes.timed("make_directories", path=str(directory)):
                    prepare.make_directories(directory)
                    host_root.make_layers(options, ground.diff_ids, directory)
                if mount_plan.wants_mounts(with_parts := host_root.with_parts(options), config):
                    points = self._settle_mounts(container_id, ground, with_parts, notes)
                    mount_plan.make_places(directory, points)
                    document["mounts"] = [point.to_json() for point in points]
                document["made"] = notes.entries
                row = self._put(container_id, options.name, ground.name, ground.id, document)
                self._check_layers(row, ground.diff_ids, *(point.diff_ids for point in points))
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                mount_plan.release(points, container_id, self.volumes, anonymous=True)
                raise
        record = Record(row, options, config, words, ground.diff_ids, directory, points, tuple(notes.entries))
        self.tell(record, "create")
        return record

    def _settle_mounts(self, container_id: str, ground: Ground, options: ContainerOptions, notes: Notes) -> tuple[MountPoint, ...]:
        lower = self.store.snapshots.lower_paths(ground.diff_ids) if options.rootfs is None else (options.rootfs,)
        settler = mount_plan.MountSettler(self.volumes, container_id, lower, lambda name: self.get(name).mounts, self.catalog.get, notes)
        return settler.settle(options, ground.config)

    def _check_layers(self, row: ContainerRow, *images: tuple[str, ...]) -> None:
        """Now that the row protects the layers of the images, see that nobody removed them just before; raises NotFound.

        _ImageRemoved says that the image went with them: one of that name may be had, or made, again.
        """
        try:
            with self.store.locks.hold("images", shared=True):
                for diff_ids in images:
                    self.store.snapshots.lower_paths(diff_ids)
        except BaseException as error:
            self.store.records.remove_container(row.id)
            if isinstance(error, NotFound) and self.catalog.find_own(row.image_id) is None:
                raise _ImageRemoved(error.message, error.hint) from None
            raise

    def _put(self, container_id: str, name: str | None, image: str, image_id: str, document: dict[str, Any]) -> ContainerRow:
        text = dumps(document)
        for attempt in range(5):
            chosen = name or random_name() + (f"_{secrets.token_hex(2)}" if attempt > 1 else "")
            row = ContainerRow(container_id, chosen, image, image_id, text, time.time())
            try:
                self.store.records.put_container(row)
                return row
            except Conflict:
                if attempt == 4 or (name and not self._is_freed(name)):
                    raise
        raise AssertionError("unreachable")

    def _is_freed(self, name: str) -> bool:
        """Whether the container with this name has been removed by its shim (`--rm`), and is forgotten now."""
        row = self.store.records.find_container_by_name(name)
        return row is None or self._existing(row) is None

    def _record(self, row: ContainerRow) -> Record:
        document = json.loads(row.document)
        return Record(
            row,
            ContainerOptions.from_json(document["options"]),
            ProcessConfig.from_json(document["config"]),
            tuple(document["command"]),
            tuple(document["diff_ids"]),
            self.directory(row.id),
            tuple(map(MountPoint.from_json, document.get("mounts", ()))),
            tuple(document.get("made", ())),
        )

    def rewrite(self, record: Record, options: ContainerOptions) -> Record:
        """Keep other options for a container, from its next start on; the new record. Raises NotFound."""
        document = {**json.loads(record.row.document), "options": options.to_json()}
        row = replace(record.row, document=dumps(document))
        self.store.records.rewrite_container(row.id, row.document)
        return self._record(row)

    def tell(self, record: Record, action: str, attributes: Mapping[str, str] = MappingProxyType({})) -> None:
        """Append an event of a container, with its labels and what else there is to tell."""
        row = record.row
        self.store.events.append(Event("container", action, row.id, row.name, {**record.event_attributes, **attributes}, time.time_ns()))

    def find(self, container_id: str) -> Record | None:
        """The record with exactly this id; one whose shim has removed its directory (`--rm`) is forgotten here."""
        row = self.store.records.find_container(container_id)
        return self._existing(row) if row is not None else None

    def _existing(self, row: ContainerRow) -> Record | None:
        record = self._record(row)
        return record if self.still_there(record) else None

    def still_there(self, record: Record) -> bool:
        """Whether the container has not been removed by its shim (`--rm`); one that has is forgotten here. Idempotent."""
        if record.directory.is_dir():
            return True
        self._release_volumes(record, anonymous=record.options.remove)
        self._forget(record.row.id)
        return False

    def _release_volumes(self, record: Record, *, anonymous: bool) -> None:
        """The container is gone: its volumes are free, and with `anonymous` those that nobody named go too."""
        mount_plan.release(record.mounts, record.row.id, self.volumes, anonymous=anonymous)

    def _forget(self, container_id: str) -> None:
        self.networks.disconnect(container_id)
        # On a full disk the row stays for now: without a directory it counts for nothing, and whoever looks next forgets it.
        with contextlib.suppress(NoSpace):
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
