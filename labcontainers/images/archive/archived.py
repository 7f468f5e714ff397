"""What an archive says of one image, once it is understood, whichever form it has; it must not know the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.errors import DigestMismatch, InvalidArgument
from labcontainers.images.archive.contents import Contents
from labcontainers.images.layer_source import LayerSource, Reader
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import ImageConfig

MOST_IMAGES = 1000


@dataclass(slots=True)
class Archived:
    """An image that can be installed: its documents, its layers from the bottom up, and its names with a tag.

    `manifest` is None where the archive has none. `alternatives` are the ids of all images among which this one was chosen.
    """

    manifest: bytes | None
    config: bytes
    platform: Platform
    layers: Sequence[LayerSource]
    names: list[str]
    alternatives: frozenset[str]

    @property
    def id(self) -> str:
        """The digest of the config."""
        return sha256(self.config)


def parse_document(data: bytes, name: str) -> Any:
    """JSON; raises InvalidArgument, also for what is nested too deep."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{name} of the archive is not JSON: {error}"[:300], "it is damaged: copy or make it again") from None


def check_digest(data: bytes, digest: str, what: str) -> None:
    """Raises DigestMismatch unless `digest` is that of `data`."""
    import hashlib

    algorithm, _, wanted = digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != wanted:
        raise DigestMismatch(f"{what} of the archive is not {digest}", "it is damaged: copy or make it again")


def described_by(config: bytes, layers: int, what: str) -> ImageConfig:
    """A config as a value; raises InvalidArgument when it tells of another number of layers."""
    described = ImageConfig.from_bytes(config)
    if len(described.diff_ids) != layers:
        told = f"{what} has {layers} layers, but its config tells of {len(described.diff_ids)}"
        raise InvalidArgument(told, "do not trust whoever made it")
    return described


def platform_of(config: ImageConfig) -> Platform:
    """The platform that an image is for."""
    variant = config.extra.get("variant")
    return Platform(config.os, config.architecture, variant if isinstance(variant, str) else "")


def opener(contents: Contents, name: str) -> Callable[[int], Reader]:
    """What a layer's source opens a file of the archive with."""
    return lambda offset: contents.open(name, offset)
