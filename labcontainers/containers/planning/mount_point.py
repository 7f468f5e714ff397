"""What is mounted in one container, settled when it was created and kept in its record; it must not make or mount anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One mount at `target`.

    `source` is the path of the host that Docker tells as its source, `name` that of a volume or an image. `bound` is what a volume
    with `o=bind` really is, `data` are a tmpfs' options. Fields that are not told here are those of containers.options.mount.Mount.
    """

    type: str
    source: str
    target: str
    name: str = ""
    mode: str = ""
    read_only: bool = False
    propagation: str = ""
    recursive: str = "enabled"
    subpath: str = ""
    anonymous: bool = False
    bound: str = ""
    data: str | None = None
    image_id: str = ""
    diff_ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for the record; what has its default is left out."""
        values = asdict(self)
        return {key: value for key, value in values.items() if value != _DEFAULTS.get(key, "") or key in ("type", "source", "target")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MountPoint:
        """From a record."""
        return cls(**{**values, "diff_ids": tuple(values.get("diff_ids", ()))})

    def document(self) -> dict[str, Any]:
        """Docker's MountPoint (Engine API, ContainerInspectResponse)."""
        named = {"Name": self.name} if self.name else {}
        driver = {"Driver": "local"} if self.type == "volume" else {}
        return {
            "Type": self.type,
            **named,
            "Source": self.source,
            "Destination": self.target,
            **driver,
            "Mode": self.mode,
            "RW": not self.read_only,
            "Propagation": (self.propagation or "rprivate") if self.type == "bind" else "",
        }


_DEFAULTS = {field.name: field.default for field in fields(MountPoint)}
