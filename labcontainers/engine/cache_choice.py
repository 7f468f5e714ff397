"""Which records of the build cache go when there is too much of it; it must not remove anything.

Source: docs.docker.com "Build garbage collection", of the limits: reserved-space is the strongest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labcontainers.engine.cache_told import CacheUsage, own_bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """How much is kept, in bytes, 0 where nothing is said: in any case, at most, and what shall be free on the disk."""

    reserved_bytes: int = 0
    most_bytes: int = 0
    free_bytes: int = 0

    def limit(self, used_bytes: int, free_bytes: int) -> int | None:
        """What may stay of `used_bytes` where so much is free on the disk; None where no limit is said."""
        if not (self.reserved_bytes or self.most_bytes or self.free_bytes):
            return None
        limit = self.most_bytes if self.most_bytes else used_bytes
        if not self.most_bytes and not self.free_bytes:
            limit = 0
        lacking = self.free_bytes - free_bytes
        if lacking > 0:
            limit = min(limit, used_bytes - lacking)
        return max(limit, self.reserved_bytes, 0)


def eldest_first(records: Sequence[CacheUsage]) -> list[CacheUsage]:
    """In the order in which they go: what was used longest ago, but no layer before those that lie on it."""
    used: dict[str, float] = {}
    parents = {one.chain: one.parent for one in records if one.chain}
    for one in records:
        chain, seen = one.chain, set[str]()
        while chain and chain not in seen:
            seen.add(chain)
            used[chain] = max(used.get(chain, 0.0), one.row.used_at)
            chain = parents.get(chain, "")
    depths: dict[str, int] = {}

    def depth(chain: str) -> int:
        way = []
        while chain and chain not in depths and chain not in way:
            way.append(chain)
            chain = parents.get(chain, "")
        for step, name in enumerate(reversed(way), depths.get(chain, 0) + 1):
            depths[name] = step
        return depths.get(way[0] if way else chain, 0)

    return sorted(records, key=lambda one: (used.get(one.chain, one.row.used_at), -depth(one.chain), one.row.uses, one.row.key))


def chosen(everything: Sequence[CacheUsage], candidates: Sequence[CacheUsage], kept: Kept, free_bytes: int) -> list[CacheUsage]:
    """Those of the candidates that go, so that `everything` takes no more than is kept; all of them where no limit is said."""
    used = own_bytes(everything)
    limit = kept.limit(used, free_bytes)
    if limit is None:
        return list(candidates)
    # a layer becomes free with the last record that has it
    having: dict[str, int] = {}
    for one in everything:
        having[one.chain] = having.get(one.chain, 0) + 1
    gone: list[CacheUsage] = []
    for one in eldest_first(candidates):
        if used <= limit:
            break
        if not one.own_bytes:
            continue
        gone.append(one)
        having[one.chain] -= 1
        if one.is_folder or not having[one.chain]:
            used -= one.own_bytes
    return gone
