"""What a row tells of an image, so that listing a thousand of them reads no document; it must not know where rows are kept.

`facts` is what listings show, `content` what removal must know: which layers and blobs an image needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from labcontainers.errors import InvalidArgument
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """What listings show: `created_at` in seconds since the epoch, 0 where the config says nothing; `stored_bytes` of the documents and
    of those layers that are kept as they came."""

    created_at: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What an image needs: its layers by diff_id from the bottom up, and the digests of the layers in its manifest."""

    diff_ids: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


def describe(config: bytes, manifest: bytes) -> tuple[str, str]:
    """Facts and content of an image, as its row keeps them. Raises InvalidArgument."""
    described, listed = ImageConfig.from_bytes(config), Manifest.from_bytes(manifest)
    kept = [layer for layer, diff_id in zip(listed.layers, described.diff_ids, strict=False) if layer.digest != diff_id]
    facts = {
        "created": moment_of(described.created),
        "labels": dict(described.config.labels),
        "platform": "/".join(filter(None, (described.os, described.architecture, str(described.extra.get("variant") or "")))),
        "stored": len(config) + len(manifest) + sum(layer.size for layer in kept),
    }
    content = {"diff_ids": list(described.diff_ids), "blobs": [layer.digest for layer in listed.layers]}
    return json.dumps(facts, separators=(",", ":")), json.dumps(content, separators=(",", ":"))


def read_facts(text: str) -> Facts:
    """The facts of a row that has some; raises InvalidArgument for a damaged one."""
    try:
        value = json.loads(text)
        return Facts(float(value["created"]), value["labels"], value["platform"], value["stored"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"not the facts of an image: {error!r}") from None


def read_content(text: str) -> Content:
    """The content of a row that has some; raises InvalidArgument for a damaged one."""
    try:
        value = json.loads(text)
        return Content(tuple(value["diff_ids"]), tuple(value["blobs"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"not the content of an image: {error!r}") from None


def moment_of(text: str) -> float:
    """A time of an image's config in seconds since the epoch; 0 where it says nothing that can be read."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def chains_of(diff_ids: Sequence[str]) -> list[str]:
    """The chain of each layer, from the bottom up; each is made of the one below it, as OCI's image spec has it."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(chain_id([chains[-1], diff_id] if chains else [diff_id]))
    return chains
