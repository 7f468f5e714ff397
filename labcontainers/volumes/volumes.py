"""All volumes of a store: made, found, filled, given to containers and removed; it must not mount anything.

`volumes/NAME` holds `_data`, which containers see, and `users`, with an empty file named by the id of each container that has the
volume. Who takes the volume away first removes `users`, which works only while it is empty, and makes that nobody can join any more:
so shims, which have no database, can remove the anonymous volumes of their container as well (runtime.cleanup). A directory without
`users` is half-made or half-removed; a row without a directory belongs to a volume that a shim has removed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, NoSpace, NotFound, Unavailable
from labcontainers.kernel import id_maps
from labcontainers.kernel.notes import Notes
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import VolumeRow
from labcontainers.store.space import tells_full_disk
from labcontainers.units import format_bytes
from labcontainers.volumes.driver import backing_of, check_driver, check_name
from labcontainers.volumes.filters import matches, wanted_of
from labcontainers.volumes.volume import ANONYMOUS, Volume

_USERS = "users"
# those of `volume prune`
PRUNE_FILTERS = ("label", "label!", "all")


@dataclass(frozen=True, slots=True, repr=False)
class PrunedVolumes(Sequence[str]):
    """The names of the volumes that `prune` removed, and the bytes on disk that became free."""

    names: tuple[str, ...]
    reclaimed_bytes: int

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.names[index]

    def __repr__(self) -> str:
        head = ["Deleted Volumes:", *self.names, ""] if self.names else []
        return "\n".join([*head, f"Total reclaimed space: {format_bytes(self.reclaimed_bytes)}"])


@dataclass(frozen=True, slots=True)
class ImageContent:
    """What an image has at a place: `lower` are its layers, top first."""

    lower: tuple[str, ...]
    path: str


class Volumes:
    """All volumes of the store. Thread-safe, and safe beside other processes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records = store.records

    # --- records

    @tells_full_disk(lambda self: self._store.paths.root)
    def create(
        self,
        name: str | None = None,
        driver: str = "local",
        labels: Mapping[str, str] | Sequence[str] | None = None,
        driver_opts: Mapping[str, str] | None = None,
    ) -> Volume:
        """A new volume, or the one of that name that is there. Without a name it gets 64 hexadecimal digits.

        Raises InvalidArgument and Unsupported (see volumes.driver).
        """
        check_driver(driver)
        own = dict(labels) if isinstance(labels, Mapping) else dict(str(text).partition("=")[::2] for text in labels or ())
        options = {str(key): str(value) for key, value in (driver_opts or {}).items()}
        backing_of(options)
        if not name:
            name, own = secrets.token_hex(32), {ANONYMOUS: "", **own}
        else:
            check_name(name)
        with self._hold(name):
            return self._ensure(name, own, options, Notes())

    def find(self, name: str) -> Volume | None:
        """By name, or by the beginning of an anonymous one's that no other has; or None."""
        row = self._records.find_volume(name)
        if row is None and len(name) >= 4 and all(character in "0123456789abcdef" for character in name):
            begun = [row for row in self._records.list_volumes() if len(row.name) == 64 and row.name.startswith(name)]
            row = begun[0] if len(begun) == 1 else None
        return None if row is None else self._existing(row)

    def get(self, name: str) -> Volume:
        """By name; raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume", "`volume ls` lists all volumes")
        return found

    def list(self, filters: Mapping[str, Any] | None = None) -> list[Volume]:
        """All volumes by name; `filters` are Docker's: name, label, driver, dangling. Raises InvalidArgument."""
        wanted = wanted_of(filters or {}, ("name", "label", "driver", "dangling"))
        found = [volume for row in self._records.list_volumes() if (volume := self._existing(row)) is not None]
        return [volume for volume in found if matches(volume, wanted)]

    def users(self, name: str) -> tuple[str, ...]:
        """The ids of the containers that have it; those that are gone do not count, and are forgotten."""
        living = []
        with contextlib.suppress(FileNotFoundError):
            for container_id in sorted(os.listdir(self._directory(name) / _USERS)):
                if (self._store.paths.containers / container_id).is_dir():
                    living.append(container_id)
                else:
                    (self._directory(name) / _USERS / container_id).unlink(missing_ok=True)
        return tuple(living)

    def remove(self, name: str, force: bool = False) -> None:
        """Remove a volume with its files; raises Conflict naming the containers that have it, NotFound without `force`."""
        volume = self.find(name)
        if volume is None:
            if force:
                return
            raise NotFound(f"get {name}: no such volume", "`volume ls` lists all volumes")
        with self._hold(volume.name):
            gone = self._take_away(volume.name)
        self._delete(volume.name, gone)

    def prune(self, filters: Mapping[str, Any] | None = None, all: bool = False) -> PrunedVolumes:
        """Remove anonymous volumes that no container has, or with `all` named ones, too. `filters`: label, label!, all."""
        wanted = wanted_of(filters or {}, PRUNE_FILTERS)
        all = bool({"true", "1"} & set(wanted.pop("all", []))) or all
        names, size = [], 0
        for volume in self.list():
            if not (all or volume.anonymous) or not matches(volume, wanted) or self.users(volume.name):
                continue
            with contextlib.suppress(Conflict, NotFound):  # a container has it now, or somebody else was faster
                used = self._store.worker.call("labcontainers.store.trees:usage", path=str(volume.mountpoint))
                self.remove(volume.name)
                names.append(volume.name)
                size += int(used["bytes"])
        self._store.events.append_prune("volume", size)
        return PrunedVolumes(tuple(names), size)

    # --- for containers

    def use(
        self,
        name: str,
        container_id: str,
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        content: ImageContent | None = None,
        notes: Notes | None = None,
    ) -> Volume:
        """Give a volume, made if it is not there, to a container; an empty one gets the image's `content`. Blocks while it is copied.

        `notes` are told of a volume that is made, and of what is copied. Raises NotFound when the folder that it stands for is not there.
        """
        told = notes or Notes()
        with self._hold(name):
            volume = self._ensure(name, dict(labels or {}), dict(options or {}), told)
            _check_device(volume)
            (self._directory(name) / _USERS / container_id).touch(0o600)
            if content is not None:
                self._fill(volume, content, told)
        return volume

    def join(self, name: str, container_id: str) -> Volume:
        """Give a volume that is there to one more container; raises NotFound."""
        with self._hold(name):
            row = self._records.find_volume(name)
            try:
                (self._directory(name) / _USERS / container_id).touch(0o600)
            except FileNotFoundError:
                row = None
        if row is None:
            raise NotFound(f"get {name}: no such volume", "`volume ls` lists all volumes")
        return Volume.of_row(row, self._directory(name), self)

    def release(self, name: str, container_id: str, *, remove: bool) -> None:
        """A container that is gone has it no more; with `remove` the volume goes when no other has it. Idempotent."""
        (self._directory(name) / _USERS / container_id).unlink(missing_ok=True)
        if remove:
            with contextlib.suppress(Conflict, NotFound):
                self.remove(name, force=True)

    # --- how it is done

    def _hold(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._store.locks.hold(Store.volume_lock(name))

    def _directory(self, name: str) -> Path:
        return self._store.paths.volumes / name

    def _existing(self, row: VolumeRow) -> Volume | None:
        if (self._directory(row.name) / _USERS).is_dir():
            return Volume.of_row(row, self._directory(row.name), self)
        # Nobody makes it anew while the lock is held, so that the row is none of a new one.
        with contextlib.suppress(Unavailable), self._store.locks.hold(Store.volume_lock(row.name), timeout_s=0):
            if not (self._directory(row.name) / _USERS).is_dir():
                self._forget(row.name)
        return None

    def _forget(self, name: str) -> None:
        """On a full disk the row stays for now: without a directory it counts for nothing, and whoever looks next forgets it."""
        with contextlib.suppress(NoSpace):
            self._records.remove_volume(name)

    def _ensure(self, name: str, labels: dict[str, str], options: dict[str, str], notes: Notes) -> Volume:
        """The volume; its lock must be held."""
        directory = self._directory(name)
        row = self._records.find_volume(name)
        if row is not None and (directory / _USERS).is_dir():
            return Volume.of_row(row, directory, self)
        self._to_trash(name)
        row = VolumeRow(name, "local", json.dumps({"labels": labels, "options": options}), time.time())
        try:
            with notes.timed("make_volume", name=name, path=str(directory / "_data")):
                directory.mkdir(mode=0o700)
                (directory / "_data").mkdir()
                (directory / "_data").chmod(0o755)
                (directory / _USERS).mkdir(mode=0o700)
            self._records.put_volume(row)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        self.event("create", name, {})
        return Volume.of_row(row, directory, self)

    def _fill(self, volume: Volume, content: ImageContent, notes: Notes) -> None:
        backing = volume.backing
        if backing.kind == "tmpfs":
            return
        staging = self._directory(volume.name) / "_copy"
        if staging.exists():
            self._store.worker.call("labcontainers.store.trees:remove", path=str(staging))
        data = backing.device or str(volume.mountpoint)
        with notes.timed("copy_up", source=content.path, target=data):
            done = self._store.worker.call(
                "labcontainers.volumes.copy_up:fill",
                lower=list(content.lower),
                target=content.path,
                data=data,
                staging=str(staging),
                in_place=bool(backing.device),
                userxattr=not id_maps.is_root_of_host(),
            )
        if not done:
            notes.entries.pop()

    def _take_away(self, name: str) -> Path | None:
        """Out of sight with its row, unless a container has it (Conflict); its lock must be held. Where its files are now."""
        users = self.users(name)
        if users:
            raise self._in_use(name, users)
        try:
            os.rmdir(self._directory(name) / _USERS)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise self._in_use(name, self.users(name)) from None
        gone = self._to_trash(name)
        self._forget(name)
        return gone

    def _in_use(self, name: str, users: Iterable[str]) -> Conflict:
        rows = [(user, self._records.find_container(user)) for user in users]
        names = ", ".join(row.name if row is not None else user[:12] for user, row in rows)
        return Conflict(f"remove {name}: volume is in use - [{names}]", "remove these containers first")

    def _to_trash(self, name: str) -> Path | None:
        gone = self._store.paths.trash / f"volume-{name[:64]}.{secrets.token_hex(4)}"
        try:
            os.rename(self._directory(name), gone)
        except FileNotFoundError:
            return None
        return gone

    def _delete(self, name: str, gone: Path | None) -> None:
        if gone is not None:
            self._store.worker.call("labcontainers.store.trees:remove", path=str(gone))
            self.event("destroy", name, {})

    def event(self, action: str, name: str, attributes: Mapping[str, str]) -> None:
        """Tell what happened to a volume."""
        self._store.events.append(Event("volume", action, name, name, {"driver": "local", **attributes}, time.time_ns()))


def _check_device(volume: Volume) -> None:
    if volume.backing.kind != "bind":
        return
    try:
        os.stat(volume.backing.device)
    except FileNotFoundError:
        problem = f"failed to mount local volume {volume.name}: {volume.backing.device}: no such file or directory"
        raise NotFound(problem, "make it first") from None
    except OSError:
        pass  # whoever mounts it may see more
