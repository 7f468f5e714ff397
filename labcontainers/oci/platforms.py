"""Platforms as users write them, and which of several an image is best taken of; it must not know images.

Source: github.com/containerd/platforms: its database of aliases, and Only() for what else a machine can run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from labcontainers.errors import InvalidArgument
from labcontainers.oci.descriptor import Platform, host_platform

_PART = re.compile(r"[a-z0-9_.-]+", re.ASCII)
_SYSTEMS = {"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "aix", "android", "wasip1", "js", "plan9"}
# An architecture's other names, with the variant that they mean.
_ALIASES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "aarch64": ("arm64", ""), "i386": ("386", ""), "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}  # fmt: skip
# What every machine of an architecture is, and is not said.
_IMPLIED = {"amd64": "v1", "arm64": "v8", "arm": ""}
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
_AMD64_VARIANTS = ("v4", "v3", "v2", "")


def parse_platform(text: str) -> Platform:
    """What `text` means: OS[/ARCHITECTURE[/VARIANT]], or an architecture of linux; raises InvalidArgument."""
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidArgument(f"invalid platform {text!r}", "write OS/ARCHITECTURE, such as linux/amd64")
    if len(parts) == 1 and parts[0] not in _SYSTEMS:
        parts.insert(0, "linux")
    own = host_platform()
    system, architecture, variant = [*parts, "", ""][:3]
    return normalized(Platform(system, architecture or own.architecture, variant if architecture else own.variant))


def normalized(platform: Platform) -> Platform:
    """The same platform by the names that Go has for it, without a variant that goes without saying."""
    architecture, variant = _ALIASES.get(platform.architecture, (platform.architecture, ""))
    variant = platform.variant or variant
    if architecture == "arm" and variant.isdigit():
        variant = f"v{variant}"
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform(platform.os, architecture, "" if variant == _IMPLIED.get(architecture) else variant)


def choose(candidates: Sequence[Platform | None], wanted: Platform | None = None) -> int | None:
    """Where in `candidates` the one is that suits `wanted` best, by default this machine; None when none does.

    One of no known platform (None) is taken only where none is known at all.
    """
    known = [None if candidate is None else normalized(candidate) for candidate in candidates]
    for suitable in _suitable(normalized(wanted or host_platform())):
        if suitable in known:
            return known.index(suitable)
    return 0 if known and not any(known) else None


def _suitable(platform: Platform) -> Sequence[Platform]:
    """What runs on a machine of this platform, the best first."""
    system, architecture, variant = platform.os, platform.architecture, platform.variant
    found = [platform]
    if architecture == "amd64":
        if variant in _AMD64_VARIANTS:
            lower = _AMD64_VARIANTS[_AMD64_VARIANTS.index(variant) + 1 :]
            found += [Platform(system, "amd64", level) for level in lower]
        found.append(Platform(system, "386"))
    elif architecture == "arm64":
        if variant:
            found.append(Platform(system, "arm64"))
        found += [Platform(system, "arm", level) for level in _ARM_VARIANTS]
    elif architecture == "arm" and variant in _ARM_VARIANTS:
        found += [Platform(system, "arm", level) for level in _ARM_VARIANTS[_ARM_VARIANTS.index(variant) + 1 :]]
    return found
