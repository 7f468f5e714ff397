"""Manifests and indexes: what an image consists of; it must not know where content is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.oci.descriptor import Descriptor

MEDIA_TYPE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_TYPE_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPE_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_TYPE_LAYER = "application/vnd.oci.image.layer.v1.tar"
MEDIA_TYPE_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
MEDIA_TYPE_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
# Docker's names for the same things, which registries still give.
MEDIA_TYPE_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MEDIA_TYPE_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MEDIA_TYPE_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
MEDIA_TYPE_DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no blanks, so that equal values have equal digests."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        # A text with bytes that are no UTF-8 (surrogateescape): only escapes can hold it.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def media_type_of(manifest: bytes) -> str:
    """The media type that a manifest or index says of itself; OCI's for an image when it says none."""
    return str(json.loads(manifest).get("mediaType") or MEDIA_TYPE_MANIFEST)


def _load(data: bytes, what: str, media_types: tuple[str, ...]) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"not {what}: {error}") from None
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise InvalidArgument(f"not {what} of schema version 2")
    if value.get("mediaType", media_types[0]) not in media_types:
        raise InvalidArgument(f"not {what}: its media type is {value['mediaType']!r}")
    # One document must not be read as two kinds (CVE-2021-41190).
    if "manifests" in value and ("layers" in value or "config" in value):
        raise InvalidArgument(f"not {what}: it has both manifests and layers")
    return value


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config and its layers from the bottom up. Source: OCI image spec, manifest.md."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        value: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_MANIFEST,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return canonical_json(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse JSON; raises InvalidArgument."""
        value = _load(data, "an image manifest", (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST))
        if "config" not in value or not isinstance(value.get("layers"), list):
            raise InvalidArgument("not an image manifest: it lacks config or layers")
        return cls(
            Descriptor.from_json(value["config"]),
            tuple(Descriptor.from_json(layer) for layer in value["layers"]),
            dict(value.get("annotations") or {}),
        )


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests, one for each platform. Source: OCI image spec, image-index.md."""

    manifests: tuple[Descriptor, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        manifests = [manifest.to_json() for manifest in self.manifests]
        return canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": manifests})

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Parse JSON; raises InvalidArgument."""
        value = _load(data, "an image index", (MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST))
        if not isinstance(value.get("manifests"), list):
            raise InvalidArgument("not an image index: it lacks manifests")
        return cls(tuple(Descriptor.from_json(manifest) for manifest in value["manifests"]))
