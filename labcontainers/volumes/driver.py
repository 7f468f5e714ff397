"""What a volume may be called and made of: names, and the options of the driver `local`; it must not touch the store.

Source: moby's volume/local.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from labcontainers.errors import InvalidArgument, Unsupported

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LONGEST = 255
_BIND_WORDS = frozenset(("bind", "rbind", "rw", "ro", "private", "rprivate"))


@dataclass(frozen=True, slots=True)
class Backing:
    """Where a volume's files are: "" for a folder of the store, "bind" for the folder `device` of the host, "tmpfs" with `data`."""

    kind: str = ""
    device: str = ""
    data: str = ""
    read_only: bool = False


def check_name(name: str) -> str:
    """Raises InvalidArgument, in Docker's words, for what cannot be a volume's name."""
    if len(name) == 1 and _NAME.fullmatch(name):
        raise InvalidArgument(
            f"volume name is too short, names should be at least two alphanumeric characters: {name!r}", "give a longer name"
        )
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InvalidArgument(
            f"create {name}: {name!r} includes invalid characters for a local volume name, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            "if you intended to pass a host directory, use absolute path",
        )
    return name


def check_driver(driver: str) -> None:
    """Raises Unsupported for every driver but `local`."""
    if driver not in ("", "local"):
        raise Unsupported(f"volume driver {driver!r} is not supported: there are no plugins", "use the driver local")


def backing_of(options: Mapping[str, str]) -> Backing:
    """What `type`, `device` and `o` mean. Raises InvalidArgument for a wrong one, Unsupported for file systems that need a mount."""
    unknown = next((key for key in options if key not in ("type", "device", "o", "size")), None)
    if unknown is not None:
        raise InvalidArgument(f"invalid option: {unknown!r}", "the driver local has type, device and o")
    if "size" in options:
        raise Unsupported("volume option size is not supported: quotas need a file system with project ids", "use o=size= with type=tmpfs")
    if not options:
        return Backing()
    kind, device = options.get("type", ""), options.get("device", "")
    words = [word for word in options.get("o", "").split(",") if word]
    if not device:
        raise InvalidArgument('missing required option: "device"', "name a folder, or tmpfs with type=tmpfs")
    if kind == "tmpfs":
        return Backing("tmpfs", device, ",".join(words))
    if kind in ("", "none", "bind") and {"bind", "rbind"} & set(words):
        return _bind(device, words)
    if not kind:
        raise InvalidArgument('missing required option: "type"', "use type=tmpfs, or type=none with o=bind")
    raise Unsupported(f"a volume of type {kind!r} is not supported: only tmpfs and o=bind are", "mount it on the host, and use o=bind")


def _bind(device: str, words: list[str]) -> Backing:
    other = next((word for word in words if word not in _BIND_WORDS), None)
    if other is not None:
        raise Unsupported(f"volume option o={other} is not supported with o=bind", f"use {', '.join(sorted(_BIND_WORDS))}")
    if not os.path.isabs(device):
        raise InvalidArgument(f"the device of a volume with o=bind must be an absolute path: {device!r}", "write device=/some/folder")
    return Backing("bind", os.path.normpath(device), "", "ro" in words)
