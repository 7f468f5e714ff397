"""A mount as a user asks for it, and the checks that all ways to ask share; it must not make or mount anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from labcontainers.containers.options.forms import shown
from labcontainers.errors import InvalidArgument

TYPES = ("bind", "volume", "tmpfs", "image")
# mount(8), "shared subtree operations"
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
RECURSIONS = ("enabled", "disabled", "writable", "readonly")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount at `target`. `source` is an absolute path of the host, a volume's name or "" for an anonymous one, or an image.

    `mode` is the last part of a -v as written; `propagation`, one of PROPAGATIONS or "", and `recursive`, one of RECURSIONS, are a
    bind's; `no_copy`, `labels` and `driver_opts` a volume's; `subpath` lies below a volume or an image; `tmpfs` are options as for
    --tmpfs.
    """

    source: str
    target: str
    read_only: bool = False
    type: str = "bind"
    mode: str = ""
    propagation: str = ""
    recursive: str = "enabled"
    no_copy: bool = False
    subpath: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    driver_opts: tuple[tuple[str, str], ...] = ()
    tmpfs: str = ""


def checked_target(text: str, what: str) -> str:
    """An absolute path below `/`, normalized; raises InvalidArgument. `what` is mounted there, as a message names it."""
    if not text.startswith("/") or os.path.normpath(text).strip("/") == "" or "\0" in text:
        raise InvalidArgument(f"the target of a {what} must be an absolute path below /: {shown(text)}", "write it such as /data")
    return "/" + os.path.normpath(text).lstrip("/")


def checked_subpath(text: str, key: str) -> str:
    """A path below a volume or an image, as filepath.IsLocal of Go sees it; raises InvalidArgument."""
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise InvalidArgument(f"{key} must be a relative path without '..': {shown(text)}", "write it such as some/folder")
    return text


def one_target_each(mounts: Iterable[tuple[str, str]]) -> None:
    """Of each mount the flag that asks for it, and its target; raises InvalidArgument, naming both flags, when two have the same."""
    seen: dict[str, str] = {}
    for flag, target in mounts:
        if target in seen:
            problem = f"conflicting options: duplicate mount point: {target} of {seen[target]} and {flag}"
            raise InvalidArgument(problem, "mount one thing there")
        seen[target] = flag
