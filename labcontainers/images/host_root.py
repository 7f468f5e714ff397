"""`FROM host`: an image whose lowest layer is this machine's own root, and what such an image is not good for.

It must not read more of the machine than tells its state: the packages that are installed, by their managers' own lists. What was
changed beside those (by pip, by hand) does not count, and steps that were built on it are taken from the cache nevertheless.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labcontainers.errors import Denied, InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.oci.reference import parse_reference
from labcontainers.store.host_layer import host_diff_id, stands_on_host
from labcontainers.store.layout import Store

LABEL = "labcontainers.base"
# What `build --allow` takes for it.
ALLOW = "host"
WARNING = "what is made of this machine's own files is neither portable nor reproducible"
_NAME = "docker.io/library/host:latest"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "1970-01-01T00:00:00Z"
# What the machine is, and what is installed: dpkg, apk; of pacman and rpm the times and sizes of their databases tell it.
_READ = ("/etc/machine-id", "/etc/os-release", "/var/lib/dpkg/status", "/lib/apk/db/installed")
_LOOKED_AT = ("/var/lib/pacman/local", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/local/bin", "/usr/local/lib")


@dataclass(frozen=True, slots=True)
class HostImage:
    """What a build may ask of the image `host`, which is in no catalog."""

    id: str
    config: ImageConfig
    diff_ids: tuple[str, ...]


def is_name(name: str) -> bool:
    """Whether `name` means the machine's root where no image has that name; raises InvalidReference."""
    return not name.startswith("sha256:") and parse_reference(name).canonical == _NAME


def make(store: Store, *, rootless: bool, allowed: bool) -> HostImage:
    """The image of the machine's root as it is now, its layer being in the store; quick.

    Raises Unsupported for an ordinary user, and Denied unless it is `allowed`: the steps of a Dockerfile, whoever wrote it, can read
    all of root's files.
    """
    refuse_rootless("FROM host", rootless=rootless)
    if not allowed:
        raise Denied("FROM host lets a Dockerfile read every file of this machine", f"if you trust it, build with --allow {ALLOW}")
    diff_id = host_diff_id(_state())
    with store.making():
        if not store.snapshots.has(diff_id):
            scratch = store.snapshots.new_tree()
            try:
                store.snapshots.adopt(scratch, (), diff_id, 0)
            except BaseException:
                store.snapshots.discard(scratch)
                raise
    platform = host_platform()
    process = ProcessConfig(env=(_PATH,), cmd=("sh",), labels={LABEL: "host"})
    history = (HistoryEntry(_CREATED, f"FROM host: the root of the machine {os.uname().nodename}"),)
    config = ImageConfig(platform.architecture, platform.os, process, (diff_id,), history, _CREATED)
    return HostImage(sha256(config.to_bytes()), config, (diff_id,))


def _state() -> bytes:
    digest = hashlib.sha256()
    for text in _told():
        digest.update(text)
    return digest.digest()


def _told() -> Iterator[bytes]:
    for path in _READ:
        try:
            with open(path, "rb") as file:
                yield b"%s %s\n" % (path.encode(), hashlib.sha256(file.read()).digest())
        except OSError:
            continue
    for folder in _LOOKED_AT:
        try:
            names = sorted(os.scandir(folder), key=lambda entry: entry.name)
            for entry in names:
                status = entry.stat(follow_symlinks=False)
                yield os.fsencode(f"{entry.path} {status.st_mtime_ns} {status.st_size}\n")
        except OSError:
            continue


def refuse_rootless(what: str, *, rootless: bool) -> None:
    """Raises Unsupported for an ordinary user, whose kernel takes no root below an overlay in which the host has mounted something."""
    if rootless:
        problem = f"{what} needs root: an ordinary user's overlay cannot lie on a root file system in which others are mounted"
        raise Unsupported(problem, "use lab/base or bootstrap, or run on the machine's files by: run --rootfs / COMMAND")


def refuse(image: Image, verb: str) -> None:
    """Raises Unsupported when the image stands on the machine's root, of which nobody else has the same."""
    if stands_on_host(image.diff_ids):
        problem = f"{verb}: image {image.name} stands on this machine's own files (FROM host), and so is of no use elsewhere"
        raise Unsupported(problem, "build it FROM an image")


def refuse_foreign(diff_ids: Sequence[str]) -> None:
    """Raises InvalidArgument for an image from elsewhere that claims to stand on this machine's root."""
    if stands_on_host(diff_ids):
        raise InvalidArgument("the image claims to stand on the root of a machine (FROM host)", "build it here, or FROM an image")
