"""Operations of a container's file system that few containers need: devices of one's choice, and what is shared with others.

It must not import anything but what the launcher holds, and follows no symbolic link of the image outside of the root.
"""

from __future__ import annotations

import os
import stat

from labcontainers.kernel import mounts
from labcontainers.kernel.lean import Any
from labcontainers.runtime.rootfs import Refused, RootFileSystem

_KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_TEMPORARY = ".labcontainers-device"


def device_node(root: RootFileSystem, path: str, kind: str, major: int, minor: int, mode: int, uid: int, gid: int) -> None:
    """Make a device and put it at `path`.

    It is made in the container's /dev, where nodes work, and bound from there when it is wanted elsewhere. So it has an inode of
    its own, whose mode and owner the container may change without changing the host's node.
    """
    dev = root.find("/dev", os.O_PATH | os.O_DIRECTORY)
    folder, _, name = path.rpartition("/")
    place = root.target(folder or "/", directory=True)
    try:
        if os.fstat(place).st_dev == os.fstat(dev).st_dev:
            _forget(name, place)
            _make(name, place, kind, major, minor, mode, uid, gid)
        else:
            _make(_TEMPORARY, dev, kind, major, minor, mode, uid, gid)
            root.attach_tree(mounts.open_tree(_TEMPORARY, dirfd=dev), path, path)
            os.unlink(_TEMPORARY, dir_fd=dev)
    finally:
        os.close(place)
        os.close(dev)


def _make(name: str, directory: int, kind: str, major: int, minor: int, mode: int, uid: int, gid: int) -> None:
    os.mknod(name, _KINDS[kind] | 0o600, os.makedev(major, minor), dir_fd=directory)
    os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    # The node was just made in a file system that nobody else sees, so nobody can have put a link in its place.
    os.chmod(f"/proc/self/fd/{directory}/{name}", mode)


def _forget(name: str, directory: int) -> None:
    """Take away a default device that is given anew."""
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise Refused(f"cannot make a device at {name}: there is a directory")
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


def bind_device(root: RootFileSystem, source: str, target: str) -> None:
    """Bind a device of the host where the kernel lets nobody make one; what is there must still be a device."""
    tree = mounts.open_tree(source)
    mode = os.fstat(tree).st_mode
    if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode)):
        os.close(tree)
        raise Refused(f"{source} is no device any more")
    root.attach_tree(tree, target, source)


def bind_kernel(root: RootFileSystem, source: str, target: str) -> None:
    """Bind a kernel file system of the host, all of it, where no new one may be mounted; one that the host lacks is left out."""
    try:
        tree = mounts.open_tree(source, recursive=True)
    except FileNotFoundError:
        return
    root.attach_tree(tree, target, source, strict=True)


def operations(root: RootFileSystem, inherited: dict[str, int]) -> dict[str, Any]:
    """Name of each operation -> the function that does it; `inherited` are detached mounts by name (runtime.joining)."""

    def attach_shared(name: str, target: str) -> None:
        root.attach_tree(os.dup(inherited[name]), target, strict=True)

    return {
        "device_node": lambda **arguments: device_node(root, **arguments),
        "bind_device": lambda **arguments: bind_device(root, **arguments),
        "bind_kernel": lambda **arguments: bind_kernel(root, **arguments),
        "attach_shared": attach_shared,
    }
