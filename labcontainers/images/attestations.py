"""Attestations beside an image: statements in a manifest of their own, and the index that names it and the image's.

It must not know what the statements say. Sources: BuildKit, docs/attestations/attestation-storage.md; in-toto.io/Statement/v0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.oci.descriptor import Descriptor, Platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Manifest, canonical_json, media_type_of

MEDIA_TYPE_STATEMENT = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v0.1"
_UNKNOWN = Platform("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Attached:
    """The index, the attestations' manifest, and the blobs that this names."""

    index: bytes
    manifest: bytes
    blobs: tuple[bytes, ...]


# Makes them for the image's manifest as it is sent or written.
Attach = Callable[[bytes], Attached]


@dataclass(frozen=True, slots=True)
class Attestations:
    """What to attach: (type, predicate) of each statement, the image's platform and names as package URLs, and annotations."""

    predicates: Sequence[tuple[str, Mapping[str, Any]]]
    platform: Platform
    names: Sequence[str] = ()
    index_annotations: Mapping[str, str] = field(default_factory=dict)
    descriptor_annotations: Mapping[str, str] = field(default_factory=dict)

    def attach(self, manifest: bytes) -> Attached:
        """The documents for this manifest; equal ones for equal values."""
        digest = sha256(manifest)
        subject = [{"name": name, "digest": {"sha256": digest.partition(":")[2]}} for name in self.names or ("_",)]
        statements = [
            canonical_json({"_type": STATEMENT, "predicateType": kind, "subject": subject, "predicate": predicate})
            for kind, predicate in self.predicates
        ]
        layers = tuple(
            Descriptor(MEDIA_TYPE_STATEMENT, sha256(data), len(data), {"in-toto.io/predicate-type": kind})
            for data, (kind, _) in zip(statements, self.predicates, strict=True)
        )
        config = canonical_json(
            {
                "architecture": _UNKNOWN.architecture,
                "os": _UNKNOWN.os,
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            }
        )
        attached = Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), layers).to_bytes()
        image = Descriptor(media_type_of(manifest), digest, len(manifest), self.descriptor_annotations, self.platform)
        reference = {"vnd.docker.reference.digest": digest, "vnd.docker.reference.type": "attestation-manifest"}
        beside = Descriptor(MEDIA_TYPE_MANIFEST, sha256(attached), len(attached), reference, _UNKNOWN)
        index: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_INDEX,
            "manifests": [image.to_json(), beside.to_json()],
        }
        if self.index_annotations:
            index["annotations"] = dict(self.index_annotations)
        return Attached(canonical_json(index), attached, (config, *statements))
