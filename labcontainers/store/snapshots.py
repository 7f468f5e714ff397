"""Layer trees, each kept once for its chain and never changed; it must not know what made them.

`snapshots/<chain hex>/fs` is the tree; `snapshots/l/<16 digits>` is a short link to it, since overlay's options must fit in a page.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from labcontainers.errors import NotFound
from labcontainers.oci.digest import chain_id, parse_digest
from labcontainers.store.blobs import fsync_directory
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import Records

_SHORT = 16
_STALE_S = 60


class TreeWorker(Protocol):
    """Runs "module:function" where files of container ids may be touched."""

    def call(self, function: str, /, **arguments: object) -> Any: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """A committed layer; `size_bytes` is that of its canonical tar."""

    diff_id: str
    chain_id: str
    size_bytes: int


class Snapshots:
    """All layer trees of a store."""

    def __init__(self, paths: StorePaths, records: Records, worker: TreeWorker) -> None:
        self._paths = paths
        self._records = records
        self._worker = worker
        self._owned: dict[Path, int] = {}

    def tree(self, chain: str) -> Path:
        """Where the tree of a chain is, if it is there."""
        return self._paths.snapshots / parse_digest(chain)[1] / "fs"

    def has(self, chain: str) -> bool:
        """Whether the layer is complete: its row is written after its tree."""
        return self._records.find_layer(chain) is not None and self.tree(chain).is_dir()

    def lower_paths(self, diff_ids: Sequence[str]) -> tuple[Path, ...]:
        """The trees of an image's layers, top first as overlay wants them; raises NotFound when one is missing."""
        found = []
        for count in range(1, len(diff_ids) + 1):
            chain = chain_id(diff_ids[:count])
            link = self._link(chain)
            if not link.is_dir():
                raise NotFound(f"layer {diff_ids[count - 1]} is not in the store", "remove the image and make it again")
            found.append(link)
        return tuple(reversed(found))

    def _link(self, chain: str) -> Path:
        return self._paths.snapshots / "l" / parse_digest(chain)[1][:_SHORT]

    def new_tree(self) -> Path:
        """A scratch directory with `fs` and `work`, ours until it is committed or discarded, or until this process dies."""
        scratch = self._paths.tmp / f"tree-{secrets.token_hex(8)}"
        scratch.mkdir(mode=0o700)
        for name in ("fs", "work"):
            (scratch / name).mkdir()
            (scratch / name).chmod(0o755)
        fd = os.open(scratch / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self._owned[scratch] = fd
        return scratch

    def commit(self, scratch: Path, parent_diff_ids: Sequence[str]) -> Layer:
        """Move `scratch/fs` into place as the layer above `parent_diff_ids`; blocks while it is hashed.

        A layer that is there already is kept, and the scratch dropped.
        """
        measured = self._worker.call("labcontainers.store.trees:measure", tree=str(scratch / "fs"))
        chain = chain_id([*parent_diff_ids, measured["diff_id"]])
        layer = Layer(measured["diff_id"], chain, measured["size_bytes"])
        if not self.has(chain):
            self._move(scratch, chain)
            self._records.put_layer(chain, layer.diff_id, chain_id(parent_diff_ids), layer.size_bytes, time.time())
        self.discard(scratch)
        return layer

    def _move(self, scratch: Path, chain: str) -> None:
        place = self._paths.snapshots / parse_digest(chain)[1]
        staged = self._paths.tmp / f"{scratch.name}.done"
        staged.mkdir(mode=0o700)
        self._worker.call("labcontainers.store.trees:move", source=str(scratch / "fs"), target=str(staged / "fs"))
        try:
            os.rename(staged, place)
        except OSError:
            # Another process has put the same layer there; or a crash left it without its row.
            self._remove(staged)
        fsync_directory(self._paths.snapshots)
        with contextlib.suppress(FileExistsError):
            os.symlink(f"../{place.name}/fs", self._link(chain))

    def discard(self, scratch: Path) -> None:
        """Drop a scratch directory."""
        fd = self._owned.pop(scratch, -1)
        if scratch.exists():
            self._remove(scratch)
        if fd >= 0:
            os.close(fd)

    def remove(self, chain: str) -> None:
        """Remove a layer: its row first, then its tree."""
        self._records.remove_layer(chain)
        self._link(chain).unlink(missing_ok=True)
        place = self._paths.snapshots / parse_digest(chain)[1]
        if place.exists():
            self._remove(place)

    def _remove(self, path: Path) -> None:
        """Out of sight at once, then deleted by the worker."""
        gone = self._paths.trash / f"{path.name}.{secrets.token_hex(4)}"
        try:
            os.rename(path, gone)
        except FileNotFoundError:
            return
        self._worker.call("labcontainers.store.trees:remove", path=str(gone))

    def sweep(self) -> None:
        """Remove scratch directories whose owner is dead, and trees without a row."""
        for scratch in self._paths.tmp.glob("tree-*"):
            if scratch not in self._owned and not _has_owner(scratch):
                self._remove(scratch)
        for staged in self._paths.tmp.glob("*.done"):
            if time.time() - staged.stat().st_mtime > _STALE_S:
                self._remove(staged)

    def verify(self) -> list[str]:
        """What is not as it should be: rows without trees, trees without rows, links that lead nowhere."""
        rows = {row.chain_id: row for row in self._records.list_layers()}
        complaints = [f"layer {chain} has no tree" for chain in rows if not self.tree(chain).is_dir()]
        complaints += [f"layer {chain} has no short link" for chain in rows if not self._link(chain).is_dir()]
        complaints += [
            f"layer {row.chain_id} lacks its parent {row.parent_chain_id}"
            for row in rows.values()
            if row.parent_chain_id and row.parent_chain_id not in rows
        ]
        return complaints


def _has_owner(scratch: Path) -> bool:
    try:
        fd = os.open(scratch / "owner", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Between mkdir and the creation of the owner file; a young directory is somebody's.
        return time.time() - scratch.stat().st_mtime < _STALE_S
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
