"""A container's root directory as one open descriptor, for a worker: entered while the container runs, mounted anew while it does not.

It must not open anything in the root by a path: whoever gets the descriptor does that below it (openat2(2), RESOLVEIN_ROOT), so that
no symbolic link of the container leads to the host, whatever a process in it does meanwhile.

A view is a dict of plain values that containers.files.copying makes: `pid`, `pid_start` of a running container; else `trees` (its upper
directory first), `work`, `mount`, `userxattr`, `mounts` [[source, target, read_only, subpath]], `writable`, `read_only`. `alone` leaves out
all that is mounted in the root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from labcontainers.errors import Conflict, InvalidArgument, KernelFailed
from labcontainers.kernel import mounts, scoped_paths, syscalls
from labcontainers.kernel.mounts import MNT_DETACH, MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC
from labcontainers.kernel.scoped_paths import IN_ROOT, open_in
from labcontainers.runtime import cleanup
from labcontainers.runtime.handshake import Channel, start_time
from labcontainers.runtime.rootfs import RootFileSystem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What the runtime itself mounts: files of the kernel, which are endless or unreadable, and devices.
_KERNELS = ("proc", "sys", "dev", "dev/pts", "dev/mqueue", "sys/fs/cgroup")


def resolve(root_fd: int, path: str) -> str:
    """`path` with all symbolic links followed inside the root (kernel.scoped_paths); raises InvalidArgument for a circle."""
    try:
        return scoped_paths.resolve(root_fd, path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InvalidArgument(f"too many symbolic links on the way to {path}", "name the file itself") from None


def kernels_devices(root_fd: int) -> frozenset[int]:
    """The `st_dev` of the file systems that the runtime mounted in a running container: nothing of them is copied."""
    found = set()
    for path in _KERNELS:
        with contextlib.suppress(OSError):
            fd = open_in(root_fd, path, os.O_PATH | os.O_DIRECTORY, IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS)
            found.add(os.fstat(fd).st_dev)
            os.close(fd)
    return frozenset(found - {os.fstat(root_fd).st_dev})


@contextlib.contextmanager
def open_root(view: dict[str, Any]) -> Iterator[int]:
    """The descriptor (O_PATH) of the root that `view` tells. Leaves this process' mount namespace: only for a worker.

    Raises Conflict when the container has just ended, and OSError. Needs CAP_SYS_ADMIN over the container.
    """
    if "pid" in view:
        fd = _entered(view["pid"], view["pid_start"], view["alone"])
        try:
            yield fd
        finally:
            os.close(fd)
        return
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mounts.mount("", "/", "", MS_REC | MS_PRIVATE)
    root = _mounted(view)
    try:
        yield root.fd
    finally:
        os.close(root.fd)
        if view["writable"]:
            mounts.umount2(view["mount"], MNT_DETACH)
            cleanup.remove_stubs(view["trees"][0], root.made)


def _entered(pid: int, pid_start: int, alone: bool) -> int:
    """The top of the mount namespace that a process is in, whatever root it gave itself; `alone`: without what is mounted below.

    A child enters the namespace, opens, and passes the descriptor out: this process stays outside, where its modules are.
    """
    try:
        pidfd = syscalls.pidfd_open(pid)
    except ProcessLookupError:
        raise _ended() from None
    if start_time(pid) != pid_start:
        os.close(pidfd)
        raise _ended()
    ours, theirs = Channel.pair()
    child = os.fork()
    if child == 0:
        try:
            syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
            top = mounts.open_tree("/") if alone else os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            theirs.send({"errno": 0}, (top,))
        except OSError as error:
            theirs.send({"errno": error.errno})
        finally:
            os._exit(0)
    theirs.close()
    os.close(pidfd)
    answer, fds = ours.receive()
    ours.close()
    os.waitpid(child, 0)
    if fds:
        return fds[0]
    number = answer["errno"] if isinstance(answer, dict) else errno.ESRCH
    raise _ended() if number == errno.ESRCH else KernelFailed("setns", number, "the container's mount namespace")


def _ended() -> Conflict:
    return Conflict("the container has just ended", "try again")


def _mounted(view: dict[str, Any]) -> RootFileSystem:
    root = RootFileSystem()
    wanted = [mount for mount in view["mounts"] if os.path.lexists(mount[0])]
    if view["writable"]:
        _mount_writable(root, view)
    elif wanted:
        _mount_above_nothing(root, view)
    else:
        root.fd = mount_layers(view["trees"], view["mount"], userxattr=view["userxattr"])
    for source, target, read_only, subpath in wanted:
        root.bind(source, target, MOUNT_ATTR_RDONLY if read_only else 0, subpath=subpath)
    if view["writable"] and view["read_only"]:
        mounts.set_attributes(root.fd, MOUNT_ATTR_RDONLY)
    return root


def _mount_writable(root: RootFileSystem, view: dict[str, Any]) -> None:
    upper, *lower = view["trees"]
    if lower:
        root.overlay(lower, upper, view["work"], view["mount"], view["userxattr"], False, MOUNT_ATTR_NODEV)
    else:
        root.bind_root(upper, view["mount"], MOUNT_ATTR_NODEV)


def _mount_above_nothing(root: RootFileSystem, view: dict[str, Any]) -> None:
    """Mount points that are missing are made in a tmpfs that ends with this process, since reading must change nothing."""
    place = view["mount"]
    mounts.mount("tmpfs", place, "tmpfs", 0, "mode=755")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{place}/{name}")
    # The upper directory is the root that is seen.
    status = os.stat(view["trees"][0])
    os.chown(f"{place}/upper", status.st_uid, status.st_gid)
    os.chmod(f"{place}/upper", stat.S_IMODE(status.st_mode))
    root.overlay(view["trees"], f"{place}/upper", f"{place}/work", f"{place}/root", view["userxattr"], False, MOUNT_ATTR_NODEV)


def mount_layers(trees: Sequence[str], target: str, *, userxattr: bool) -> int:
    """The top (O_PATH) of what `trees` are together, top first, for reading; a single one is opened as it is."""
    if len(trees) > 1:
        mounts.overlay(list(trees), "", "", target, userxattr=userxattr, flags=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)
        return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return os.open(trees[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
