"""A volume as the user holds it: a handle on a folder of the store; it must not know containers but by their ids."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from labcontainers.markup import TABLE
from labcontainers.store.records import VolumeRow
from labcontainers.volumes.driver import Backing, backing_of

# Docker marks a volume that nobody gave a name so.
ANONYMOUS = "com.docker.volume.anonymous"


class VolumeVerbs(Protocol):
    """What a volume asks the collection that it came from."""

    def remove(self, name: str, force: bool = False) -> None: ...

    def users(self, name: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume; two of the same name and time are equal."""

    name: str
    mountpoint: Path
    created_at: float
    driver: str = "local"
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    options: Mapping[str, str] = field(default_factory=dict, compare=False)
    _verbs: VolumeVerbs | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_row(cls, row: VolumeRow, directory: Path, verbs: VolumeVerbs) -> Volume:
        """From its record."""
        document = json.loads(row.document)
        return cls(row.name, directory / "_data", row.created_at, row.driver, document["labels"], document["options"], verbs)

    @property
    def id(self) -> str:
        """The name, as in docker-py."""
        return self.name

    @property
    def short_id(self) -> str:
        """The name, or the first 12 digits of one that nobody gave."""
        return self.name[:12] if self.anonymous else self.name

    @property
    def anonymous(self) -> bool:
        """Whether it was made for a container, without a name."""
        return ANONYMOUS in self.labels

    @property
    def backing(self) -> Backing:
        """Where its files are, by its options."""
        return backing_of(self.options)

    @property
    def attrs(self) -> dict[str, Any]:
        """Docker's volume document (Engine API, Volume)."""
        return {
            "CreatedAt": datetime.fromtimestamp(self.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Driver": self.driver,
            "Labels": dict(self.labels) or None,
            "Mountpoint": str(self.mountpoint),
            "Name": self.name,
            "Options": dict(self.options) or None,
            "Scope": "local",
        }

    def inspect(self) -> dict[str, Any]:
        """The same as `attrs`."""
        return self.attrs

    @property
    def users(self) -> tuple[str, ...]:
        """The ids of the containers that have it, whether they run or not."""
        assert self._verbs is not None
        return self._verbs.users(self.name)

    def remove(self, force: bool = False) -> None:
        """Remove it with all its files; raises Conflict when a container has it, NotFound without `force` when it is gone."""
        assert self._verbs is not None
        self._verbs.remove(self.name, force)

    def __hash__(self) -> int:
        return hash((self.name, self.created_at))

    def __repr__(self) -> str:
        return f"<Volume {self.short_id} at {self.mountpoint}>"

    def _repr_html_(self) -> str:
        rows = [("driver", self.driver), ("mountpoint", str(self.mountpoint))]
        rows += [(name, ", ".join(f"{key}={value}" for key, value in pairs.items())) for name, pairs in self._pairs()]
        key_cell, cell = 'style="text-align:left;opacity:.7;padding:1px 10px 1px 0"', 'style="text-align:left"'
        body = "".join(f"<tr><td {key_cell}>{key}</td><td {cell}>{html.escape(value)}</td></tr>" for key, value in rows if value)
        return f"<b>{html.escape(self.short_id)}</b>{TABLE}{body}</table>"

    def _pairs(self) -> list[tuple[str, Mapping[str, str]]]:
        return [("labels", {key: value for key, value in self.labels.items() if key != ANONYMOUS}), ("options", self.options)]
