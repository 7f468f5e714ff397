"""`image.layers`, each with what made it and the files that it has, and `image.wasted`.

It must not know where the files come from (images.layer_contents), nor images.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labcontainers.images.file_table import FileTable
from labcontainers.images.files import Files, shown_path
from labcontainers.images.layer_contents import WastedRows
from labcontainers.markup import TABLE
from labcontainers.oci.digest import chain_id, short
from labcontainers.oci.image_config import HistoryEntry
from labcontainers.units import format_bytes

_SHOWN = 20


class Contents(Protocol):
    """Whoever can read layers (images.layer_contents)."""

    def layer(self, diff_ids: Sequence[str]) -> FileTable: ...

    def wasted(self, diff_ids: Sequence[str]) -> WastedRows: ...

    def difference(self, old: Sequence[str], new: Sequence[str], content: bool) -> FileTable: ...


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One layer of an image: `index` counts from the bottom up, `size_bytes` is that of its tar, `created_by` what made it."""

    index: int
    diff_id: str
    chain_id: str
    size_bytes: int
    created_by: str
    created: str
    _below: tuple[str, ...] = field(repr=False, compare=False)
    _contents: Contents = field(repr=False, compare=False)

    @property
    def files(self) -> Files:
        """Its files, told apart from those of the layers below it: added, modified, removed or unchanged.

        The first time a worker reads the layer's tree, and those below it for what is in both. Raises NotFound when one was removed.
        """
        table = self._contents.layer((*self._below, self.diff_id))
        return Files(table, title=f"layer {self.index}")

    @property
    def changes(self) -> dict[str, int]:
        """How many files it adds, modifies and removes; a directory that is removed counts as one."""
        added, modified, removed = self.files.table.changes(-1)
        return {"added": added, "modified": modified, "removed": removed}

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the files: those are `layer.files.to_json()`."""
        names = ("index", "diff_id", "chain_id", "size_bytes", "created_by", "created")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        words = (str(self.index), short(self.diff_id), format_bytes(self.size_bytes), shown_path(self.created_by))
        return f"<ImageLayer {' '.join(filter(None, words))}>"


def layers_of(diff_ids: Sequence[str], sizes: Sequence[int], history: Sequence[HistoryEntry], contents: Contents) -> tuple[ImageLayer, ...]:
    """The layers of an image, from the bottom up; `history` may tell less than there are."""
    makers = [entry for entry in history if not entry.empty_layer]
    made: list[ImageLayer] = []
    for index, (diff_id, size) in enumerate(zip(diff_ids, sizes, strict=False)):
        maker = makers[index] if index < len(makers) else HistoryEntry("", "")
        chain = chain_id((made[-1].chain_id, diff_id)) if made else diff_id
        made.append(ImageLayer(index, diff_id, chain, size, maker.created_by, maker.created, tuple(diff_ids[:index]), contents))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class WastedFile:
    """A path whose content lies in layers where nobody sees it: `lies` are (layer, bytes, "overwritten" or "removed", by which layer)."""

    path: str
    lies: tuple[tuple[int, int, str, int], ...]

    @property
    def size_bytes(self) -> int:
        """All that lies there unseen."""
        return sum(size for _, size, _, _ in self.lies)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers where it lies."""
        return tuple(layer for layer, _, _, _ in self.lies)

    def __str__(self) -> str:
        told = ", ".join(f"{format_bytes(size)} in layer {layer} {became} by layer {by}" for layer, size, became, by in self.lies)
        return f"{shown_path(self.path)}: {told}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lies = [{"layer": layer, "size_bytes": size, "became": became, "by_layer": by} for layer, size, became, by in self.lies]
        return {"path": self.path, "size_bytes": self.size_bytes, "lies": lies}


class Wasted(Sequence[WastedFile]):
    """What an image carries along unseen: files that a later layer removes or overwrites, the largest first."""

    def __init__(self, rows: WastedRows) -> None:
        self.total_bytes = rows.total_bytes
        self.size_bytes = rows.wasted_bytes
        found = [WastedFile(path, tuple((layer, size, became, by) for layer, size, became, by in lies)) for path, lies in rows.rows]
        self._files = sorted(found, key=lambda file: (-file.size_bytes, file.path))

    @property
    def efficiency(self) -> float:
        """The part of all layers' files that is seen in the image: 1.0 when nothing is wasted."""
        return 1.0 - self.size_bytes / self.total_bytes if self.total_bytes else 1.0

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        return self._files[index]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        totals = {"total_bytes": self.total_bytes, "wasted_bytes": self.size_bytes, "efficiency": round(self.efficiency, 6)}
        return {**totals, "files": [file.to_json() for file in self]}

    def _headline(self) -> str:
        files = f"{len(self):,} {'file' if len(self) == 1 else 'files'}"
        return f"{format_bytes(self.size_bytes)} of {format_bytes(self.total_bytes)} wasted in {files}, efficiency {self.efficiency:.1%}"

    def __repr__(self) -> str:
        more = [f"… {len(self) - _SHOWN:,} more: iterate over it"] if len(self) > _SHOWN else []
        return "\n".join([self._headline(), *(f"  {file}" for file in self[:_SHOWN]), *more])

    def _repr_html_(self) -> str:
        left, right = 'style="text-align:left;padding:1px 12px 1px 0"', 'style="text-align:right;padding:1px 12px 1px 0"'
        rows = "".join(
            f"<tr><td {right}>{format_bytes(file.size_bytes)}</td><td {left}>{html.escape(shown_path(file.path))}</td>"
            f"<td {left}>{html.escape(str(file).removeprefix(shown_path(file.path) + ': '))}</td></tr>"
            for file in self[:_SHOWN]
        )
        more = f"<div style='opacity:.7'>… {len(self) - _SHOWN:,} more</div>" if len(self) > _SHOWN else ""
        return f"<b>{html.escape(self._headline())}</b>{TABLE}{rows}</table>{more}"
