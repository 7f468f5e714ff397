"""What is told of the build cache: its records with their sizes, and what a prune removed; it must not count or remove anything."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from labcontainers.markup import TABLE
from labcontainers.store.cache_rows import CacheRow
from labcontainers.units import format_age, format_bytes

_HEADS = ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED")


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """A step of a build, or a folder of RUN --mount=type=cache, that is kept; `size_bytes` on disk.

    `shared` says that an image or a container has its layer, too, `in_use` that a step has the folder mounted now. `chain` and `parent`
    are the chain_ids of its layer and of what that lies on, "" without.
    """

    row: CacheRow
    shared: bool
    size_bytes: int
    chain: str = ""
    parent: str = ""
    in_use: bool = False

    @property
    def id(self) -> str:
        return self.row.key.partition(":")[2][:25]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of RUN --mount=type=cache."""
        return self.row.key.startswith("mount:")

    @property
    def type(self) -> str:
        """BuildKit's word for what it is."""
        return "exec.cachemount" if self.is_folder else "regular"

    @property
    def is_loose(self) -> bool:
        """Whether it takes space for nobody but builds: what a prune without `all` takes."""
        return self.is_folder or bool(self.chain and not self.shared)

    @property
    def own_bytes(self) -> int:
        """What becomes free with it."""
        return 0 if self.shared else self.size_bytes

    def cells(self) -> tuple[str, ...]:
        """The columns of `buildx du`: a star for a folder that changes, and for what is shared."""
        reclaimable = "false" if self.in_use else "true"
        name, star = f"{self.id}{'*' if self.is_folder else ''}", "*" if self.shared else ""
        return name, reclaimable, format_bytes(self.size_bytes, 4) + star, _ago(self.row.used_at)

    def paragraph(self) -> str:
        """All that is known, as `buildx du --verbose` tells it."""
        lines = (
            ("ID", self.id),
            ("Created at", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(self.row.created_at))),
            ("Mutable", str(self.is_folder).lower()),
            ("Reclaimable", str(not self.in_use).lower()),
            ("Shared", str(self.shared).lower()),
            ("Size", format_bytes(self.size_bytes, 4)),
            ("Description", self.row.about or "-"),
            ("Usage count", str(self.row.uses)),
            ("Last used", _ago(self.row.used_at)),
            ("Type", self.type),
        )
        return "\n".join(f"{name + ':':<16}{value}" for name, value in lines)


class CacheUsages(Sequence[CacheUsage]):
    """The records of the build cache, the last used first; prints as `buildx du` does."""

    def __init__(self, items: Sequence[CacheUsage], *, verbose: bool = False) -> None:
        self._items = tuple(items)
        self._verbose = verbose

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> CacheUsage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CacheUsage]: ...
    def __getitem__(self, index: int | slice) -> CacheUsage | Sequence[CacheUsage]:
        return self._items[index]

    def verbose(self) -> CacheUsages:
        """The same, printed with all that is known of each."""
        return CacheUsages(self._items, verbose=True)

    @property
    def shared_bytes(self) -> int:
        """What images and containers have, too: each layer once."""
        return sum({one.chain: one.size_bytes for one in self._items if one.shared}.values())

    @property
    def private_bytes(self) -> int:
        """What only the cache has: each layer once."""
        return own_bytes(self._items)

    @property
    def reclaimable_bytes(self) -> int:
        """What a prune of everything makes free."""
        return own_bytes([one for one in self._items if not one.in_use])

    def summary(self) -> Sequence[tuple[str, str]]:
        """The lines below the table."""
        total = self.shared_bytes + self.private_bytes
        first = [("Shared", self.shared_bytes), ("Private", self.private_bytes)] if self.shared_bytes else []
        return [(name, format_bytes(size, 4)) for name, size in (*first, ("Reclaimable", self.reclaimable_bytes), ("Total", total))]

    def __repr__(self) -> str:
        below = "\n".join(f"{name + ':':<16}{size}" for name, size in self.summary())
        body = "\n\n".join(one.paragraph() for one in self._items) if self._verbose else table([one.cells() for one in self._items])
        return f"{body}\n\n{below}" if self._verbose and self._items else f"{body}\n{below}" if not self._verbose else below

    def _repr_html_(self) -> str:
        return html_table([one.cells() for one in self._items], [one.row.about for one in self._items], self.summary())


@dataclass(frozen=True, slots=True)
class PrunedBuilds:
    """What a prune of the build cache removed, and the bytes on disk that became free.

    `waits` says that the steps stayed, since an image was being made: the next prune, or the end of a later build, takes them.
    """

    records: Sequence[CacheUsage]
    reclaimed_bytes: int
    waits: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(one.id for one in self.records)

    def verbose(self) -> str:
        """All that is known of each."""
        parts = [*(one.paragraph() for one in self.records), self._below()]
        return "\n\n".join(parts)

    def _below(self) -> str:
        note = "The steps of builds stay while an image is being made: prune again when it is done.\n" if self.waits else ""
        return f"{note}{'Total:':<8}{format_bytes(self.reclaimed_bytes, 4)}"

    def __repr__(self) -> str:
        return f"{table([one.cells() for one in self.records])}\n{self._below()}" if self.records else self._below()

    def _repr_html_(self) -> str:
        note = "<div>The steps of builds stay while an image is being made: prune again when it is done.</div>" if self.waits else ""
        summary = [("Total", format_bytes(self.reclaimed_bytes, 4))]
        return html_table([one.cells() for one in self.records], [one.row.about for one in self.records], summary) + note


def own_bytes(items: Sequence[CacheUsage]) -> int:
    """What they take that nobody else has; a layer that several records have counts once."""
    layers = {one.chain: one.own_bytes for one in items if one.chain}
    return sum(layers.values()) + sum(one.size_bytes for one in items if one.is_folder)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns below their heads."""
    widths = [max(len(row[column]) for row in (_HEADS, *rows)) + 3 for column in range(len(_HEADS))]
    return "\n".join("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (_HEADS, *rows))


def html_table(rows: Sequence[Sequence[str]], titles: Sequence[str], summary: Sequence[tuple[str, str]]) -> str:
    """The same for a notebook; what a record is shows when the mouse is over it."""
    cell = 'style="text-align:left;padding:2px 14px 2px 0;white-space:pre"'
    head = "".join(f"<th {cell}>{name}</th>" for name in _HEADS)
    body = "".join(
        f'<tr title="{html.escape(title)}">' + "".join(f"<td {cell}>{html.escape(text)}</td>" for text in row) + "</tr>"
        for row, title in zip(rows, titles, strict=True)
    )
    below = " · ".join(f"{name}: <b>{html.escape(size)}</b>" for name, size in summary)
    return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><div>{below}</div>"


def _ago(at: float) -> str:
    return f"{format_age(max(0.0, time.time() - at))} ago" if at > 0 else "N/A"
