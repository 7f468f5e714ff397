"""Descriptors and platforms: how one piece of content names another; it must not know where content is stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.oci.digest import parse_digest

# Names of uname(2) that differ from Go's.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""), "aarch64": ("arm64", ""), "armv8l": ("arm", "v7"), "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"),
    "i386": ("386", ""), "i686": ("386", ""), "loongarch64": ("loong64", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and an architecture in Go's words, such as linux and arm64, with its variant or ""."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def to_json(self) -> dict[str, Any]:
        """The OCI platform object."""
        return {"os": self.os, "architecture": self.architecture, **({"variant": self.variant} if self.variant else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Platform:
        """From the OCI platform object."""
        return cls(value["os"], value["architecture"], value.get("variant", ""))


def host_platform(machine: str | None = None) -> Platform:
    """The platform of this machine, or of one that names itself so in uname(2)."""
    machine = machine or os.uname().machine
    return Platform("linux", *_ARCHITECTURES.get(machine, (machine, "")))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed link to content: its media type, digest and size in bytes, `urls` where else it may be had.

    Source: OCI image spec, descriptor.md.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The OCI descriptor object."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform is not None:
            value["platform"] = self.platform.to_json()
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Descriptor:
        """From the OCI descriptor object; raises InvalidArgument when it is none."""
        try:
            parse_digest(value["digest"])
            size = value["size"]
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise InvalidArgument(f"not a size: {size!r}")
            platform = Platform.from_json(value["platform"]) if value.get("platform") else None
            urls = tuple(map(str, value.get("urls") or ()))
            return cls(value["mediaType"], value["digest"], size, dict(value.get("annotations") or {}), platform, urls)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument(f"not a descriptor: {error} is missing or wrong in {value!r}") from None
