"""The operations that make a container's file system, each by descriptor so that no symlink of the image is followed outside.

It must not import anything but what the launcher holds, and decides nothing: the plan (runtime.plan) says what to do. Needs Linux 5.12
(openat2, open_tree, move_mount, mount_setattr).
"""

from __future__ import annotations

import errno
import os
import stat

from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.lean import Any
from labcontainers.kernel.mounts import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
)

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


class Refused(Exception):
    """The image or the request asks for something that must not be done; the message is for the user."""


def _open(directory: int, path: str, flags: int, resolve: int) -> int:
    for attempt in range(100):
        try:
            return syscalls.openat2(directory, path, flags, resolve=resolve)
        except BlockingIOError:
            # Somebody renamed a directory on the way, so the kernel could not tell whether the path stays inside.
            if attempt == 99:
                raise
    raise AssertionError("unreachable")


def open_below(directory: int, path: str, flags: int = os.O_PATH) -> int:
    """Open what lies at `path` below `directory`; raises OSError, with EXDEV where a link leads out of it."""
    return _open(directory, path, flags, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS)


class RootFileSystem:
    """The root under construction: a descriptor of its top, and the mount points that had to be made in it."""

    def __init__(self) -> None:
        self.fd = -1
        self.made: list[str] = []
        self._empty_directory = -1
        self._joined: dict[str, int] = {}

    def join(self, source: str, target: str, propagation: str, recursive: bool) -> None:
        """Take the host's mounts at `source` for `target` while this namespace still hears of the host's (mount_namespaces(7)).

        A slave hears of what is mounted there later; with "shared" the host hears of the container's mounts as well.
        """
        tree = mounts.open_tree(source, recursive=recursive)
        kind = MS_SHARED if propagation in ("shared", "rshared") else MS_SLAVE
        mounts.set_attributes(tree, 0, propagation=kind, recursive=recursive)
        self._joined[target] = tree

    def private(self) -> None:
        """Detach this mount namespace's propagation from the host's."""
        mounts.mount("", "/", "", MS_REC | MS_PRIVATE)

    def overlay(self, lower: list[str], upper: str, work: str, target: str, userxattr: bool, volatile: bool, flags: int) -> None:
        """Mount the layers and open the top of the new root."""
        mounts.overlay(lower, upper, work, target, userxattr=userxattr, volatile=volatile, flags=flags)
        self.open(target)

    def bind_root(self, source: str, target: str, flags: int) -> None:
        """Use the directory `source` itself as the root."""
        tree = mounts.open_tree(source, recursive=True)
        mounts.set_attributes(tree, flags, propagation=MS_PRIVATE, recursive=True)
        self.attach(tree, os.open(target, os.O_PATH | os.O_CLOEXEC))
        self.open(target)

    def open(self, path: str) -> None:
        """Open the top of the root by path."""
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def find(self, path: str, flags: int = os.O_PATH, resolve: int = 0) -> int:
        """Open `path` inside the root; raises FileNotFoundError."""
        return _open(self.fd, path.lstrip("/") or ".", flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS | resolve)

    def target(self, path: str, *, directory: bool) -> int:
        """Open the mount point `path`, made with its parents where it is missing."""
        try:
            return self.find(path)
        except FileNotFoundError:
            pass
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise Refused(f"a mount point must not contain '..': {path}")
        for depth in range(1, len(parts) + 1):
            partial = "/".join(parts[:depth])
            try:
                os.close(self.find(partial))
                continue
            except FileNotFoundError:
                pass
            parent = self.find("/".join(parts[: depth - 1]) or ".", os.O_PATH | os.O_DIRECTORY)
            before = os.fstat(parent)
            try:
                if directory or depth < len(parts):
                    os.mkdir(parts[depth - 1], 0o755, dir_fd=parent)
                else:
                    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                    os.close(os.open(parts[depth - 1], flags, 0o644, dir_fd=parent))
                # what is made to mount on changes nothing, so that it can be taken away without a trace (runtime.cleanup)
                os.utime(f"/proc/self/fd/{parent}", ns=(before.st_atime_ns, before.st_mtime_ns))
            except FileExistsError:
                # Another container that shares this folder was faster, or it is a symbolic link that leads nowhere.
                if stat.S_ISLNK(os.stat(parts[depth - 1], dir_fd=parent, follow_symlinks=False).st_mode):
                    raise Refused(f"/{partial} is a symbolic link that leads nowhere in the container: cannot mount at {path}") from None
                continue
            finally:
                os.close(parent)
            self.made.append(partial)
        return self.find(path)

    def refuse_proc(self, fd: int, path: str) -> None:
        """Nothing of the user's may cover /proc: this engine's own writes to it, and masks, would go astray (CVE-2023-28642)."""
        try:
            proc = self.find("/proc", os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return
        inside = os.fstat(fd).st_dev == os.fstat(proc).st_dev and os.fstat(proc).st_dev != os.fstat(self.fd).st_dev
        os.close(proc)
        if inside:
            raise Refused(f"cannot mount at {path}: that is inside /proc")

    def mount(self, source: str, target: str, fstype: str, flags: int, data: str = "", strict: bool = False, or_bind: bool = False) -> None:
        """Mount a new file system; with `strict`, refuse a target that the image made a symbolic link.

        With `or_bind` the host's own is shown, read-only, where the kernel refuses a new one: for a user namespace, as long as parts of the
        host's are masked (mount_too_revealing in fs/namespace.c). It has this user's processes of the host.
        """
        fd = self.strict_target(target) if strict else self.target(target, directory=True)
        try:
            if not strict:
                self.refuse_proc(fd, target)
            mounts.mount_at(source, fd, fstype, flags, data)
        except PermissionError:
            if not or_bind:
                raise
            tree, hard = mounts.open_tree(target, recursive=True), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
            mounts.set_attributes(tree, hard | MOUNT_ATTR_RDONLY, propagation=MS_PRIVATE, recursive=True)
            self.attach_tree(tree, target, target, strict=True)
        finally:
            os.close(fd)

    def strict_target(self, path: str) -> int:
        """Open the directory `path`, made where it is missing; raises Refused where a symbolic link is on the way."""
        os.close(self.target(path, directory=True))
        try:
            return self.find(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, syscalls.RESOLVE_NO_SYMLINKS)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Refused(f"the image has something else than a directory at {path}") from None
            raise

    def tmpfs(self, target: str, flags: int, data: str) -> None:
        """Mount a tmpfs of the user's; without a mode of its own it has that of the directory that it covers."""
        fd = self.target(target, directory=True)
        try:
            self.refuse_proc(fd, target)
            if target.strip("/") not in self.made and not any(option.startswith("mode=") for option in data.split(",")):
                data = f"mode={stat.S_IMODE(os.fstat(fd).st_mode):o}" + ("," + data if data else "")
            mounts.mount_at("tmpfs", fd, "tmpfs", flags, data)
        finally:
            os.close(fd)

    def layers(self, lower: list[str], target: str, userxattr: bool, upper: str = "", work: str = "") -> None:
        """Put the layers of another image together at a directory of the host, to be bound from there; what is written goes to `upper`."""
        flags = MOUNT_ATTR_NODEV | (0 if upper else MOUNT_ATTR_RDONLY)
        mounts.overlay(lower, upper, work, target, userxattr=userxattr, flags=flags)

    def secret(self, target: str, at: str, content: str, mode: int, uid: int, gid: int) -> None:
        """A read-only file at `target` that is in memory alone, mounted at the empty directory `at` of the host that only init sees."""
        mounts.mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")
        path = f"{at}/secret"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            data = content.encode("latin-1")
            while data:
                data = data[os.write(fd, data) :]
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise Refused(f"a secret of {uid}:{gid} is not possible: this user has no such id (see `doctor`)") from None
            raise
        finally:
            os.close(fd)
        self.bind(path, target, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, recursive=False)

    def bind(
        self,
        source: str,
        target: str,
        attributes: int = 0,
        recursive: bool = True,
        below: bool = True,
        subpath: str = "",
        joined: bool = False,
        follows: bool = False,
    ) -> None:
        """Bind a file or directory of the host, with MOUNT_ATTR_* `attributes` on it and, with `below`, on all mounts below it.

        `joined` is one that join() took. With `follows`, links on the way to `subpath` are followed as if `source` were the root.
        """
        tree = self._joined.pop(target) if joined else self._tree(source, subpath, recursive, follows)
        self.attach_tree(tree, target, source, attributes, recursive and below)

    def attach_tree(
        self, tree: int, target: str, source: str = "", attributes: int = 0, recursive: bool = False, strict: bool = False
    ) -> None:
        """Attach the detached mount `tree`, which is closed; with `strict`, refuse a target that the image made a symbolic link."""
        try:
            is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
            if attributes:
                mounts.set_attributes(tree, attributes, recursive=recursive)
            fd = self.strict_target(target) if strict else self.target(target, directory=is_directory)
            try:
                self.refuse_proc(fd, target)
            except Refused:
                os.close(fd)
                raise
            if stat.S_ISDIR(os.fstat(fd).st_mode) != is_directory:
                os.close(fd)
                kind, other = ("a directory", "a file") if is_directory else ("a file", "a directory")
                raise Refused(f"cannot mount {kind} ({source}) on {other} of the image ({target})")
        except BaseException:
            os.close(tree)
            raise
        self.attach(tree, fd)

    @staticmethod
    def _tree(source: str, subpath: str, recursive: bool, follows: bool) -> int:
        """A detached copy of the mounts at `source`, or at `subpath` below it; others may change what lies there meanwhile."""
        if not subpath:
            return mounts.open_tree(source, recursive=recursive)
        top = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        inner = -1
        try:
            inner = open_below(top, subpath) if not follows else _open(top, subpath, os.O_PATH, _IN_ROOT)
            return mounts.open_tree("", recursive=recursive, dirfd=inner)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise Refused(f"the subpath {subpath} leads out of {source}") from None
            raise Refused(f"cannot open the subpath {subpath} of {source}: {os.strerror(error.errno or 0).lower()}") from None
        finally:
            if inner >= 0:
                os.close(inner)
            os.close(top)

    @staticmethod
    def attach(tree: int, target: int) -> None:
        """Attach a detached mount to an open mount point; both are closed."""
        try:
            mounts.move_mount(tree, target)
        finally:
            os.close(tree)
            os.close(target)

    def device(self, path: str, major: int, minor: int, mode: int, bind: bool) -> None:
        """A character device by mknod(2), or bound from the host where a user namespace forbids that."""
        if bind:
            self.bind("/" + path.lstrip("/"), path, recursive=False)
            return
        directory, _, name = path.rpartition("/")
        parent = self.find(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            os.mknod(name, stat.S_IFCHR | mode, os.makedev(major, minor), dir_fd=parent)
            os.chmod(f"/proc/self/fd/{parent}/{name}", mode)
        finally:
            os.close(parent)

    def symlink(self, target: str, path: str) -> None:
        """A symbolic link at `path` that points to `target`."""
        directory, _, name = path.rpartition("/")
        parent = self.find(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            os.symlink(target, name, dir_fd=parent)
        finally:
            os.close(parent)

    def mask(self, path: str) -> None:
        """Hide `path`: a directory behind an empty read-only tmpfs (one for all), a file behind /dev/null; absent is fine."""
        try:
            fd = self.find(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                self._mask_directory(path, fd)
            else:
                null = self.null_device()
                try:
                    mounts.mount_at(f"/proc/self/fd/{null}", fd, "", MS_BIND)
                finally:
                    os.close(null)
        finally:
            os.close(fd)

    def null_device(self) -> int:
        """The container's /dev/null, looked at before it is used (CVE-2025-31133)."""
        null = self.find("/dev/null")
        check_null(null)
        return null

    def _mask_directory(self, path: str, fd: int) -> None:
        if self._empty_directory < 0:
            mounts.mount_at("tmpfs", fd, "tmpfs", MS_RDONLY, "size=0")
            self._empty_directory = self.find(path)
        else:
            mounts.mount_at(f"/proc/self/fd/{self._empty_directory}", fd, "", MS_BIND)

    def readonly(self, path: str) -> None:
        """Make what is mounted at `path` read-only for the container; absent is fine."""
        try:
            fd = self.find(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            tree = mounts.open_tree("", recursive=True, dirfd=fd)
            mounts.set_attributes(tree, MOUNT_ATTR_RDONLY, recursive=True)
        except BaseException:
            os.close(fd)
            raise
        self.attach(tree, fd)

    def make_directory(self, path: str, mode: int) -> None:
        """Make the directory `path` with its parents, for the working directory; an existing one is kept as it is."""
        fd = self.target(path, directory=True)
        if path.strip("/") in self.made:
            os.chmod(f"/proc/self/fd/{fd}", mode)
            self.made = [made for made in self.made if not (path.strip("/") + "/").startswith(made + "/")]
        os.close(fd)

    def pivot(self) -> None:
        """Make the new root `/` by pivot_root(2) and drop the old one; no chroot(2) instead, since a container's root can leave that."""
        os.fchdir(self.fd)
        mounts.pivot_root(".", ".")
        mounts.umount2(".", MNT_DETACH)
        os.chdir("/")
        os.close(self.fd)
        self.open("/")
        if self._empty_directory >= 0:
            os.close(self._empty_directory)

    def finish(self, readonly: bool) -> None:
        """Make the root itself read-only, mounts below it excepted."""
        if readonly:
            fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
            mounts.set_attributes(fd, MOUNT_ATTR_RDONLY)
            os.close(fd)


def check_null(fd: int) -> None:
    """Raise Refused, and close `fd`, unless it is the null device."""
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
        os.close(fd)
        raise Refused("/dev/null of the container is not the null device")


def operation_table(root: RootFileSystem) -> dict[str, Any]:
    """Name of each file system operation of a plan -> the function that does it."""
    return {
        "join": root.join,
        "private": root.private,
        "overlay": root.overlay,
        "bind_root": root.bind_root,
        "mount": root.mount,
        "layers": root.layers,
        "secret": root.secret,
        "tmpfs": root.tmpfs,
        "bind": root.bind,
        "device": root.device,
        "symlink": root.symlink,
        "mask": root.mask,
        "readonly": root.readonly,
        "make_directory": root.make_directory,
        "pivot": root.pivot,
        "finish": root.finish,
    }
