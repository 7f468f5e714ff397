"""What tells the files that are taken out of another stage or image from others, file by file; it runs in a worker and writes nothing.

It must not know Dockerfiles, the store or the cache. Times do not count, as in BuildKit: copies have one of their own.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from typing import Any

from labcontainers.build.copying import OVERLAY_XATTRS, find_sources, private_mounts
from labcontainers.build.ignore import rules_from
from labcontainers.build.tree_items import Item

_READ_BYTES = 1 << 20


def digests(
    source: dict[str, Any], userxattr: bool, most: int, exclude: Sequence[str] = (), parents: bool = False, tops: bool = False
) -> dict[str, str] | str:
    """What tells files apart, "MODE DIGEST" of each by its name, or one digest for more than `most`. Raises LabError and OSError.

    `source`, `userxattr`, `exclude` and `parents` are what copying.copy() takes. A digest is of content or target, owner, attributes and
    what the file is a hard link to. A folder that is named itself counts with `tops` alone: COPY takes only what is in it.

    Leaves the mount namespace of the calling process: only for a worker. Needs CAP_SYS_ADMIN over it.
    """
    private_mounts()
    request = {"source": source, "parents": parents, "userxattr": userxattr}
    sources, _ = find_sources(request, rules_from(exclude) if exclude else None)
    found: dict[str, str] = {}
    for number, one in enumerate(sources, 1):
        links: dict[tuple[int, int], str] = {}
        for item in one.items:
            if one.is_directory and not item.path and not tops:
                continue
            name = "/".join(part for part in (one.name, item.path) if part) or "."
            found[f"{name} ({number})" if name in found else name] = f"{item.mode:o} {_digest(item, links)}"
    if len(found) <= most:
        return found
    whole = hashlib.sha256()
    for name, digest in found.items():
        whole.update(f"{name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def _digest(item: Item, links: dict[tuple[int, int], str]) -> str:
    assert item.state is not None  # what lies in a tree has one
    state = item.state
    first = ""
    if stat.S_ISREG(item.mode) and state.st_nlink > 1:
        first = links.setdefault((state.st_dev, state.st_ino), item.path)
    linked_to = "" if first == item.path else first
    digest = hashlib.sha256(repr((item.uid, item.gid, item.target, state.st_rdev, linked_to)).encode())
    if stat.S_ISREG(item.mode) or stat.S_ISDIR(item.mode):
        fd = item.open_source()
        try:
            for name in sorted(os.listxattr(fd)):
                if not name.startswith(OVERLAY_XATTRS):
                    digest.update(repr((name, os.getxattr(fd, name))).encode())
            if stat.S_ISREG(item.mode):
                digest.update(b"\0")
                while data := os.read(fd, _READ_BYTES):
                    digest.update(data)
        finally:
            os.close(fd)
    return digest.hexdigest()
