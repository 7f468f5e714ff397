"""The operations that furnish a bundle's root, beside those that it shares with the engine's containers (runtime.rootfs).

It must not import anything but what init holds, and decides nothing. Every path is opened below the root by descriptor, so that no
symbolic link of the bundle leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat

from labcontainers.bundles.device_nodes import KINDS
from labcontainers.bundles.old_root import hide_kernel_mounts
from labcontainers.kernel import mounts
from labcontainers.kernel.mounts import (
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
)
from labcontainers.runtime.rootfs import Refused, RootFileSystem, check_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What stands for a file of procfs without hiding one that this runtime or a mask relies on (runc has the same list).
_PROC_FILES = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
    "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
)  # fmt: skip
_KERNEL_TYPES = ("proc", "sysfs", "mqueue")
_CHUNK_BYTES = 1 << 20
_MOST_LINKS = 40  # as path_resolution(7)


class BundleRoot(RootFileSystem):
    """The root of a bundle under construction."""

    def bundle_root(self, propagation: int) -> None:
        """Take the current directory as the root, which need not be reached by a path that the container's root may walk."""
        mounts.mount("", "/", "", propagation)
        if propagation & MS_SHARED:
            self._make_parent_private()
        place = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        tree = mounts.open_tree(".", recursive=True)
        mounts.move_mount(tree, place)
        os.close(place)
        self.fd = tree

    @staticmethod
    def _make_parent_private() -> None:
        """What is mounted on a shared mount would be mounted on the host's as well, and pivot_root(2) refuses that."""
        path = os.getcwd()
        while True:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                mounts.set_attributes(fd, 0, propagation=MS_PRIVATE)
                return
            except OSError as error:
                # anything but the top of a mount
                if error.errno != errno.EINVAL or path == "/":
                    raise
            finally:
                os.close(fd)
            path = os.path.dirname(path)

    def target(self, path: str, *, directory: bool) -> int:
        """As the engine's; symbolic links that lead nowhere are followed, and what they name is made."""
        return super().target(self._resolved(path), directory=directory)

    def _resolved(self, path: str) -> str:
        """The path without the symbolic links of what is not there; one of these may change meanwhile, but leads nowhere else."""
        try:
            os.close(self.find(path))
        except FileNotFoundError:
            pass
        else:
            return path
        todo, done, links = path.split("/")[::-1], [""], 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1] or [""]
                continue
            try:
                parent = self.find("/".join(done))
                try:
                    link = os.readlink(part, dir_fd=parent)
                finally:
                    os.close(parent)
            except OSError:
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise Refused(f"too many symbolic links: cannot mount at {path}")
            if link.startswith("/"):
                done = [""]
            todo += link.split("/")[::-1]
        return "/".join(done) or "/"

    def directory(self, path: str) -> None:
        """Make the working directory where it is missing; where that cannot be, entering it will tell."""
        try:
            os.close(self.target(path, directory=True))
        except (OSError, Refused):
            pass

    def read_only_mount(self, target: str) -> None:
        """Let what is mounted at `target`, in which all is made now, be read-only."""
        fd = self.find(target)
        try:
            mounts.set_attributes(fd, mounts.MOUNT_ATTR_RDONLY)
        finally:
            os.close(fd)

    def refuse_proc(self, fd: int, path: str) -> None:
        """As the engine's, but for a few files that others stand in for."""
        if path not in _PROC_FILES:
            super().refuse_proc(fd, path)

    def null_device(self) -> int:
        """The host's, since a bundle may have none."""
        null = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        check_null(null)
        return null

    def file_system(
        self,
        source: str,
        target: str,
        fstype: str,
        flags: int,
        data: str,
        copy_up: bool = False,
        propagations: list[int] | None = None,
        below: list[int] | None = None,
    ) -> None:
        """Mount a file system; a kernel's own that a user namespace may not mount is bound from the host instead."""
        fd = self.strict_target(target) if fstype in _KERNEL_TYPES else self.target(target, directory=True)
        covered = -1
        try:
            if flags & MS_REMOUNT:
                mounts.mount_at(source, fd, fstype, flags, data)
                return
            if fstype != "proc":
                self.refuse_proc(fd, target)
            if fstype == "tmpfs" and target.strip("/") not in self.made and "mode=" not in data:
                data = f"mode={stat.S_IMODE(os.fstat(fd).st_mode):o}" + ("," + data if data else "")
            if copy_up:
                covered = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._mount(source, fd, target, fstype, flags & ~MS_RDONLY if copy_up else flags, data)
        finally:
            os.close(fd)
        if covered >= 0:
            self._copy_up(covered, target, flags)
        self._afterwards(target, propagations, below)

    def _mount(self, source: str, fd: int, target: str, fstype: str, flags: int, data: str) -> None:
        try:
            mounts.mount_at(source, fd, fstype, flags, data)
        except OSError as error:
            if error.errno != errno.EPERM or fstype not in _KERNEL_TYPES:
                raise Refused(f"cannot mount {fstype} at {target}: {os.strerror(error.errno or 0).lower()}") from None
            tree = mounts.open_tree({"proc": "/proc", "sysfs": "/sys", "mqueue": "/dev/mqueue"}[fstype], recursive=True)
            wanted = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)  # these four have the same bits in both calls
            mounts.set_attributes(tree, wanted, recursive=True)
            self.attach_tree(tree, target, fstype, strict=True)

    def _copy_up(self, covered: int, target: str, flags: int) -> None:
        top = self.find(target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            copy_tree(covered, top)
            if flags & MS_RDONLY:
                mounts.set_attributes(top, mounts.MOUNT_ATTR_RDONLY)
        finally:
            os.close(covered)
            os.close(top)

    def _afterwards(self, target: str, propagations: list[int] | None, below: list[int] | None) -> None:
        if not propagations and not below:
            return
        fd = self.find(target)
        try:
            for propagation in propagations or ():
                mounts.set_attributes(fd, 0, propagation=propagation & ~MS_REC, recursive=bool(propagation & MS_REC))
            if below:
                mounts.set_attributes(fd, below[0], clear=below[1] & ~below[0] | _times(below), recursive=True)
        finally:
            os.close(fd)

    def bundle_bind(
        self,
        source: str,
        target: str,
        recursive: bool,
        attributes: list[int] | None = None,
        tree: int = -1,
        propagations: list[int] | None = None,
        below: list[int] | None = None,
    ) -> None:
        """Bind `source`, or the detached mount `tree` that was taken outside; `attributes` and `below` are (set, clear)."""
        if tree < 0:
            tree = mounts.open_tree(source, recursive=recursive)
        if attributes:
            try:
                _change(tree, *attributes)
            except OSError:
                os.close(tree)
                raise
        self.attach_tree(tree, target, source)
        self._afterwards(target, propagations, below)

    def cgroup_mount(
        self,
        target: str,
        flags: int,
        own: bool,
        groups: list[dict[str, str]],
        propagations: list[int] | None = None,
        below: list[int] | None = None,
    ) -> None:
        """Show the control groups: of version 2 alone as they are, others each in a folder of a small tmpfs.

        With a cgroup namespace of its `own` each hierarchy is mounted anew, else the container's group is bound.
        """
        if len(groups) == 1 and groups[0]["name"] == "":
            self._one_hierarchy(groups[0], target, flags, own)
        else:
            self.file_system("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=64k")
            for group in groups:
                name = group["name"] or "unified"
                self._one_hierarchy(group, f"{target}/{name}", flags, own)
                for single in name.split(",") if "," in name else ():
                    self.link(name, f"{target}/{single}")
            if flags & MS_RDONLY:
                fd = self.find(target)
                mounts.set_attributes(fd, mounts.MOUNT_ATTR_RDONLY)
                os.close(fd)
        self._afterwards(target, propagations, below)

    def _one_hierarchy(self, group: dict[str, str], target: str, flags: int, own: bool) -> None:
        fd = self.target(target, directory=True)
        try:
            self.refuse_proc(fd, target)
            if own or not group["path"]:
                try:
                    mounts.mount_at("cgroup", fd, group["fstype"], flags, group["data"])
                    return
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.EBUSY):
                        raise
        finally:
            os.close(fd)
        tree = mounts.open_tree(group["path"] or group["point"], recursive=True)
        mounts.set_attributes(tree, flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))
        self.attach_tree(tree, target, group["path"])

    def default_device(self, path: str, major: int, minor: int, bind: bool) -> None:
        """A character device that everybody may use; bound from the host where mknod(2) is refused."""
        folder, _, name = path.rpartition("/")
        parent = self.target(folder, directory=True)
        wanted = os.makedev(major, minor)
        try:
            if not bind:
                try:
                    os.mknod(name, stat.S_IFCHR | 0o666, wanted, dir_fd=parent)
                    os.chmod(name, 0o666, dir_fd=parent)
                    return
                except FileExistsError:
                    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                    if stat.S_ISCHR(status.st_mode) and status.st_rdev == wanted:
                        return
                except PermissionError:
                    pass
        finally:
            os.close(parent)
        self.bind(path, path, recursive=False)

    def bundle_device(self, path: str, kind: str, major: int, minor: int, tree: int) -> None:
        """A device that was made outside as the mount `tree`, or the host's at the same path, if that is the same one."""
        if tree < 0:
            tree = mounts.open_tree(path)
            status = os.fstat(tree)
            if status.st_rdev != os.makedev(major, minor) or stat.S_IFMT(status.st_mode) != KINDS[kind]:
                os.close(tree)
                raise Refused(f"linux.devices: {path} of the host, which would be bound, is not the device {kind} {major}:{minor}")
        self.attach_tree(tree, path, path)

    def link(self, target: str, path: str) -> None:
        """A symbolic link, unless there is something already."""
        try:
            self.symlink(target, path)
        except FileExistsError:
            pass

    def ptmx(self) -> None:
        """/dev/ptmx leads to the multiplexer of the container's own devpts (Documentation/filesystems/devpts.rst)."""
        folder = self.target("/dev", directory=True)
        try:
            try:
                os.unlink("ptmx", dir_fd=folder)
            except FileNotFoundError:
                pass
            os.symlink("pts/ptmx", "ptmx", dir_fd=folder)
        finally:
            os.close(folder)

    def pivot(self) -> None:
        """As the engine's; the old root first stops telling the host what is unmounted here."""
        os.fchdir(self.fd)
        mounts.pivot_root(".", ".")
        mounts.mount("", ".", "", MS_SLAVE | MS_REC)
        mounts.umount2(".", mounts.MNT_DETACH)
        os.chdir("/")
        os.close(self.fd)
        self.open("/")

    def move_root(self, move: bool) -> None:
        """Without pivot_root(2), which a root in a ramfs does not allow: with `move` over the old root, else by chroot(2) alone."""
        os.fchdir(self.fd)
        if move:
            hide_kernel_mounts(os.getcwd())
            mounts.mount(".", "/", "", MS_MOVE)
        os.chroot(".")
        os.chdir("/")
        os.close(self.fd)
        self.open("/")

    def root_propagation(self, propagation: int) -> None:
        """What the root itself tells others of mounts, and hears (mount_namespaces(7))."""
        mounts.mount("", "/", "", propagation)

    def bundle_operations(self) -> dict[str, Any]:
        """Name of each operation of this module -> the function that does it."""
        names = "bundle_root file_system bundle_bind cgroup_mount default_device bundle_device link ptmx directory read_only_mount"
        return {name: getattr(self, name) for name in f"{names} pivot move_root root_propagation".split()}


