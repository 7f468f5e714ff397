"""Devices of a container with a user namespace, where the kernel lets nobody make one: those that the machine's root makes outside.

It must not know what is done with them. Each is a detached mount of one node, which must keep its name until it is attached.
"""

from __future__ import annotations

import os
import stat

from labcontainers.kernel import mounts
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.oci.runtime_spec import Document

KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK}


def detached_nodes(devices: list[Document], uids: list[list[int]], gids: list[list[int]], folder: str) -> dict[str, int]:
    """Path of each device -> the descriptor of its mount; made in the new `folder`, which others may not enter. Raises OSError and Refused.

    `uids` and `gids` are rows of (first inside, first outside, count): a node belongs to the container's user.
    """
    made: dict[str, int] = {}
    os.mkdir(folder, 0o700)
    for number, device in enumerate(devices):
        name = f"{folder}/{number}"
        if device["type"] == "p":
            continue  # anybody may make a pipe
        owner = _outside(device["uid"] or 0, uids, device["path"]), _outside(device["gid"] or 0, gids, device["path"])
        os.mknod(name, KINDS[device["type"]] | 0o600, os.makedev(device["major"], device["minor"]))
        os.chown(name, *owner)
        os.chmod(name, 0o666 if device["fileMode"] is None else device["fileMode"] & 0o7777)
        made[device["path"]] = tree = mounts.open_tree(name)
        mounts.set_attributes(tree, 0, clear=mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_RDONLY)
    return made


def _outside(number: int, rows: list[list[int]], path: str) -> int:
    for inside, outside, count in rows:
        if inside <= number < inside + count:
            return outside + number - inside
    raise Refused(f"linux.devices: {path}: the user namespace has no id {number}")
