"""A build cache outside of a store: an OCI image manifest, whose config (a document of its own kind) tells which step made which layer.

The config of version 1 is {"version": 1, "layers": [{"chain_id", "diff_id"}, ...], "records": [{"key", "layer"}, ...]}. `layers` are in
the order of the manifest's layers, `layer` is a place in it, or -1 for a step that changed no file. A key is that of build.cache: whoever
has the same inputs on the same layers has the same key. In an image's own config the records stand under INLINE, for its own layers.

What is read here may come from anybody: what is not exactly of this form is no cache. It must not know a store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, parse_digest, sha256
from labcontainers.oci.manifest import Manifest, canonical_json

MEDIA_TYPE = "application/vnd.labcontainers.buildcache.v1+json"
INLINE = "labcontainers.cache.v1"
VERSION = 1
MOST_BYTES = 32 << 20
_MOST_RECORDS = 100_000
_MOST_LAYERS = 10_000
_KEY = re.compile(r"step:[0-9a-f]{64}")
# What BuildKit has in place of these.
_OF_BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"
_INLINE_OF_BUILDKIT = "moby.buildkit.cache.v0"


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A layer of a step: as tar, on what it lies, and its stored bytes."""

    diff_id: str
    chain_id: str
    stored: Descriptor


@dataclass(frozen=True, slots=True)
class CacheDocument:
    """The layers of the steps by their keys; None for a step that changed no file."""

    steps: Mapping[str, CachedLayer | None] = field(default_factory=dict)

    def to_config(self) -> tuple[bytes, tuple[Descriptor, ...]]:
        """The config, and the manifest's layers; equal caches give equal bytes."""
        layers = {layer.chain_id: layer for layer in self.steps.values() if layer is not None}
        order = sorted(layers)
        places = {chain: place for place, chain in enumerate(order)}
        value = {
            "version": VERSION,
            "layers": [{"chain_id": chain, "diff_id": layers[chain].diff_id} for chain in order],
            "records": [
                {"key": key, "layer": -1 if layer is None else places[layer.chain_id]} for key, layer in sorted(self.steps.items())
            ],
        }
        return canonical_json(value), tuple(layers[chain].stored for chain in order)

    def to_manifest(self) -> tuple[bytes, bytes]:
        """The manifest and the config."""
        config, layers = self.to_config()
        return Manifest(Descriptor(MEDIA_TYPE, sha256(config), len(config)), layers).to_bytes(), config


def read_cache(manifest: Manifest, config: bytes) -> CacheDocument:
    """The cache of a manifest and its config, or what an image's own config tells; raises InvalidArgument for anything else."""
    value = _json(config)
    if manifest.config.media_type == MEDIA_TYPE:
        layers = _layers(value.get("layers"), manifest.layers)
        return CacheDocument(_steps(value, layers))
    if INLINE in value and isinstance(value[INLINE], dict):
        return CacheDocument(_steps(value[INLINE], _own_layers(value, manifest.layers)))
    if manifest.config.media_type == _OF_BUILDKIT or _INLINE_OF_BUILDKIT in value:
        raise InvalidArgument("it is a cache of BuildKit's, which is not understood")
    raise InvalidArgument("it has no build cache")


def inline(steps: Mapping[str, str], diff_ids: Sequence[str]) -> dict[str, Any]:
    """What an image's own config tells: the keys of steps, with the chain_ids of their layers, "" for one without."""
    places = {chain_id(diff_ids[:count]): count - 1 for count in range(1, len(diff_ids) + 1)}
    records = [{"key": key, "layer": places.get(chain, -1)} for key, chain in sorted(steps.items()) if not chain or chain in places]
    return {"version": VERSION, "records": records}


def _json(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise InvalidArgument(f"its config has {len(data)} bytes, of {MOST_BYTES} that are read")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArgument("its config is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidArgument("its config is no object")
    return value


def _steps(value: Mapping[str, Any], layers: Sequence[CachedLayer]) -> dict[str, CachedLayer | None]:
    records = value.get("records")
    if value.get("version") != VERSION or not isinstance(records, list) or len(records) > _MOST_RECORDS:
        raise InvalidArgument("its records are of another version, or too many")
    steps: dict[str, CachedLayer | None] = {}
    for record in records:
        key, place = (record.get("key"), record.get("layer")) if isinstance(record, dict) else (None, None)
        if not isinstance(key, str) or not _KEY.fullmatch(key) or key in steps:
            raise InvalidArgument("one of its records has no key of a step")
        if not isinstance(place, int) or isinstance(place, bool) or not -1 <= place < len(layers):
            raise InvalidArgument("one of its records names a layer that is not there")
        steps[key] = None if place < 0 else layers[place]
    return steps


def _layers(value: object, stored: Sequence[Descriptor]) -> list[CachedLayer]:
    if not isinstance(value, list) or len(value) != len(stored) or len(value) > _MOST_LAYERS:
        raise InvalidArgument("its layers are not those of its manifest")
    found = []
    for one, descriptor in zip(value, stored, strict=True):
        diff_id, chain = (one.get("diff_id"), one.get("chain_id")) if isinstance(one, dict) else (None, None)
        found.append(CachedLayer(_digest(diff_id), _digest(chain), descriptor))
    return found


def _own_layers(value: Mapping[str, Any], stored: Sequence[Descriptor]) -> list[CachedLayer]:
    rootfs = value.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(stored) or len(stored) > _MOST_LAYERS:
        raise InvalidArgument("its layers are not those of its manifest")
    checked = [_digest(diff_id) for diff_id in diff_ids]
    chains = [chain_id(checked[:count]) for count in range(1, len(checked) + 1)]
    return [CachedLayer(*three) for three in zip(checked, chains, stored, strict=True)]


def _digest(value: object) -> str:
    if not isinstance(value, str) or parse_digest(value)[0] != "sha256":
        raise InvalidArgument("one of its layers has no digest")
    return value
