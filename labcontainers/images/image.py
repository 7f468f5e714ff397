"""An image as the user holds it: its names, config, layers and size.

It must not know how it came to be; verbs go to the catalog that it came from.
"""

from __future__ import annotations

import html
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from labcontainers.oci.digest import short
from labcontainers.oci.image_config import HistoryEntry, ImageConfig
from labcontainers.units import format_age, format_bytes


class ImageVerbs(Protocol):
    """What an image asks its catalog for."""

    def tag(self, image: Image, reference: str) -> Image: ...

    def remove(self, name_or_id: str, force: bool = False) -> Any: ...


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One layer from the bottom up, with the instruction that made it; `size_bytes` is that of its tar."""

    diff_id: str
    size_bytes: int
    created_by: str


class Image:
    """One image; two of the same id are equal."""

    __slots__ = ("_catalog", "_manifest_digest", "_sizes", "_stored_at", "config", "id", "tags")

    def __init__(
        self,
        catalog: ImageVerbs,
        image_id: str,
        config: ImageConfig,
        tags: tuple[str, ...],
        sizes: tuple[int, ...],
        manifest_digest: str,
        stored_at: float,
    ) -> None:
        self._catalog = catalog
        self._manifest_digest = manifest_digest
        self._sizes = sizes
        self._stored_at = stored_at
        self.id = image_id
        self.config = config
        self.tags = tags

    @property
    def short_id(self) -> str:
        """The first 12 hexadecimal digits of the id."""
        return short(self.id)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the layers' tars, from the bottom up."""
        return self.config.diff_ids

    @property
    def manifest_digest(self) -> str:
        """The digest of the manifest."""
        return self._manifest_digest

    @property
    def size_bytes(self) -> int:
        """All layers' tars together."""
        return sum(self._sizes)

    @property
    def created_at(self) -> float:
        """Seconds since the epoch, from the config; when that says nothing, the time it came into the store."""
        try:
            return datetime.fromisoformat(self.config.created.replace("Z", "+00:00")).timestamp() or self._stored_at
        except ValueError:
            return self._stored_at

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """What made it, oldest first."""
        return self.config.history

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers from the bottom up, each with what made it."""
        makers = [entry.created_by for entry in self.history if not entry.empty_layer]
        makers += [""] * (len(self.diff_ids) - len(makers))
        return tuple(LayerInfo(*row) for row in zip(self.diff_ids, self._sizes, makers, strict=False))

    @property
    def name(self) -> str:
        """Its first name, or its short id."""
        return self.tags[0] if self.tags else self.short_id

    def tag(self, reference: str) -> Image:
        """Give it one more name."""
        return self._catalog.tag(self, reference)

    def remove(self, force: bool = False) -> Any:
        """Remove it with all its names."""
        return self._catalog.remove(self.id, force)

    def inspect(self) -> dict[str, Any]:
        """Docker's image document (Engine API, ImageInspect)."""
        return {
            "Id": self.id,
            "RepoTags": list(self.tags),
            "RepoDigests": [],
            "Created": self.config.created,
            "Architecture": self.config.architecture,
            "Os": self.config.os,
            "Author": self.config.author,
            "Size": self.size_bytes,
            "Config": self.config.config.to_json(),
            "RootFS": {"Type": "layers", "Layers": list(self.diff_ids)},
            "Descriptor": {"digest": self._manifest_digest},
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Image {self.name} ({self.short_id}) {len(self.diff_ids)} layers, {format_bytes(self.size_bytes)}>"

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;padding:1px 10px 1px 0"'
        rows = "".join(
            f'<tr><td style="text-align:right;padding:1px 10px 1px 0">{format_bytes(layer.size_bytes)}</td>'
            f"<td {left}>{html.escape(short(layer.diff_id))}</td><td {left}>{html.escape(layer.created_by)}</td></tr>"
            for layer in self.layers
        )
        names = html.escape(", ".join(self.tags) or "untagged")
        age = format_age(time.time() - self.created_at) if self.created_at > 0 else "long"
        return (
            f"<b>{names}</b> <span style='opacity:.7'>{self.short_id} · {format_bytes(self.size_bytes)} · made {age} ago</span>"
            f'<table style="font-family:monospace;font-size:90%;margin:0">{rows}</table>'
        )
