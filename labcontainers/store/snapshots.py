"""Layer trees, each kept once for its chain and never changed; it must not know what made them.

`snapshots/<chain hex>/fs` is the tree, or a link to one that is kept elsewhere and only read here; `snapshots/l/<16 digits>` is a short
link to it, since overlay's options must fit in a page.

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
from labcontainers.store.host_layer import HOST_ROOT, is_host
from labcontainers.store.locks import Locks
from labcontainers.store.paths import StorePaths
from labcontainers.store.records import LayerRow, Records
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

    @property
    def mount_points(self) -> str:
        """The tree that goes below all layers of a container (store.mount_points)."""
        return str(self._paths.mount_points)

    def tree(self, chain: str) -> Path:
        """Where the tree of a chain is, if it is there."""
        return self.elsewhere(chain) or self._place(chain) / "fs"

    def elsewhere(self, chain: str) -> Path | None:
        """Where the tree is kept if that is not in this store, whether it is there still or not."""
        try:
            return Path(os.readlink(self._place(chain) / "fs"))
        except OSError:
            return None

    def has(self, chain: str) -> bool:
        """Whether the layer is complete: its row is written after its tree."""
        return self._records.find_layer(chain) is not None and self._link(chain).is_dir()

    def lower_paths(self, diff_ids: Sequence[str]) -> tuple[str, ...]:
        """The trees of an image's layers, top first as overlay wants them; raises NotFound when one is missing."""
        found: list[str] = []
        chain = ""
        for diff_id in diff_ids:
            chain = chain_id((chain, diff_id) if chain else (diff_id,))
            link = str(self._link(chain))
            if not os.path.isdir(link):
                raise self._missing(chain, diff_id)
            found.append(HOST_ROOT if is_host(diff_id) else link)
        return tuple(reversed(found))

    def _missing(self, chain: str, diff_id: str) -> NotFound:
        place = self.elsewhere(chain)
        if place is None:
            return NotFound(f"layer {diff_id} is not in the store", "remove the image and make it again")
        return NotFound(
            f"layer {diff_id} is not at {place} any more", "bring that folder back, or remove the image and pull or make it again"
        )

    def size_bytes(self, diff_ids: Sequence[str]) -> int:
        """The layers of an image together, as tar; those that are missing count as nothing."""
        return sum(self.sizes_bytes(diff_ids))

    def sizes_bytes(self, diff_ids: Sequence[str]) -> tuple[int, ...]:
        """The size of each layer of an image as tar, from the bottom up; 0 where one is missing."""
        rows = (self._records.find_layer(chain_id(diff_ids[:count])) for count in range(1, len(diff_ids) + 1))
        return tuple(row.size_bytes if row is not None else 0 for row in rows)

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
        try:
            if below:
                self.stand_on(scratch, below)
            for name in ("fs", "work"):
                (scratch / name).mkdir()
                (scratch / name).chmod(0o755)
        except BaseException:
            self.discard(scratch)
            raise
        return scratch

    def stand_on(self, scratch: Path, below: Sequence[str]) -> None:
        """Let nobody remove the layers `below` as long as the scratch directory is there; raises Conflict when they are gone already."""
        with self._locks.hold(_LOCK):
            if not self.has(chain_id(below)):
                raise Conflict("another process removed the layers on which this one shall stand", "make it again")
            (scratch / _BELOW).write_text(chain_id(below))

    def commit(self, scratch: Path, parent_diff_ids: Sequence[str], newest_s: int | None = None) -> Layer:
        """Move `scratch/fs` into place as the layer above `parent_diff_ids`; blocks while it is hashed.

        Of what is in it, nothing is newer than `newest_s` (seconds since 1970) then. A layer that is there already is kept. The scratch
        directory is gone afterwards; when this raises, it is still the caller's.
        """
        staged = self._stage(scratch)
        source, target = str(scratch / "fs"), str(staged / "fs")
        measured = self._worker.call("labcontainers.store.trees:settle", source=source, target=target, newest_s=newest_s)
        return self._keep(scratch, parent_diff_ids, measured["diff_id"], measured["size_bytes"], unpacked=False)

    def adopt(self, scratch: Path, parent_diff_ids: Sequence[str], diff_id: str, size_bytes: int, *, unpacked: bool = True) -> Layer:
        """As commit(), for a tree that was unpacked from the tar of this digest and size, which need not be the canonical one.

        With `unpacked` false it is the canonical one: who made the tree has measured it.
        """
        staged = self._stage(scratch)
        source, target = scratch / "fs", staged / "fs"
        try:
            os.rename(source, target)
        except PermissionError:
            self._worker.call("labcontainers.store.trees:move", source=str(source), target=str(target))
        return self._keep(scratch, parent_diff_ids, diff_id, size_bytes, unpacked=unpacked)

    def link(self, tree: Path, parent_diff_ids: Sequence[str], diff_id: str, size_bytes: int, *, unpacked: bool) -> Layer:
        """As adopt(), for a tree that stays where it is, and that nobody changes; what it takes on disk counts for nothing here."""
        scratch = self._scratch.new_directory()
        try:
            os.symlink(tree, self._stage(scratch) / "fs")
            return self._keep(scratch, parent_diff_ids, diff_id, size_bytes, unpacked=unpacked)
        except BaseException:
            self.discard(scratch)
            raise

    @staticmethod
    def _stage(scratch: Path) -> Path:
        staged = scratch / "layer"
        staged.mkdir(mode=0o700, exist_ok=True)
        return staged

    def _keep(self, scratch: Path, parent_diff_ids: Sequence[str], diff_id: str, size_bytes: int, *, unpacked: bool) -> Layer:
        chain = chain_id([*parent_diff_ids, diff_id])
        layer = Layer(diff_id, chain, size_bytes)
        if not self.has(chain):
            with self._locks.hold(_LOCK):
                # Another process may have made the same layer meanwhile.
                if not self.has(chain):
                    if parent_diff_ids and not self.has(chain_id(parent_diff_ids)):
                        raise Conflict("another process removed the layers below this one while it was made", "make the image again")
                    self._put_in_place(scratch / "layer", chain)
                    self._records.put_layer(LayerRow(chain, diff_id, chain_id(parent_diff_ids), size_bytes, time.time(), int(unpacked)))
        self.discard(scratch)
        return layer

    def _put_in_place(self, staged: Path, chain: str) -> None:
        place, link = self._place(chain), self._link(chain)
        self._delete(self._to_trash(place))
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
        if gone is not None and not _remove_bare(gone):
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
                place = self.elsewhere(chain)
                complaints.append(
                    f"layer {chain} has no tree" if place is None else f"layer {chain} has lost its tree, which was at {place}"
                )
            if _target(self._link(chain)) != self._place(chain).name:
                complaints.append(f"layer {chain} has no short link")
            if row.parent_chain_id and row.parent_chain_id not in rows:
                complaints.append(f"layer {chain} lacks its parent {row.parent_chain_id}")
            if chain != chain_id([row.parent_chain_id, row.diff_id] if row.parent_chain_id else [row.diff_id]):
                complaints.append(f"layer {chain} is not the chain of its parent and {row.diff_id}")
            # A tree that was unpacked from a tar of somebody else's does not give that back: `image verify` unpacks it anew.
            if deep and tree.is_dir() and not row.unpacked:
                found = self._worker.call("labcontainers.store.trees:measure", tree=str(tree))
                if found["diff_id"] != row.diff_id:
                    complaints.append(f"the tree of layer {chain} is damaged: it is {found['diff_id']}, not {row.diff_id}")
                elif found["size_bytes"] != row.size_bytes:
                    complaints.append(f"layer {chain} has {found['size_bytes']} bytes, not {row.size_bytes}")
        return complaints


def _remove_bare(scratch: Path) -> bool:
    """Remove a scratch directory that nothing is left in, as it is after a commit, without a worker; whether that was all."""
    try:
        (scratch / _BELOW).unlink(missing_ok=True)
        for name in ("layer", "fs", "work"):
            with contextlib.suppress(FileNotFoundError):
                (scratch / name).rmdir()
        scratch.rmdir()
    except OSError:
        return False
    return True


def _target(link: Path) -> str | None:
    """The name of the layer's directory that a short link names, or None when there is no link."""
    try:
        return Path(os.readlink(link)).parent.name
    except OSError:
        return None
