"""The flags of `build` that are of its cache and its platform; it must not build."""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag

FLAGS = (
    Flag(("--no-cache",), "do every step anew", "switch"),
    Flag(("--no-cache-filter",), "do the steps of these stages anew; repeatable", "list", "STAGE[,STAGE]"),
    Flag(("--cache-from",), "cache outside of the store: type=local,src=DIR, type=registry,ref=NAME or NAME; repeatable", "list", "CACHE"),
    Flag(("--cache-to",), "write one: type=local,dest=DIR, type=registry,ref=NAME[,mode=max] or type=inline; repeatable", "list", "CACHE"),
    Flag(("--pull",), "ask the registries for the bases anew", "switch"),
    Flag(("--platform",), "the platform of the image, which must be this machine's", metavar="OS/ARCHITECTURE", completes="platform"),
)


def keywords(call: Invocation) -> dict[str, Any]:
    """These flags as keywords of Engine.images.build()."""
    return {
        "no_cache": call.no_cache,
        "no_cache_filter": call.no_cache_filter,
        "cache_from": call.cache_from,
        "cache_to": call.cache_to,
        "pull": call.pull or None,
        "platform": call.platform,
    }
