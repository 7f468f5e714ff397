"""Layer trees, each kept once for its chain and never changed; it must not know what made them.

`snapshots/<chain hex>/fs` is the tree; `snapshots/l/<16 digits>` is a short link to it, since overlay's options must fit in a page.

The rename of the tree, its link and its row change under one lock, in an order that leaves at worst a tree without a row, which the
next recover() takes away. Files of a tree are not synced one by one: after a power failure verify(deep=True) tells which suffered.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from labcontainers.errors import Conflict, Failed, NotFound
from labcontainers.oci.digest import chain_id, parse_digest
from labcontainers.store.blobs import fsync_directory
from labcontainers.store.locks import Locks
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import Records
from labcontainers.store.scratch import Scratch

_SHORT = 16
_LOCK = "snapshots"
# The file in a scratch directory that names the layer on which its tree stands.
_BELOW = "below"


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
    """All layer trees of a store. Thread-safe, and safe beside other processes."""

    def __init__(self, paths: StorePaths, records: Records, worker: TreeWorker, locks: Locks, scratch: Scratch) -> None:
        self._paths = paths
        self._records = records
        self._worker = worker
        self._locks = locks
        self._scratch = scratch

    def tree(self, chain: str) -> Path:
        """Where the tree of a chain is, if it is there."""
        return self._place(chain) / "fs"

    def has(self, chain: str) -> bool:
        """Whether the layer is complete: its row is written after its tree."""
        return self._records.find_layer(chain) is not None and self._link(chain).is_dir()

    def lower_paths(self, diff_ids: Sequence[str]) -> tuple[Path, ...]:
        """The trees of an image's layers, top first as overlay wants them; raises NotFound when one is missing."""
        found: list[Path] = []
        chain = ""
        for diff_id in diff_ids:
            chain = chain_id((chain, diff_id) if chain else (diff_id,))
            link = self._link(chain)
            if not link.is_dir():
                raise NotFound(f"layer {diff_id} is not in the store", "remove the image and make it again")
            found.append(link)
        return tuple(reversed(found))

    def _place(self, chain: str) -> Path:
        return self._paths.snapshots / parse_digest(chain)[1]

    def _link(self, chain: str) -> Path:
        return self._paths.snapshots / "l" / parse_digest(chain)[1][:_SHORT]

    # --- making layers

    def new_tree(self, below: Sequence[str] = ()) -> Path:
        """A scratch directory with `fs` and `work`, ours until it is committed or discarded, or until this process dies.

        As long as it is there, nobody removes the layers `below` on which it stands; raises Conflict when they are gone already.
        """
        scratch = self._scratch.new_directory()
        if below:
            with self._locks.hold(_LOCK):
                if not self.has(chain_id(below)):
                    self._scratch.release(scratch)
                    raise Conflict("another process removed the layers on which this one shall stand", "build it again")
                (scratch / _BELOW).write_text(chain_id(below))
        for name in ("fs", "work"):
            (scratch / name).mkdir()
            (scratch / name).chmod(0o755)
        return scratch

    def commit(self, scratch: Path, parent_diff_ids: Sequence[str]) -> Layer:
        """Move `scratch/fs` into place as the layer above `parent_diff_ids`; blocks while it is hashed.

        A layer that is there already is kept. The scratch directory is gone afterwards; when this raises, it is still the caller's.
        """
        staged = scratch / "layer"
        staged.mkdir(mode=0o700, exist_ok=True)
        measured = self._worker.call("labcontainers.store.trees:settle", source=str(scratch / "fs"), target=str(staged / "fs"))
        chain = chain_id([*parent_diff_ids, measured["diff_id"]])
        layer = Layer(measured["diff_id"], chain, measured["size_bytes"])
        if not self.has(chain):
            with self._locks.hold(_LOCK):
                # Another process may have made the same layer meanwhile.
                if not self.has(chain):
                    if parent_diff_ids and not self.has(chain_id(parent_diff_ids)):
                        raise Conflict("another process removed the layers below this one while it was made", "build it again")
                    self._put_in_place(staged, chain)
                    self._records.put_layer(chain, layer.diff_id, chain_id(parent_diff_ids), layer.size_bytes, time.time())
        self.discard(scratch)
        return layer

    def _put_in_place(self, staged: Path, chain: str) -> None:
        place, link = self._place(chain), self._link(chain)
        self._to_trash(place)
        other = _target(link)
        if other not in (None, place.name) and link.exists():
            raise Failed(f"two layers share their first {_SHORT} digits: {place.name} and {other}", "remove the other image")
        link.unlink(missing_ok=True)
        os.rename(staged, place)
        os.symlink(f"../{place.name}/fs", link)
        fsync_directory(link.parent)
        fsync_directory(place.parent)

    def discard(self, scratch: Path) -> None:
        """Drop a scratch directory. Idempotent."""
        try:
            self._delete(self._to_trash(scratch))
        finally:
            self._scratch.release(scratch)

    def remove(self, chain: str) -> bool:
        """Remove a layer unless another one stands on it; absent is fine. Its row goes first, then its tree. Whether it is gone."""
        with self._locks.hold(_LOCK):
            if self._records.has_layer_above(chain) or chain in self._stood_on():
                return False
            self._records.remove_layer(chain)
            self._link(chain).unlink(missing_ok=True)
            gone = self._to_trash(self._place(chain))
        self._delete(gone)
        return True

    def _stood_on(self) -> set[str]:
        """The layers on which somebody is making another one."""
        found = set()
        for scratch in self._scratch.living():
            with contextlib.suppress(OSError):
                found.add((scratch / _BELOW).read_text())
        return found

    def _to_trash(self, path: Path) -> Path | None:
        """Out of sight at once; where it is now, or None when it was not there."""
        gone = self._paths.trash / f"{path.name}.{secrets.token_hex(4)}"
        try:
            os.rename(path, gone)
        except FileNotFoundError:
            return None
        return gone

    def _delete(self, gone: Path | None) -> None:
        if gone is not None:
            self._worker.call("labcontainers.store.trees:remove", path=str(gone))

    # --- after a crash

    def recover(self) -> list[Path]:
        """Move what dead processes left half-made into the trash, and return where it is; needs no worker and deletes nothing."""
        gone = [self._to_trash(path) for path in self._scratch.dead()]
        with self._locks.hold(_LOCK):
            for path in self._strays():
                if path.is_symlink():
                    path.unlink()
                else:
                    gone.append(self._to_trash(path))
        return [path for path in gone if path is not None]

    def leftovers(self) -> list[Path]:
        """What recover() would take away now."""
        with self._locks.hold(_LOCK):
            return [*self._scratch.dead(), *self._strays()]

    def _strays(self) -> list[Path]:
        """Trees without a row, and links that lead nowhere."""
        rows = {parse_digest(row.chain_id)[1] for row in self._records.list_layers()}
        trees = [path for path in sorted(self._paths.snapshots.iterdir()) if path.name not in rows and path.name != "l"]
        links = [link for link in sorted((self._paths.snapshots / "l").iterdir()) if _target(link) not in rows]
        return [*trees, *links]

    def verify(self, *, deep: bool = False) -> list[str]:
        """What is not as it should be: rows without tree, link or parent; with `deep`, trees that are not what was committed (slow)."""
        rows = {row.chain_id: row for row in self._records.list_layers()}
        complaints = []
        for chain, row in rows.items():
            tree = self.tree(chain)
            if not tree.is_dir():
                complaints.append(f"layer {chain} has no tree")
            if _target(self._link(chain)) != tree.parent.name:
                complaints.append(f"layer {chain} has no short link")
            if row.parent_chain_id and row.parent_chain_id not in rows:
                complaints.append(f"layer {chain} lacks its parent {row.parent_chain_id}")
            if chain != chain_id([row.parent_chain_id, row.diff_id] if row.parent_chain_id else [row.diff_id]):
                complaints.append(f"layer {chain} is not the chain of its parent and {row.diff_id}")
            if deep and tree.is_dir():
                found = self._worker.call("labcontainers.store.trees:measure", tree=str(tree))["diff_id"]
                if found != row.diff_id:
                    complaints.append(f"the tree of layer {chain} is damaged: it is {found}, not {row.diff_id}")
        return complaints


def _target(link: Path) -> str | None:
    """The name of the layer's directory that a short link names, or None when there is no link."""
    try:
        return Path(os.readlink(link)).parent.name
    except OSError:
        return None
