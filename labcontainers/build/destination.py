"""The image's root that COPY, ADD and WORKDIR write into, by descriptors, so that no symlink of the image is followed outside.

It must not know where files come from. It runs in a worker, which is root of the container's ids and alone in the tree.

Every directory keeps or gets a fixed modification time, so that equal inputs make equal layers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labcontainers.build.modes import changed_mode, is_octal
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel import scoped_paths, syscalls

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST_DATABASE = 4 << 20


@dataclass(frozen=True, slots=True)
class Ownership:
    """What new files get: a fixed owner, or each file's own; a mode as of chmod(1), or each file's own; one time for all.

    An ordinary user has not every id. Unless it is `strict`, what belongs to an id that there is not becomes root's.
    """

    owner: tuple[int, int] | None
    chmod: str
    mtime_ns: int
    strict: bool = True

    def mode(self, mode: int) -> int:
        """Permission bits of a new file or directory that had the mode `mode`."""
        if self.chmod:
            return changed_mode(self.chmod, mode, is_directory=stat.S_ISDIR(mode))
        return stat.S_IMODE(mode)

    @property
    def new_directory_mode(self) -> int:
        """Permission bits of a directory that is made only because something is to be put into it."""
        return self.mode(stat.S_IFDIR | 0o755) if is_octal(self.chmod) else 0o755

    def ids(self, uid: int, gid: int) -> tuple[int, int]:
        """Owner and group of something that belonged to `uid` and `gid`."""
        return self.owner or (uid, gid)


class Destination:
    """A root directory of an image, open as `root_fd`."""

    def __init__(self, root_fd: int, ownership: Ownership) -> None:
        self.root_fd = root_fd
        self.ownership = ownership
        self.files = 0
        self.size_bytes = 0
        self.disowned = 0

    def find(self, path: str, flags: int = os.O_PATH) -> int | None:
        """Open `path` inside the root, symlinks followed inside it; None when it is not there."""
        try:
            return syscalls.openat2(self.root_fd, path.lstrip("/") or ".", flags)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise InvalidArgument(f"cannot open {path} of the image: {os.strerror(error.errno or 0).lower()}") from error

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory of the image, symlinks followed."""
        fd = self.find(path, os.O_PATH | os.O_DIRECTORY)
        if fd is not None:
            os.close(fd)
        return fd is not None

    def resolve(self, path: str) -> str:
        """`path` with all symlinks followed inside the root, also the last and those that lead to nothing yet.

        COPY and ADD write where a symlink of that name points to, as BuildKit does. Raises InvalidArgument for a circle.
        """
        try:
            return scoped_paths.resolve(self.root_fd, path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise InvalidArgument(f"cannot open {path} of the image: {os.strerror(error.errno or 0).lower()}") from error
            raise InvalidArgument(f"too many symlinks on the way to {path} of the image", "choose another destination") from None

    @contextlib.contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """The directory `path`, made with its parents where it is missing; its time, and its parents', is set on leaving.

        What is made belongs to root or to the owner of all, and has the mode 0755 or the octal one of all, as in BuildKit.
        Raises InvalidArgument where a file is in the way.
        """
        parts = [part for part in self.resolve(path).split("/") if part]
        with contextlib.ExitStack() as stack:
            current = self._open_existing("/", stack)
            for depth in range(1, len(parts) + 1):
                partial = "/".join(parts[:depth])
                if not self.is_directory(partial):
                    self._make_directory(current, parts[depth - 1], partial)
                current = self._open_existing(partial, stack)
            yield current

    def _make_directory(self, parent_fd: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            raise InvalidArgument(f"/{path} of the image is not a directory", "choose another destination") from None
        fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
        try:
            self.give(fd, 0, 0)
            os.fchmod(fd, self.ownership.new_directory_mode)
            self.set_time(fd, self.ownership.mtime_ns)
        finally:
            os.close(fd)

    def _open_existing(self, path: str, stack: contextlib.ExitStack) -> int:
        fd = syscalls.openat2(self.root_fd, path.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(_restore_time, fd, os.fstat(fd).st_mtime_ns)
        return fd

    def child_directory(self, parent_fd: int, name: str, mode: int, uid: int, gid: int) -> tuple[int, int]:
        """The directory `name` in an open one, made where it is missing: (descriptor, the time that it is to have at the end).

        One that is there gets the owner and the mode too, as in BuildKit. Raises InvalidArgument where something else is in the way.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            what = f"cannot copy the directory {name!r} over a file or a symlink of that name"
            raise InvalidArgument(what, "copy its files one by one, or into the directory that the symlink names") from None
        self.give(fd, uid, gid)
        os.fchmod(fd, self.ownership.mode(stat.S_IFDIR | stat.S_IMODE(mode)))
        return fd, self.ownership.mtime_ns

    def give(self, what: int | str, uid: int, gid: int, parent_fd: int | None = None) -> None:
        """Set owner and group of a descriptor, or of a name in an open directory; raises Unsupported when there is no such id."""
        ids = self.ownership.ids(uid, gid)
        try:
            if isinstance(what, int):
                os.fchown(what, *ids)
            else:
                os.chown(what, *ids, dir_fd=parent_fd, follow_symlinks=False)
        except OSError as error:
            # the user namespace does not map it (user_namespaces(7))
            if error.errno != errno.EINVAL:
                raise
            if self.ownership.strict:
                hint = "`doctor` tells how to get subordinate ids; or leave the owner out"
                raise Unsupported("giving files to {}:{} is not possible: this user has no such id".format(*ids), hint) from None
            self.disowned += 1

    def make_way(self, parent_fd: int, name: str) -> None:
        """Remove the file or symlink `name`; raises InvalidArgument for a directory."""
        try:
            found = os.lstat(name, dir_fd=parent_fd)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise InvalidArgument(f"cannot replace the directory {name!r} of the image by a file", "end the destination with /")
        os.unlink(name, dir_fd=parent_fd)

    def put_file(self, parent_fd: int, name: str, mode: int, uid: int, gid: int, fill: Callable[[int], int]) -> None:
        """A new regular file; `fill` writes it through a descriptor and returns its size. A file of that name is replaced."""
        self.make_way(parent_fd, name)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent_fd)
        try:
            self.give(fd, uid, gid)
            self.size_bytes += fill(fd)
            # last, since writing takes the setuid bit away from all but the machine's own root
            os.fchmod(fd, self.ownership.mode(stat.S_IFREG | stat.S_IMODE(mode)))
            os.utime(fd, ns=(self.ownership.mtime_ns, self.ownership.mtime_ns))
        finally:
            os.close(fd)
        self.files += 1

    def put_symlink(self, parent_fd: int, name: str, target: str, uid: int, gid: int) -> None:
        """A new symlink; its target is kept as it is."""
        self.make_way(parent_fd, name)
        os.symlink(target, name, dir_fd=parent_fd)
        self.give(name, uid, gid, parent_fd)
        os.utime(name, ns=(self.ownership.mtime_ns, self.ownership.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)
        self.files += 1

    def put_special(self, parent_fd: int, name: str, mode: int, device: int, uid: int, gid: int) -> None:
        """A new pipe or device."""
        self.make_way(parent_fd, name)
        os.mknod(name, stat.S_IFMT(mode) | 0o600, device, dir_fd=parent_fd)
        self.give(name, uid, gid, parent_fd)
        os.chmod(name, self.ownership.mode(mode), dir_fd=parent_fd)
        os.utime(name, ns=(self.ownership.mtime_ns, self.ownership.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)
        self.files += 1

    def put_text(self, parent_fd: int, name: str, content: bytes, mode: int = 0o644) -> None:
        """A new file of root's with this content."""

        def fill(fd: int) -> int:
            left = memoryview(content)
            while left:
                left = left[os.write(fd, left) :]
            return len(content)

        self.put_file(parent_fd, name, mode, 0, 0, fill)

    def set_time(self, fd: int, mtime_ns: int) -> None:
        """Set a directory's time, after everything in it is written."""
        os.utime(fd, ns=(mtime_ns, mtime_ns))


def _restore_time(fd: int, mtime_ns: int) -> None:
    if os.fstat(fd).st_mtime_ns != mtime_ns:
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    os.close(fd)


def read_database(root_fd: int, path: str) -> list[list[str]]:
    """The lines of /etc/passwd or /etc/group of an image, split at colons; empty when it is missing."""
    try:
        fd = syscalls.openat2(root_fd, path.lstrip("/"), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        data = os.read(fd, _LARGEST_DATABASE)
    finally:
        os.close(fd)
    return [line.split(":") for line in data.decode("utf-8", "replace").splitlines() if line and not line.startswith("#")]


def resolve_owner(root_fd: int, text: str) -> tuple[int, int]:
    """(uid, gid) of `user`, `uid`, `user:group`, `uid:gid` or `:group` (of root) in an image; raises InvalidArgument for an unknown name.

    A name without a group gets its group of /etc/passwd; a number without a group that number. Source: Dockerfile reference, COPY --chown.
    """
    user, _, group = text.partition(":")
    if not user:
        uid, gid = 0, 0
    elif user.isdecimal():
        uid, gid = int(user), int(user)
    else:
        rows = [row for row in read_database(root_fd, "/etc/passwd") if row[0] == user and len(row) > 3]
        if not rows:
            raise InvalidArgument(f"the image has no user {user!r}", "make the user in a RUN step, or give a number")
        uid, gid = int(rows[0][2]), int(rows[0][3])
    if group.isdecimal():
        gid = int(group)
    elif group:
        rows = [row for row in read_database(root_fd, "/etc/group") if row[0] == group and len(row) > 2]
        if not rows:
            raise InvalidArgument(f"the image has no group {group!r}", "make the group in a RUN step, or give a number")
        gid = int(rows[0][2])
    return uid, gid
