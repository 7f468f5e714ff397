"""What a build may be told of its cache and its platform, checked; it must not build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.build.caching.specs import FROM, TO, CacheSpec, parse_specs
from labcontainers.containers.options.flags import about
from labcontainers.engine.transfers import default_policy
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import Platform, host_platform
from labcontainers.oci.platforms import normalized, parse_platform

KEYWORDS = ("no_cache_filter", "pull", "platform", "cache_from", "cache_to")


@dataclass(frozen=True, slots=True)
class CachingWishes:
    """What a build is told of its cache and platform; `request_keywords` are those of a BuildRequest."""

    request_keywords: Mapping[str, Any]
    cache_from: tuple[CacheSpec, ...] = ()
    cache_to: tuple[CacheSpec, ...] = ()


def take_caching(keywords: dict[str, Any], renew: Callable[[str], Image | None], folder: Path) -> CachingWishes:
    """What the keywords say, which are taken out of `keywords`; `renew` asks a registry for an image anew.

    `no_cache_filter` are stages of which every step is done anew. With `pull` bases are asked for anew, as LABCONTAINERS_PULL=always
    says it for all builds. `platform` is this machine's, in all its forms. `cache_from` and `cache_to` are such as "type=local,src=DIR",
    "type=registry,ref=NAME,mode=max" or "type=inline", with paths from `folder`, or names of images. Raises InvalidArgument, Unsupported.
    """
    said = {key: keywords.pop(key, None) for key in KEYWORDS}
    return CachingWishes(
        {
            "no_cache_stages": stage_names(_several(said["no_cache_filter"])),
            "pull": renew if asks_anew(said["pull"]) else None,
            "platform": build_platform(said["platform"]),
        },
        parse_specs(FROM, _several(said["cache_from"]), folder),
        parse_specs(TO, _several(said["cache_to"]), folder),
    )


def _several(value: str | Sequence[str] | None) -> Sequence[str]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def stage_names(texts: Sequence[str]) -> tuple[str, ...]:
    """The stages of --no-cache-filter, each text with one or several after commas; raises InvalidArgument."""
    names = tuple(part.strip() for text in texts for part in text.split(","))
    if not all(names):
        raise InvalidArgument(f"--no-cache-filter: no name of a stage in {','.join(texts)!r}", "write STAGE or STAGE,STAGE")
    return names


def asks_anew(pull: bool | None) -> bool:
    """Whether bases are asked for at their registries though the store has them: as is said, else as LABCONTAINERS_PULL says."""
    return default_policy() == "always" if pull is None else pull


def build_platform(text: str | None) -> Platform | None:
    """The platform of --platform, which must be this machine's in one of its forms; raises InvalidArgument and Unsupported."""
    if text is None:
        return None
    own = normalized(host_platform())
    parts = [part.strip() for part in text.split(",") if part.strip()]
    with about("--platform"):
        wanted = [parse_platform(part) for part in parts]
    if len(set(wanted)) > 1:
        raise Unsupported(f"--platform: {text}: a build makes an image for one platform", f"build for {own}, which is this machine's")
    if not wanted:
        raise InvalidArgument(f"--platform: no platform in {text!r}", f"write {own}, or leave it out")
    if (wanted[0].os, wanted[0].architecture) != (own.os, own.architecture):
        raise Unsupported(f"--platform: {text} cannot run on this machine, which is {own}", "build there, or leave it out")
    return wanted[0]