def _times(pair: list[int]) -> int:
    """The choice of access times is several bits, all of which are cleared when one is set (mount_setattr(2))."""
    return mounts.MOUNT_ATTR_ATIME if (pair[0] | pair[1]) & mounts.MOUNT_ATTR_ATIME else 0


def _change(tree: int, wanted: int, clear: int) -> None:
    """Set and clear attributes; what a user namespace may not clear, but is clear already, is no error (MNT_LOCK_*)."""
    times = _times([wanted, clear])
    try:
        mounts.set_attributes(tree, wanted, clear=clear & ~wanted | times)
    except PermissionError:
        there = os.fstatvfs(tree).f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        if clear & ~wanted & there or not clear:
            raise
        mounts.set_attributes(tree, wanted, clear=times)


def copy_tree(source: int, target: int) -> None:
    """Copy what is below the open directory `source` into `target`: files, folders and links with their modes and owners."""
    for name in os.listdir(source):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner, made = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=target)
            copy_tree(inner, made)
            _same(made, status)
            os.close(inner)
            os.close(made)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISREG(status.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
            while os.sendfile(made, inner, None, _CHUNK_BYTES):
                pass
            _same(made, status)
            os.close(inner)
            os.close(made)


def _same(fd: int, status: os.stat_result) -> None:
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
