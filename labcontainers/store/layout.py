"""A store as a whole: its parts opened together, recovered, swept and verified; it must not know the runtime."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from labcontainers.errors import Denied, DigestMismatch, NotFound, Unavailable
from labcontainers.kernel.placement import spread
from labcontainers.store import layer_line, mount_points
from labcontainers.store.blobs import Blobs
from labcontainers.store.downloads import Downloads
from labcontainers.store.events import EventLog
from labcontainers.store.locks import Locks
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import Records
from labcontainers.store.scratch import Scratch
from labcontainers.store.snapshots import Snapshots, TreeWorker

_STALE_S = 600


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def while_making(
    store_of: Callable[[Any], Store],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorates what makes an image, so that all of it happens in `Store.making()`; `store_of` gives the store for the first argument."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def wrapped(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result:
            with store_of(arguments[0]).making():
                return function(*arguments, **keywords)

        return wrapped

    return decorate


class Store:
    """Content, layers, records, locks and events under one root. Thread-safe; many processes may open the same root."""

    def __init__(self, paths: StorePaths, worker: TreeWorker) -> None:
        self.paths = paths
        self.worker = worker
        self.locks = Locks(paths.locks)
        self.events = EventLog(paths.events)
        self._scratch = Scratch(paths.tmp, self.locks)
        self.blobs = Blobs(paths.blobs, self._scratch)
        self.downloads = Downloads(paths.downloads, self.blobs, self.locks)
        self.records = Records(paths.database)
        self.snapshots = Snapshots(paths, self.records, worker, self.locks, self._scratch)
        self._recovered: list[Path] = []

    @classmethod
    def open(cls, paths: StorePaths, worker: TreeWorker) -> Store:
        """Open the store at `paths`, made if it is not there; what dead processes left half-made is put into the trash.

        Raises Denied when this user may not, Unsupported when a newer version made it. The worker is not called.
        """
        try:
            for directory in paths.directories:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            mount_points.lay(paths.mount_points)
            spread(paths.tmp)  # trees are born there
        except OSError as error:
            raise Denied(f"cannot make the store at {paths.root}: {(error.strerror or '').lower()}", "set LABCONTAINERS_ROOT") from error
        if not os.access(paths.root, os.W_OK | os.X_OK):
            raise Denied(f"the store at {paths.root} belongs to somebody else", "set LABCONTAINERS_ROOT to a folder of your own")
        store = cls(paths, worker)
        store._recovered = store._recover()
        return store

    @staticmethod
    def container_lock(container_id: str) -> str:
        """The name of the lock that is held while a container is created, started, removed or swept."""
        return f"container-{container_id}"

    @staticmethod
    def volume_lock(name: str) -> str:
        """The name of the lock that is held while a volume is made, filled, given to a container or removed."""
        return f"volume-{name}"

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        """While it lasts, layers and blobs that no image needs yet are not taken away, since the next image may need them."""
        with self.locks.hold("making", shared=True):
            yield

    @contextlib.contextmanager
    def unless_making(self) -> Iterator[bool]:
        """Whether nobody makes an image now; then nobody begins to as long as it lasts."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.locks.hold("making", timeout_s=0))
            except Unavailable:
                yield False
            else:
                yield True

    def _recover(self) -> list[Path]:
        """Move what dead processes left half-made into the trash, and return where it is."""
        return [*self.snapshots.recover(), *(self._to_trash(path) for path in self._strangers()), *self._half_volumes(take=True)]

    def _to_trash(self, path: Path) -> Path:
        gone = self.paths.trash / f"{path.name}.{secrets.token_hex(4)}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, gone)
        return gone

    def _strangers(self) -> list[Path]:
        """Container directories without a row that nobody is making or removing now."""
        found = []
        known = {row.id for row in self.records.list_containers()}
        for path in self.paths.containers.iterdir():
            if path.name not in known:
                with contextlib.suppress(Unavailable), self.locks.hold(self.container_lock(path.name), timeout_s=0):
                    # Its row may have come since the look at all rows; nobody makes one while this lock is held.
                    if self.records.find_container(path.name) is None and path.is_dir():
                        found.append(path)
        return found

    def _half_volumes(self, *, take: bool = False) -> list[Path]:
        """Volumes' directories without a row, or that are not whole (volumes.volumes), on which nobody is at work now.

        With `take` they are moved into the trash while nobody can make a volume of that name anew.
        """
        found = []
        known = {row.name for row in self.records.list_volumes()}
        for path in self.paths.volumes.iterdir():
            if path.name not in known or not (path / "users").is_dir():
                with contextlib.suppress(Unavailable), self.locks.hold(self.volume_lock(path.name), timeout_s=0):
                    whole = self.records.find_volume(path.name) is not None and (path / "users").is_dir()
                    if not whole and path.is_dir():
                        found.append(self._to_trash(path) if take else path)
        return found

    def _stray_layers(self, *, take: bool = False) -> list[Path]:
        """Layers of containers that no line of checkpoints names, of containers on which nobody is at work now.

        With `take` they are moved into the trash meanwhile.
        """
        found = []
        for row in self.records.list_containers():
            directory = self.paths.containers / row.id
            if layer_line.strays(directory):
                with contextlib.suppress(Unavailable), self.locks.hold(self.container_lock(row.id), timeout_s=0):
                    strays = layer_line.strays(directory)
                    found += [self._moved_to_trash(path) for path in strays] if take else strays
        return found

    def _moved_to_trash(self, path: Path) -> Path:
        """As _to_trash(), for what may belong to a container's user."""
        gone = self.paths.trash / f"{path.name}.{secrets.token_hex(4)}"
        self.worker.call("labcontainers.store.trees:move", source=str(path), target=str(gone))
        return gone

    def sweep(self) -> None:
        """Delete what dead processes left half-made. Cheap when there is nothing; safe beside living processes; calls the worker."""
        recovered, self._recovered = [*self._recovered, *self._recover(), *self._stray_layers(take=True)], []
        for gone in recovered:
            self._delete(gone)
        now = time.time()
        for gone in self.paths.trash.iterdir():
            with contextlib.suppress(FileNotFoundError):
                # What is younger is most likely being deleted right now.
                if now - gone.lstat().st_ctime > _STALE_S:
                    self._delete(gone)
        self.downloads.sweep()
        self.locks.sweep()

    def _delete(self, gone: Path) -> None:
        self.worker.call("labcontainers.store.trees:remove", path=str(gone))

    def verify(self, *, deep: bool = False) -> list[str]:
        """What is wrong with the store; empty when nothing is. Reads all blobs, and with `deep` all layers.

        What a dead process left half-made is not wrong, only useless: see leftovers().
        """
        complaints = [*self.records.check(), *self.snapshots.verify(deep=deep)]
        manifests = {row.manifest_digest: row for row in self.records.list_manifests()}
        for image in self.records.list_images():
            if image.manifest_digest not in manifests:
                complaints.append(f"image {image.reference} names the unknown manifest {image.manifest_digest}")
        for row in manifests.values():
            complaints += [f"blob {digest} is missing" for digest in (row.manifest_digest, row.config_digest) if not self.blobs.has(digest)]
        digests = list(self.blobs.list())
        complaints += [f"{name} is not a blob" for name in set(os.listdir(self.paths.blobs)) - {text[7:] for text in digests}]
        for digest in digests:
            try:
                self.blobs.verify(digest)
            except DigestMismatch as error:
                complaints.append(error.message)
            except NotFound:
                if (kept := self.blobs.path(digest)).is_symlink():
                    complaints.append(f"blob {digest} is not at {os.readlink(kept)} any more")
        complaints += [f"container directory {path.name[:12]} has no row" for path in self._strangers()]
        complaints += [text for row in self.records.list_containers() for text in layer_line.verify(self.paths.containers / row.id)]
        complaints += [f"the directory of volume {path.name} is half-made" for path in self._half_volumes()]
        return complaints

    def leftovers(self) -> list[Path]:
        """What dead processes left half-made and nobody has swept yet, the trash included."""
        return [*self.snapshots.leftovers(), *self._strangers(), *self._stray_layers(), *self._half_volumes(), *self.paths.trash.iterdir()]

    def close(self) -> None:
        """Close the database connections and give up scratch directories. Idempotent."""
        self.records.close()
        self._scratch.close()
