"""The first and the last layer of an image of packages: links of a merged /usr, and what dpkg and maintainer scripts would write.

Everything is a function of the packages. It must not know where they come from.
Source: debootstrap, functions (setup_merged_usr); base-files' and base-passwd's postinst; dpkg, lib/dpkg/dump.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from labcontainers.errors import LabError
from labcontainers.images.debs.apt_sources import apt_sources
from labcontainers.images.debs.control import parse_paragraph
from labcontainers.images.debs.layers import Record, read_file
from labcontainers.images.debs.sources import Distribution
from labcontainers.images.rootfs_tree import RootTree
from labcontainers.oci.digest import chain_id
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

_LINKS = {"amd64": ("bin", "lib", "lib64", "sbin"), "arm64": ("bin", "lib", "sbin")}
# The table of names in busybox' program: each ends with a zero byte, in alphabetical order from "[" on.
_APPLETS = re.compile(rb"\0(\[\0(?:[a-z0-9\[][a-z0-9_.\[-]*\0){20,})")
_LEAVES_OUT = frozenset(("busybox", "init", "linuxrc"))


def add_skeleton(tree: RootTree, architecture: str) -> None:
    """Links for a merged /usr, and the directories and links that base-files' postinst makes."""
    for name in _LINKS[architecture]:
        tree.directory(f"usr/{name}")
        tree.symlink(f"usr/{name}", name)
    for name in ("media", "mnt", "opt", "srv", "run", "var"):
        tree.directory(name)
    tree.symlink("/run", "var/run")
    tree.symlink("/run/lock", "var/lock")


def status_text(records: Sequence[Record]) -> str:
    """dpkg's status file: every package is unpacked, and waits for its maintainer script."""
    texts = []
    for record in sorted(records, key=lambda record: record.name):
        lines = [line for line in record.control.rstrip("\n").split("\n") if line.strip()]
        lines.insert(1, "Status: install ok unpacked")
        if record.conffiles:
            lines += ["Conffiles:", *(f" {path} {digest}" for path, digest in record.conffiles)]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def add_records(
    tree: RootTree, records: Sequence[Record], architecture: str, read: Callable[[str], bytes], names: Callable[[str], bool]
) -> None:
    """dpkg's status, users and groups, a shell; `read` gives a file of the layers below, `names` whether one of them has a path."""
    tree.directory("var/lib/dpkg/updates")
    tree.directory("var/lib/dpkg/triggers")
    tree.text("var/lib/dpkg/status", status_text(records))
    tree.text("var/lib/dpkg/info/format", "1\n")
    tree.text("var/lib/dpkg/arch", f"{architecture}\n")
    installed = {parse_paragraph(record.control)["Package"] for record in records}
    for name in ("passwd", "group"):
        if "base-passwd" in installed and not names(f"etc/{name}"):
            text = read(f"usr/share/base-passwd/{name}.master").decode("utf-8", "replace")
            if "bash" not in installed:
                text = text.replace(":/bin/bash\n", ":/bin/sh\n")
            tree.text(f"etc/{name}", text)
    has_awk = "mawk" in installed and not names("usr/bin/awk")
    if has_awk:
        tree.symlink("mawk", "usr/bin/awk")
    if "busybox-static" in installed or "busybox" in installed:
        for applet in applets(read("usr/bin/busybox")):
            if not (has_awk and applet == "awk") and not any(names(f"usr/{folder}/{applet}") for folder in ("bin", "sbin")):
                tree.symlink("busybox", f"usr/bin/{applet}")


def add_sources(tree: RootTree, wanted: Distribution, architecture: str, names: Callable[[str], bool]) -> None:
    """Where apt finds the distribution's packages, if that is known; `names` tells whether a layer below has a path."""
    keyring = f"/usr/share/keyrings/{wanted.name}-archive-keyring.gpg"
    text = apt_sources(wanted, architecture, keyring if names(keyring[1:]) else "")
    if text and not names("etc/apt/sources.list"):
        tree.text(f"etc/apt/sources.list.d/{wanted.name}.sources", text)


def applets(program: bytes) -> list[str]:
    """The commands that a busybox program knows; none when its table is not found."""
    match = _APPLETS.search(program)
    if match is None:
        return []
    return [name for name in match[1].decode().split("\0") if name and name not in _LEAVES_OUT]


def commit(store: Store, below: Sequence[str], fill: Callable[[RootTree], None]) -> Layer:
    """A layer of what `fill` puts into an empty tree, above the layers `below`."""
    scratch = store.snapshots.new_tree(below)
    try:
        tree = RootTree(scratch / "fs")
        fill(tree)
        tree.finish()
        return store.snapshots.commit(scratch, below)
    except BaseException:
        store.snapshots.discard(scratch)
        raise


def has_path(store: Store, diff_ids: Sequence[str], path: str) -> bool:
    """Whether one of the layers has something of this path (which leads through no link)."""
    places = (store.snapshots.tree(chain_id(diff_ids[:count])) / path for count in range(1, len(diff_ids) + 1))
    return any(_is_there(place) for place in places)


def _is_there(place: Path) -> bool:
    try:
        place.lstat()
    except OSError:
        return False
    return True


def layer_file(store: Store, diff_ids: Sequence[str]) -> Callable[[str], bytes]:
    """A function that gives a file of these layers, or nothing where no layer has it."""

    def read(path: str) -> bytes:
        try:
            return read_file(store, diff_ids, path)
        except LabError:
            return b""

    return read
