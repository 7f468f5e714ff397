"""The rows of the build cache; it must not know what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labcontainers.store.rows import Rows


@dataclass(frozen=True, slots=True)
class CacheRow:
    """A build step's result; `result` is opaque JSON, `uses` counts builds that had it, the first one too, `about` is for people."""

    key: str
    result: str
    created_at: float
    used_at: float
    uses: int = 1
    about: str = ""


class CacheRows(Rows):
    """The table of the build cache."""

    def put_cache(self, key: str, result: str, created_at: float, about: str = "") -> None:
        """Keep a step's result under its key."""
        self._write("INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?, 1, ?)", key, result, created_at, created_at, about)

    def find_cache(self, key: str) -> CacheRow | None:
        return self._one(CacheRow, " WHERE key = ?", key)

    def touch(self, key: str, used_at: float) -> None:
        """Note that a result was used once more."""
        self._write("UPDATE cache SET used_at = ?, uses = uses + 1 WHERE key = ?", used_at, key)

    def list_cache(self) -> list[CacheRow]:
        return self._all(CacheRow, " ORDER BY used_at")

    def list_cache_from(self, prefix: str) -> list[CacheRow]:
        """Those whose keys begin so; of ASCII, without the signs that LIKE and GLOB know."""
        return self._all(CacheRow, " WHERE key >= ? AND key < ? ORDER BY used_at", prefix, prefix + "\x7f")

    def remove_cache(self, key: str) -> None:
        self._write("DELETE FROM cache WHERE key = ?", key)

    def remove_cached(self, keys: Iterable[str]) -> None:
        """Remove several at once."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM cache WHERE key = ?", [(key,) for key in keys])
