"""A store as a whole: its parts opened together, recovered, swept and verified; it must not know the runtime."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from labcontainers.errors import Denied, DigestMismatch
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
        store._recovered = store.snapshots.recover()
        return store

    def sweep(self) -> None:
        """Delete what dead processes left half-made. Cheap when there is nothing; safe beside living processes; calls the worker."""
        recovered, self._recovered = [*self._recovered, *self.snapshots.recover()], []
        for gone in recovered:
            self._delete(gone)
        now = time.time()
        known = {row.id for row in self.records.list_containers()}
        for directory in self.paths.containers.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if directory.name not in known and now - directory.stat().st_mtime > _STALE_S:
                    gone = self.paths.trash / f"{directory.name}.swept"
                    os.rename(directory, gone)
                    self._delete(gone)
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
        strangers = {path.name for path in self.paths.containers.iterdir()} - {row.id for row in self.records.list_containers()}
        complaints += [f"container directory {name[:12]} has no row" for name in strangers]
        return complaints

    def leftovers(self) -> list[Path]:
        """What dead processes left half-made and nobody has swept yet, the trash included."""
        return [*self.snapshots.leftovers(), *self.paths.trash.iterdir()]

    def close(self) -> None:
        """Close the database connections and give up scratch directories. Idempotent."""
        self.records.close()
        self._scratch.close()
