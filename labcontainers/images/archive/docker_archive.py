"""The images of an archive in Docker's own form: manifest.json, which names a config and layers for each.

It must not know the store. Source: moby, image/spec/v1.2.md and image/tarexport; older ones hold `<id>/layer.tar`, newer ones blobs.
"""

from __future__ import annotations

import re
from typing import Any

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.archive.archived import MOST_IMAGES, Archived, check_digest, described_by, opener, parse_document, platform_of
from labcontainers.images.archive.contents import Contents
from labcontainers.images.layer_source import LayerSource
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.platforms import choose
from labcontainers.oci.reference import parse_reference

MANIFEST = "manifest.json"
# Names that tell the digest: Docker's blobs, Docker's old configs, and those of go-containerregistry.
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_CONFIG = re.compile(r"(?:blobs/sha256/|sha256:)?([0-9a-f]{64})(?:\.json)?")


def is_docker_archive(contents: Contents) -> bool:
    """Whether the archive has images in Docker's own form."""
    return contents.has(MANIFEST)


def read_docker_archive(contents: Contents, wanted: Platform | None) -> list[Archived]:
    """The images of manifest.json with their names; only those for the platform `wanted`, if that is given.

    Raises InvalidArgument, NotFound, DigestMismatch.
    """
    entries = parse_document(contents.document(MANIFEST), MANIFEST)
    if not isinstance(entries, list) or not entries:
        raise InvalidArgument(f"{MANIFEST} of the archive names no images", "it is damaged: copy or make it again")
    if len(entries) > MOST_IMAGES:
        raise InvalidArgument(f"{MANIFEST} of the archive names {len(entries)} images", f"at most {MOST_IMAGES} are read")
    found: dict[str, Archived] = {}
    for entry in entries:
        image = _image(contents, entry)
        if wanted is not None and choose([image.platform], wanted) is None:
            continue
        kept = found.setdefault(image.id, image)
        if kept is not image:
            kept.names += [name for name in image.names if name not in kept.names]
    if not found:
        raise NotFound(f"the archive has no image for {wanted}", "leave --platform out to load what is there")
    return list(found.values())


def ids_by_name(contents: Contents) -> dict[str, str]:
    """The id of each image that manifest.json names, as far as its configs are there."""
    entries = parse_document(contents.document(MANIFEST), MANIFEST)
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("Config"), str) and contents.has(entry["Config"]):
            image_id = sha256(contents.document(entry["Config"]))
            found |= dict.fromkeys(map(_name, _texts(entry, "RepoTags")), image_id)
    return found


def _image(contents: Contents, entry: Any) -> Archived:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        raise InvalidArgument(f"{MANIFEST} of the archive has an image without a config", "it is damaged: copy or make it again")
    name = entry["Config"]
    config = contents.document(name)
    if digits := _CONFIG.fullmatch(name):
        check_digest(config, f"sha256:{digits[1]}", name)
    layers = _texts(entry, "Layers")
    described = described_by(config, len(layers), f"the image of {name}")
    sources = [_source(contents, path, diff_id) for path, diff_id in zip(layers, described.diff_ids, strict=True)]
    names = [_name(text) for text in _texts(entry, "RepoTags")]
    return Archived(None, config, platform_of(described), sources, names, frozenset((sha256(config),)))


def _texts(entry: dict[str, Any], key: str) -> list[str]:
    value = entry.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidArgument(f"{MANIFEST} of the archive has {key} that are no texts", "it is damaged: copy or make it again")
    return value


def _name(text: str) -> str:
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidArgument(f"{MANIFEST} of the archive names an image by a digest: {text}", "a name there has a tag")
    return reference.familiar


def _source(contents: Contents, path: str, diff_id: str) -> LayerSource:
    size = contents.size(path)
    digits = _BLOB.fullmatch(path)
    return LayerSource(diff_id, opener(contents, path), f"sha256:{digits[1]}" if digits else "", size)
