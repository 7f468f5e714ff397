"""What a build is asked for, checked and ready for the builder; it must not know who asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labcontainers.build.cache import Seen
from labcontainers.build.caching.importing import CacheSource
from labcontainers.build.remotes.addresses import Address
from labcontainers.build.remotes.named import NamedContext
from labcontainers.build.secrets import Confidential
from labcontainers.errors import InvalidArgument
from labcontainers.images.archive.contents import Data
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import Platform

MOST_AT_ONCE = "LABCONTAINERS_BUILD_STEPS"
_MOST_THREADS = 64


def most_at_once() -> int:
    """How many steps of one build are done at a time: LABCONTAINERS_BUILD_STEPS, else as many as there are cores, and 4 at least.

    Raises InvalidArgument.
    """
    said = os.environ.get(MOST_AT_ONCE)
    if not said:
        return max(4, len(os.sched_getaffinity(0)))
    if not said.isdecimal() or not 0 < int(said) <= _MOST_THREADS:
        raise InvalidArgument(f"{MOST_AT_ONCE}: invalid value {said!r}", f"use a number from 1 to {_MOST_THREADS}")
    return int(said)


@dataclass(slots=True)
class CachingElsewhere:
    """Caches outside of the store that are asked, whether the image tells its own steps, and the steps, when they are done."""

    sources: Sequence[CacheSource] = ()
    inline: bool = False
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build: a context folder, and the Dockerfile's text, or its path (in the context unless absolute).

    `remote` is the address or the archive that is the context in place of the folder; `contexts` are those with a name.
    Steps of `no_cache_stages` are done anew. `pull` asks for a base anew, and gives None for one that is only here. The image is for
    `platform`, by default this machine's. `network` is what RUN steps get: bridge, none or host; `hosts` are lines of their /etc/hosts,
    NAME:ADDRESS. `rights` are of build.rights. With `verify` every step is done twice and compared, with `squash` the image
    has one layer above its base. Of steps that do not need each other,
    `most_at_once` are done at a time.
    """

    context: Path
    dockerfile_text: str | None = None
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    pull: Callable[[str], Image | None] | None = None
    platform: Platform | None = None
    caching: CachingElsewhere = field(default_factory=CachingElsewhere)
    network: str = "bridge"
    hosts: tuple[str, ...] = ()
    rights: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    confidential: Confidential = field(default_factory=Confidential)
    most_at_once: int = field(default_factory=most_at_once)
    remote: Address | Data | None = None
    contexts: Mapping[str, NamedContext] = field(default_factory=dict)
    verify: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    squash: bool = False
