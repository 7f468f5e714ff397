"""What a worker reads of an image to tell its packages: the databases of package managers, layer by layer, and Python's dist-info.

It must not know the store: it gets paths of trees, and writes a new file of JSON lines. No symbolic link of an image is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from typing import Any

from labcontainers.images.line_file import LineWriter
from labcontainers.images.merged_tree import FILE, Merged, Node, allow_many_descriptors, walk
from labcontainers.kernel.scoped_paths import BENEATH, open_in

DPKG, DPKG_PARTS, APK = "var/lib/dpkg/status", "var/lib/dpkg/status.d", ("lib/apk/db/installed", "usr/lib/apk/db/installed")
# Databases that are not read; that they are there is told.
UNREAD = ("var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/pacman/local")
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_MOST_BYTES = 64 << 20
_MOST_METADATA_BYTES = 1 << 20


def list_package_files(trees: Sequence[str], output: str) -> None:
    """Write a line [kind, path, layer, sha1, sha256, text] for each file of `trees` (top first) that tells of packages.

    Kinds are dpkg, apk, status.d, dist-info, os-release, and unread, whose text is "". A database of dpkg or apk that the image has is
    told as each layer has it, from the bottom up; the others as they are seen. `layer` counts from the bottom, 0 is the lowest.
    """
    allow_many_descriptors()
    with LineWriter(output) as lines:
        top = Merged.root(trees)
        try:
            for path in (DPKG, *APK):
                if _is_seen(top, path):
                    for layer, tree in enumerate(reversed(trees)):
                        _tell_database(lines, "dpkg" if path == DPKG else "apk", tree, path, layer)
            for path in UNREAD:
                if _is_seen(top, path):
                    lines.line(["unread", path, 0, "", "", ""])
            for path, node in walk(top):
                if not node.is_file:
                    continue
                if path.startswith(f"{DPKG_PARTS}/") and path.count("/") == DPKG_PARTS.count("/") + 1 and not path.endswith(".md5sums"):
                    _tell(lines, "status.d", path, node.layer, _content(node))
                elif path in _OS_RELEASE:
                    _tell(lines, "os-release", path, node.layer, _content(node))
                elif path.endswith(".dist-info/METADATA"):
                    _tell(lines, "dist-info", path, node.layer, _content(node))
        finally:
            top.close()


def _is_seen(top: Merged, path: str) -> bool:
    """Whether the image has it, once its layers are put together."""
    level, opened = top, list[Merged]()
    try:
        *folders, name = path.split("/")
        for folder in folders:
            level = level.enter(folder)
            opened.append(level)
        return bool(level.parts) and level.find(name) is not None
    finally:
        for one in opened:
            one.close()


def _tell_database(lines: LineWriter, kind: str, tree: str, path: str, layer: int) -> None:
    root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in(root, path, os.O_RDONLY | os.O_NONBLOCK, BENEATH)
    except OSError:
        return  # this layer has none
    finally:
        os.close(root)
    with open(fd, "rb", buffering=0) as file:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES:
            _tell(lines, kind, path, layer, file.readall())


def _content(node: Node) -> bytes:
    with open(os.open(node.name, FILE, dir_fd=node.parent), "rb", buffering=0) as file:
        return file.read(_MOST_METADATA_BYTES)


def _tell(lines: LineWriter, kind: str, path: str, layer: int, data: bytes) -> None:
    sums: list[Any] = [hashlib.sha1(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()]
    lines.line([kind, path, layer, *sums, data.decode("utf-8", "replace")])
