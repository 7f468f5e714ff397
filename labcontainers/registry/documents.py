"""Manifests and indexes as registries give them: bytes that are checked before anybody reads them; it must not send anything."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from labcontainers.errors import DigestMismatch, InvalidArgument, Unsupported
from labcontainers.oci.digest import parse_digest, sha256
from labcontainers.oci.manifest import MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST

MOST_BYTES = 4 << 20
DEPTH = 64
MANIFEST_TYPES = (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_DOCKER_LIST)
_INDEXES = (MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST)
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+"
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index: its bytes as they came, their digest, and what they are."""

    media_type: str
    digest: str
    data: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)


def checked(data: bytes, content_type: str, wanted: str, told: str, what: str) -> Document:
    """The document that is in `data`; `wanted` is the digest asked for or "", `told` the header Docker-Content-Digest or "".

    Raises DigestMismatch, InvalidArgument for what is no manifest or two things at once, Unsupported for other kinds.
    """
    digest = wanted or told
    if digest:
        try:
            same = digest_of(data, digest) == digest
        except InvalidArgument:
            raise DigestMismatch(f"{what}: the registry says that it is {digest[:100]!r}, which is no digest", "try again") from None
        if not same:
            raise DigestMismatch(f"{what}: what came is not {digest}", "try again, or ask who runs the registry")
    value = parse_json(data, what)
    return Document(_type_of(value, content_type, what), wanted or sha256(data), data)


def digest_of(data: bytes, like: str) -> str:
    """The digest of `data` by the algorithm of another digest; raises InvalidArgument when that is none."""
    algorithm, _ = parse_digest(like)
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """An object whose depth is bounded; raises InvalidArgument."""
    depth = 0
    if data.count(b"[") + data.count(b"{") > DEPTH:
        for match in _BRACKETS.finditer(data):
            byte = match[0][:1]
            depth += 1 if byte in b"[{" else -1 if byte in b"]}" else 0
            if depth > DEPTH:
                raise InvalidArgument(f"{what} is nested more than {DEPTH} deep", "ask who made it")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{what} is no JSON: {str(error)[:100]}", "ask who runs the registry") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{what} is no object", "ask who runs the registry")
    return value


def _type_of(value: dict[str, Any], content_type: str, what: str) -> str:
    """What a document is, by its header and by what it says of itself; both have to agree (CVE-2021-41190)."""
    header = content_type.partition(";")[0].strip().lower()
    said = value.get("mediaType", "")
    if header.startswith(_SCHEMA1) or value.get("schemaVersion") == 1:
        raise Unsupported(f"{what} is a manifest of schema 1, which is not supported", "push the image again with a tool of today")
    for name in {header, said} if isinstance(said, str) else {header, repr(said)}:
        if name.startswith("application/vnd.") and name not in MANIFEST_TYPES:
            raise Unsupported(f"{what} is of type {name[:100]}, which is not supported", "it has to be a manifest or an index")
    if header in MANIFEST_TYPES and said and said != header:
        raise InvalidArgument(f"{what} came as {header}, but says that it is {str(said)[:100]!r}", "ask who made it")
    kind = header if header in MANIFEST_TYPES else said
    if kind not in MANIFEST_TYPES:
        kind = MEDIA_TYPE_INDEX if "manifests" in value else MEDIA_TYPE_MANIFEST
    wrong = ("layers", "config", "fsLayers") if kind in _INDEXES else ("manifests", "fsLayers")
    if any(name in value for name in wrong):
        raise InvalidArgument(f"{what} came as {kind}, but has {', '.join(n for n in wrong if n in value)}", "ask who made it")
    return str(kind)
