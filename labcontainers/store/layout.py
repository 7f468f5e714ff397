"""A store as a whole: its parts opened together, recovered, swept and verified; it must not know the runtime."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

from labcontainers.errors import Denied, DigestMismatch, Unavailable
from labcontainers.store.blobs import Blobs
from labcontainers.store.events import EventLog
from labcontainers.store.locks import Locks
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import Records
from labcontainers.store.scratch import Scratch
from labcontainers.store.snapshots import Snapshots, TreeWorker

_STALE_S = 600


class Store:
    """Content, layers, records, locks and events under one root. Thread-safe; many processes may open the same root."""

    def __init__(self, paths: StorePaths, worker: TreeWorker) -> None:
        self.paths = paths
        self.worker = worker
        self.locks = Locks(paths.locks)
        self.events = EventLog(paths.events)
        self._scratch = Scratch(paths.tmp, self.locks)
        self.blobs = Blobs(paths.blobs, self._scratch)
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

    def _recover(self) -> list[Path]:
        """Move what dead processes left half-made into the trash, and return where it is."""
        return [*self.snapshots.recover(), *(self._to_trash(path) for path in self._strangers())]

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

    def sweep(self) -> None:
        """Delete what dead processes left half-made. Cheap when there is nothing; safe beside living processes; calls the worker."""
        recovered, self._recovered = [*self._recovered, *self._recover()], []
        for gone in recovered:
            self._delete(gone)
        now = time.time()
        for gone in self.paths.trash.iterdir():
            with contextlib.suppress(FileNotFoundError):
                # What is younger is most likely being deleted right now.
                if now - gone.lstat().st_ctime > _STALE_S:
                    self._delete(gone)
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
        complaints += [f"container directory {path.name[:12]} has no row" for path in self._strangers()]
        return complaints

    def leftovers(self) -> list[Path]:
        """What dead processes left half-made and nobody has swept yet, the trash included."""
        return [*self.snapshots.leftovers(), *self._strangers(), *self.paths.trash.iterdir()]

    def close(self) -> None:
        """Close the database connections and give up scratch directories. Idempotent."""
        self.records.close()
        self._scratch.close()
