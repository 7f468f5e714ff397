"""What is in the layers of images: read by a worker when it is first asked for, kept in memory and, for layers, on disk.

It must not know images. `listings/sha256-HEX.N` of the store holds the rows of the layer whose chain is HEX (N is the version of
their form): the tree of a chain never changes, so what is there is true; its loss costs only time.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from labcontainers.errors import Failed, NotFound
from labcontainers.images.bill import Line, read_lines
from labcontainers.images.file_table import FileTable
from labcontainers.oci.digest import chain_id, parse_digest
from labcontainers.store.layout import Store

Made = TypeVar("Made")
Arguments = Mapping[str, Any]

_VERSION = "2"
_WASTED = "wasted"
_PACKAGES = "packages"
_IN_MEMORY = 8
_STALE_S = 3600
_GZIP = 31


@dataclass(frozen=True, slots=True)
class WastedRows:
    """What images.wasted_files found: (path, [(layer, bytes, what became of it, by which layer)])."""

    total_bytes: int
    wasted_bytes: int
    rows: Sequence[tuple[str, list[list[Any]]]]


class LayerContents:
    """The files of layers, by their diff_ids from the bottom up. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def layer(self, diff_ids: Sequence[str]) -> FileTable:
        """The files of the last of these layers, told apart from those below it. Raises NotFound; blocks."""
        trees = self._trees(diff_ids)
        listing = {"tree": trees[0], "lower": trees[1:]}
        chain = chain_id(diff_ids)
        return self._in_memory(chain, lambda: self._on_disk(chain, "", "images.tree_listing:list_layer", listing, FileTable))

    def wasted(self, diff_ids: Sequence[str]) -> WastedRows:
        """What later ones of these layers remove or overwrite of earlier ones. Raises NotFound; blocks."""
        if not diff_ids:
            return WastedRows(0, 0, ())
        trees, chain = self._trees(diff_ids), chain_id(diff_ids)
        function = "images.wasted_files:find_wasted"
        return self._in_memory(f"{chain} {_WASTED}", lambda: self._on_disk(chain, _WASTED, function, {"trees": trees}, _wasted_rows))

    def difference(self, old: Sequence[str], new: Sequence[str], content: bool) -> FileTable:
        """The files that differ between two stacks of layers. Raises NotFound; blocks."""
        sides = {"old": self._trees(old), "new": self._trees(new)}

        def compare() -> FileTable:
            with self._written("images.tree_listing:compare", {**sides, "content": content}, [old, new]) as path:
                return FileTable(path)

        return self._in_memory(f"{chain_id(old)} {chain_id(new)} {content}", compare)

    def package_files(self, diff_ids: Sequence[str]) -> list[Line]:
        """What tells of packages in layers together (images.package_files). Raises NotFound; blocks."""
        if not diff_ids:
            return []
        arguments = {"trees": self._trees(diff_ids)}
        function = "images.package_files:list_package_files"
        return self._on_disk(chain_id(diff_ids), _PACKAGES, function, arguments, lambda path: read_lines(path.read_bytes()))

    # --- where layers are

    def _trees(self, diff_ids: Sequence[str]) -> list[str]:
        """The trees of layers, top first; raises NotFound when one is missing."""
        snapshots = self._store.snapshots
        chains = [chain_id(diff_ids[:count]) for count in range(len(diff_ids), 0, -1)]
        for chain, diff_id in zip(chains, reversed(diff_ids), strict=True):
            if not snapshots.has(chain):
                raise NotFound(f"layer {diff_id} is not in the store", "pull or build the image again")
        return [str(snapshots.tree(chain)) for chain in chains]

    # --- what is kept

    def _in_memory(self, key: str, make: Callable[[], Made]) -> Made:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: Made = self._kept[key]
                return kept
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _IN_MEMORY:
                self._kept.popitem(last=False)
        return made

    @cached_property
    def _folder(self) -> Path:
        folder = self._store.paths.root / "listings"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _on_disk(self, chain: str, kind: str, function: str, arguments: Arguments, read: Callable[[Path], Made]) -> Made:
        """What was kept of a chain, or is written now."""
        place = self._folder / ".".join(filter(None, ("-".join(parse_digest(chain)), kind, _VERSION)))
        with contextlib.suppress(FileNotFoundError, Failed):
            return read(place)
        with self._written(function, arguments, []) as path:
            # Had the layer been removed meanwhile, this might lack what was gone already.
            if not self._store.snapshots.has(chain):
                raise NotFound(f"layer {chain} was removed while it was read", "pull or build the image again")
            made = read(path)
            os.rename(path, place)
        self._sweep()
        return made

    @contextlib.contextmanager
    def _written(self, function: str, arguments: Arguments, standing: Sequence[Sequence[str]]) -> Iterator[Path]:
        """A file that a worker has just written, gone at the end unless it was renamed; the layers `standing` were there all the time."""
        path = self._folder / f".{secrets.token_hex(8)}"
        try:
            try:
                self._store.worker.call(f"labcontainers.{function}", **arguments, output=str(path))
            finally:
                for diff_ids in standing:
                    self._trees(diff_ids)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Take away what tells of layers that are gone, what has an earlier form, and what was left by processes that were killed."""
        now = time.time()
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.name.startswith("."):
                    stale = now - path.lstat().st_mtime > _STALE_S
                else:
                    chain = path.name.partition(".")[0].replace("-", ":")
                    stale = not path.name.endswith(f".{_VERSION}") or not self._store.snapshots.has(chain)
                if stale:
                    path.unlink()


def _wasted_rows(path: Path) -> WastedRows:
    """Raises Failed when these are not rows."""
    try:
        *rows, totals = [json.loads(line) for line in zlib.decompress(path.read_bytes(), _GZIP).splitlines()]
        return WastedRows(totals["total_bytes"], totals["wasted_bytes"], [(path, lies) for path, lies in rows])
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        raise Failed(f"the listing of wasted files is damaged: {error}", "remove the folder `listings` of the store") from None
