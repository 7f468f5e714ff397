"""`engine.images.build_cache`: what builds keep between them, told, and taken away by hand or by a policy.

A step of a build is a record and perhaps a layer, which counts as the cache's only where no image and no container has it too. A folder
of RUN --mount=type=cache counts whole. It must not know who asks.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labcontainers.build.cache import STEP
from labcontainers.engine.cache_choice import Kept, chosen
from labcontainers.engine.cache_filters import CacheFilter, cache_filter
from labcontainers.engine.cache_told import CacheUsage, CacheUsages, PrunedBuilds
from labcontainers.engine.gc_settings import GcSettings, load_gc_settings
from labcontainers.errors import KernelFailed, LabError
from labcontainers.images.catalog import Catalog
from labcontainers.images.removal import chain_of
from labcontainers.store.cache_mounts import CacheMounts
from labcontainers.store.cache_rows import CacheRow
from labcontainers.store.layout import Store
from labcontainers.units import parse_memory_bytes

# How the key of a folder of RUN --mount=type=cache begins.
MOUNT = "mount:"
_STAMP = "gc"
_LOOK_AGAIN_S = 600.0
_POSITION_DAYS_S = 60 * 86400.0
Size = int | str | None


@dataclass(frozen=True)
class BuildCaches:
    """What all builds of a store have left for the next ones. Safe beside other processes that build, pull or run."""

    store: Store
    catalog: Catalog

    @cached_property
    def _mounts(self) -> CacheMounts:
        return CacheMounts(self.store)

    def usage(self, filters: Mapping[str, Any] | None = None) -> CacheUsages:
        """Each step and folder with its size on disk, the last used first; blocks while folders are counted.

        `filters` are buildx's: id, type, description, inuse, shared, private, mutable, immutable, until. Raises InvalidArgument.
        """
        wanted = cache_filter(filters or {})
        found = sorted(self._all(), key=lambda one: one.row.used_at, reverse=True)
        return CacheUsages([one for one in found if wanted.takes(one)])

    def _all(self, sizes: Mapping[str, int] | None = None) -> list[CacheUsage]:
        layers = self.layers() if sizes is None else sizes
        return [*self._steps(layers, self.catalog.needed().chains), *self._folders()]

    def _steps(self, layers: Mapping[str, int], needed: frozenset[str]) -> list[CacheUsage]:
        parents = {row.chain_id: row.parent_chain_id for row in self.store.records.list_layers()}
        found = []
        for row in self.store.records.list_cache_from(STEP):
            chain = chain_of(row.result)
            found.append(CacheUsage(row, chain in needed, layers.get(chain, 0), chain, parents.get(chain, "")))
        return found

    def _folders(self) -> list[CacheUsage]:
        found = []
        for one in self._mounts.entries():
            row = CacheRow(MOUNT + one.name, "", one.created_at, one.used_at, one.uses, f"cached mount {one.id}")
            with contextlib.suppress(KernelFailed, FileNotFoundError):
                found.append(CacheUsage(row, False, self._measure(str(one.path)), in_use=self._mounts.is_held(one.name)))
        return found

    def layers(self) -> dict[str, int]:
        """What each layer of the store takes on disk; what was not measured yet is now."""
        known = self.store.records.list_layer_usage()
        for row in self.store.records.list_layers():
            if self.store.snapshots.elsewhere(row.chain_id) is not None:
                known[row.chain_id] = 0
            elif row.chain_id not in known:
                # another process may remove it meanwhile
                with contextlib.suppress(KernelFailed, FileNotFoundError):
                    known[row.chain_id] = self._measure(str(self.store.snapshots.tree(row.chain_id)))
                    self.store.records.put_layer_usage(row.chain_id, known[row.chain_id])
        return known

    def _measure(self, path: str) -> int:
        return int(self.store.worker.call("labcontainers.store.trees:usage", path=path)["bytes"])

    # --- pruning

    def prune(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        all: bool = False,
        reserved_space: Size = None,
        max_used_space: Size = None,
        min_free_space: Size = None,
    ) -> PrunedBuilds:
        """Forget steps that no image needs, with `all` every one, and remove their layers and the folders of RUN --mount=type=cache.

        With a space, only what was used longest ago goes, until no more than `max_used_space` is taken and `min_free_space` is free on the
        disk; `reserved_space` is left to the cache in any case. Sizes are bytes, or such as "2gb". `filters` are those of usage().
        While an image is being made, by whichever process, steps stay. Raises InvalidArgument.
        """
        wanted = cache_filter(filters or {})
        kept = Kept(*(_bytes(size) for size in (reserved_space, max_used_space, min_free_space)))
        pruned = self._prune(wanted, kept, lambda one: all or one.is_loose)
        self.store.events.append_prune("builder", pruned.reclaimed_bytes)
        return pruned

    def _prune(self, wanted: CacheFilter, kept: Kept, may_go: Callable[[CacheUsage], bool]) -> PrunedBuilds:
        # measured before the lock, within which nobody can build
        sizes = self.layers()
        everything = {one.row.key: one for one in self._all(sizes)}
        folders = [one for one in everything.values() if one.is_folder]

        def choose(needed: frozenset[str]) -> Iterable[str]:
            return [one.row.key for one in self._chosen([*self._steps(sizes, needed), *folders], wanted, kept, may_go) if not one.is_folder]

        freed = self.catalog.prune_steps(choose)
        keys = set(freed.keys) if freed is not None else set()
        names = {one.row.key for one in self._chosen([*everything.values()], wanted, kept, may_go) if one.is_folder}
        gone = self._mounts.prune(chosen=lambda one: MOUNT + one.name in names)
        keys |= {MOUNT + name for name in gone}
        removed = tuple(one for key, one in everything.items() if key in keys)
        reclaimed = sum(one.size_bytes for one in removed if one.is_folder) + (freed.reclaimed_bytes if freed is not None else 0)
        return PrunedBuilds(removed, reclaimed, waits=freed is None)

    def _chosen(
        self, all_of_them: Sequence[CacheUsage], wanted: CacheFilter, kept: Kept, may_go: Callable[[CacheUsage], bool]
    ) -> list[CacheUsage]:
        candidates = [one for one in all_of_them if may_go(one) and wanted.takes(one) and not one.in_use]
        room = os.statvfs(self.store.paths.root)
        return chosen(all_of_them, candidates, kept, room.f_bavail * room.f_frsize)

    # --- by itself

    def tidy(self) -> PrunedBuilds | None:
        """After a build: what the settings say is too old or too much goes. None where there was nothing to look at yet.

        It looks once in ten minutes, and never raises: the next build looks again.
        """
        stamp = self.store.paths.builds / _STAMP
        with contextlib.suppress(LabError, OSError):
            with contextlib.suppress(FileNotFoundError):
                if 0 <= time.time() - stamp.stat().st_mtime < _LOOK_AGAIN_S:
                    return None
            stamp.touch()
            settings = load_gc_settings()
            return self.collect(settings) if settings.enabled else None
        return None

    def collect(self, settings: GcSettings) -> PrunedBuilds:
        """Take away what these settings do not keep: what nobody used for `keep_s`, and then what was used longest ago."""
        now = time.time()
        old = cache_filter({"until": str(now - settings.keep_s)})
        by_age = self._prune(old, Kept(settings.reserved_bytes, 0, 0), lambda one: True)
        self._forget_positions(now - _POSITION_DAYS_S)
        space = os.statvfs(self.store.paths.root)
        kept = settings.kept(space.f_blocks * space.f_frsize)
        by_size = self._prune(cache_filter({}), kept, lambda one: True)
        waits = by_age.waits or by_size.waits
        return PrunedBuilds((*by_age.records, *by_size.records), by_age.reclaimed_bytes + by_size.reclaimed_bytes, waits)

    def _forget_positions(self, before: float) -> None:
        """What steps depended on the last time only explains, and what addresses and trees had only spares time: all go with their age."""
        rows = [row for kind in ("position:", "web:", "tree:") for row in self.store.records.list_cache_from(kind)]
        self.store.records.remove_cached(row.key for row in rows if row.used_at < before)


def _bytes(size: Size) -> int:
    return 0 if size is None else parse_memory_bytes(size)
