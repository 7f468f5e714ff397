"""A store as a whole: its rooms opened together, swept and verified; it must not know the runtime."""

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
from labcontainers.store.snapshots import Snapshots, TreeWorker

_STALE_S = 600


class Store:
    """Content, layers, records, locks and events under one root. Thread-safe; many processes may open the same root."""

    def __init__(self, paths: StorePaths, worker: TreeWorker) -> None:
        self.paths = paths
        self.worker = worker
        self.blobs = Blobs(paths.blobs, paths.tmp)
        self.records = Records(paths.database)
        self.locks = Locks(paths.locks)
        self.events = EventLog(paths.events)
        self.snapshots = Snapshots(paths, self.records, worker)

    @classmethod
    def open(cls, paths: StorePaths, worker: TreeWorker) -> Store:
        """Open the store at `paths`, made if it is not there; raises Denied when this user may not."""
        try:
            for directory in paths.directories:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Denied(f"cannot make the store at {paths.root}: {(error.strerror or '').lower()}", "set LABCONTAINERS_ROOT") from error
        if not os.access(paths.root, os.W_OK):
            raise Denied(f"the store at {paths.root} belongs to somebody else", "set LABCONTAINERS_ROOT to a folder of your own")
        return cls(paths, worker)

    def sweep(self) -> None:
        """Remove what dead processes left half-made. Cheap when there is nothing; safe beside living processes."""
        self.snapshots.sweep()
        now = time.time()
        for blob in self.paths.tmp.glob("blob-*"):
            with contextlib.suppress(FileNotFoundError):
                if not _process_lives(blob.name.split("-")[1]) or now - blob.stat().st_mtime > 24 * 3600:
                    blob.unlink()
        known = {row.id for row in self.records.list_containers()}
        for directory in self.paths.containers.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if directory.name not in known and now - directory.stat().st_mtime > _STALE_S:
                    self._discard(directory)
        for gone in self.paths.trash.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if now - gone.stat().st_ctime > _STALE_S:
                    self.worker.call("labcontainers.store.trees:remove", path=str(gone))

    def _discard(self, directory: Path) -> None:
        gone = self.paths.trash / f"{directory.name}.swept"
        os.rename(directory, gone)
        self.worker.call("labcontainers.store.trees:remove", path=str(gone))

    def verify(self) -> list[str]:
        """What is wrong with the store; empty when nothing is. Reads every small blob."""
        complaints = [*self.records.check(), *self.snapshots.verify()]
        manifests = {row.manifest_digest: row for row in self.records.list_manifests()}
        for image in self.records.list_images():
            if image.manifest_digest not in manifests:
                complaints.append(f"image {image.reference} names the unknown manifest {image.manifest_digest}")
        for row in manifests.values():
            complaints += [f"blob {digest} is missing" for digest in (row.manifest_digest, row.config_digest) if not self.blobs.has(digest)]
        for digest in self.blobs.list():
            try:
                self.blobs.verify(digest)
            except DigestMismatch as error:
                complaints.append(error.message)
        strangers = {path.name for path in self.paths.containers.iterdir()} - {row.id for row in self.records.list_containers()}
        complaints += [f"container directory {name[:12]} has no row" for name in strangers]
        return complaints

    def close(self) -> None:
        """Close the database connections. Idempotent."""
        self.records.close()


def _process_lives(pid: str) -> bool:
    return pid.isdigit() and Path(f"/proc/{pid}").exists()
