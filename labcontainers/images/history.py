"""What made an image, step by step, as Docker's `history` tells it; it must not know where images are kept."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.images.facts import moment_of
from labcontainers.markup import TABLE
from labcontainers.oci.digest import short
from labcontainers.oci.image_config import HistoryEntry
from labcontainers.units import format_age, format_bytes

MISSING = "<missing>"


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a history with what its layer takes as tar; `image_id` is "" where the step is no image of its own.

    `diff_id` is that of its layer, or "" for a step that changed the config alone.
    """

    entry: HistoryEntry
    size_bytes: int = 0
    diff_id: str = ""
    image_id: str = ""
    tags: tuple[str, ...] = ()

    @property
    def created_at(self) -> float | None:
        """Seconds since the epoch; None where the entry does not say it."""
        return moment_of(self.entry.created) if self.entry.created else None

    @property
    def age(self) -> str:
        """How long ago it was made, in Docker's words."""
        return "N/A" if not self.created_at else f"{format_age(time.time() - self.created_at)} ago"

    def to_json(self) -> dict[str, Any]:
        """Docker's document of a step (Engine API, HistoryResponseItem)."""
        at = self.created_at
        return {
            "Id": self.image_id or MISSING,
            "Created": -62135596800 if at is None else int(at),
            "CreatedBy": self.entry.created_by,
            "Tags": list(self.tags) or None,
            "Size": self.size_bytes,
            "Comment": self.entry.comment,
        }


class History(tuple[HistoryEntry, ...]):
    """The entries of an image's config, oldest first; `steps` has them with their sizes. Shown, the newest stands at the top."""

    steps: tuple[Step, ...]

    def __new__(
        cls,
        entries: Iterable[HistoryEntry],
        diff_ids: Sequence[str] = (),
        sizes: Sequence[int] = (),
        image_id: str = "",
        tags: tuple[str, ...] = (),
    ) -> History:
        made = super().__new__(cls, entries)
        made.steps = tuple(_steps(made, diff_ids, sizes, image_id, tags))
        return made

    def to_json(self) -> list[dict[str, Any]]:
        """Docker's documents, the newest first."""
        return [step.to_json() for step in reversed(self.steps)]

    def __repr__(self) -> str:
        lines = [
            f"{step.age:>25}  {format_bytes(step.size_bytes):>8}  {step.entry.created_by or step.entry.comment}"
            for step in reversed(self.steps)
        ]
        return "\n".join(lines) or "no history"

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:1px 12px 1px 0"'
        number = 'style="text-align:right;padding:1px 12px 1px 0;white-space:nowrap"'
        heads = "".join(f"<th {cell}>{name}</th>" for name in ("image", "created", "size", "created by", "comment"))
        rows = "".join(
            f"<tr><td {cell}>{short(step.image_id) if step.image_id else ''}</td><td {cell}>{html.escape(step.age)}</td>"
            f"<td {number}>{format_bytes(step.size_bytes)}</td><td {cell}>{html.escape(step.entry.created_by)}</td>"
            f"<td {cell}>{html.escape(step.entry.comment)}</td></tr>"
            for step in reversed(self.steps)
        )
        return f"{TABLE}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _steps(
    entries: Sequence[HistoryEntry], diff_ids: Sequence[str], sizes: Sequence[int], image_id: str, tags: tuple[str, ...]
) -> Iterable[Step]:
    """Each entry that is no empty layer has the next layer from the bottom; a history that tells of too many gets no more."""
    layers = iter(zip(diff_ids, sizes, strict=False))
    for number, entry in enumerate(entries, 1):
        diff_id, size = ("", 0) if entry.empty_layer else next(layers, ("", 0))
        last = number == len(entries)
        yield Step(entry, size, diff_id, image_id if last else "", tags if last else ())
