"""Files as a tar stream as `cp` and `export` want it: a file or a tree as it is now, while others may be changing it.

It must not know containers. Unlike a layer's canonical tar (store.tar_writer) it holds any name, nothing in it means a deletion, and
what vanishes or shrinks meanwhile is left out or filled up with zeros, as GNU tar does. Everything is opened below a descriptor, and
no symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labcontainers.errors import Conflict, NotFound
from labcontainers.store.tar_writer import TarWriter

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_END = b"\0" * 1024
_KEPT = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
_OVERLAYS = "user.overlay."
_ZEROS = b"\0" * (1 << 16)

Open = Callable[[str, int], int]


def asserts_directory(path: str) -> bool:
    """Whether a path can only be a directory: it ends with a slash, or its last part is `.` or `..`."""
    return path.rpartition("/")[2] in ("", ".", "..")


def entry_name(path: str) -> str:
    """The name that the archive has for what `path` names: its last part; "." for `/` and for a path that ends with `/.`."""
    parts = [part for part in path.split("/") if part]
    return "." if not parts or parts[-1] in (".", "..") else parts[-1]


@dataclass(frozen=True, slots=True)
class Named:
    """One thing, by a directory descriptor and a name in it; `directory` is open when the path can only be one, else -1."""

    parent: int
    name: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


@contextlib.contextmanager
def find(open_path: Open, path: str, what: str) -> Iterator[Named]:
    """What `path` names, its last part not followed unless it can only be a directory. Raises NotFound with the message `what`.

    `open_path` opens a path with flags, below whatever root it likes.
    """
    folder, _, name = (path, "", ".") if asserts_directory(path) else path.rpartition("/")
    parent = -1
    try:
        parent = open_path(folder or ("/" if path.startswith("/") else "."), os.O_PATH | os.O_DIRECTORY)
        named = Named(parent, name, os.lstat(name, dir_fd=parent))
    except OSError as error:
        if parent >= 0:
            os.close(parent)
        if error.errno == errno.ENOTDIR and asserts_directory(path):
            raise NotFound(f"not a directory: {path}", "leave the final slash out") from None
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
            why = "" if error.errno == errno.ENOENT else f": {os.strerror(error.errno).lower()}"
            raise NotFound(what + why, "name something that is there") from None
        raise
    try:
        yield named
    finally:
        os.close(parent)


class Packer(TarWriter):
    """Streams one tar to `take`. What lies on a file system of `hidden` (numbers of `st_dev`) is left out but for its directory."""

    def __init__(self, take: Callable[[bytes | memoryview], object], hidden: frozenset[int] = frozenset()) -> None:
        super().__init__(take)
        self._hidden = hidden

    def pack(self, top: Named, name: str) -> int:
        """Write the thing under this name, a directory with all below it; "" is only what is in it. The size in bytes.

        Raises OSError, and Conflict for a socket.
        """
        if stat.S_ISSOCK(top.status.st_mode):
            raise Conflict(f"sockets cannot be copied: {top.name}", "copy what it belongs to")
        if top.is_directory:
            self._directory(top, os.fsencode(name))
        else:
            self._entry(top.parent, os.fsencode(top.name), os.fsencode(name))
        self._emit(_END)
        return self._written

    def _directory(self, top: Named, name: bytes) -> None:
        prefix = name + b"/" if name else b""
        if prefix:
            self._header(prefix, top.status, b"5", records=_records(top.parent, os.fsencode(top.name)))
        fd = os.open(top.name, _DIRECTORY, dir_fd=top.parent)
        # A directory is in the list before anything of it is read, so that it is closed whatever happens then.
        open_ones: list[tuple[int, bytes, Iterator[bytes]]] = [(fd, prefix, iter(()))]
        try:
            open_ones[-1] = (fd, prefix, _names(fd))
            while open_ones:
                fd, prefix, names = open_ones[-1]
                for inner_name in names:
                    inner = self._entry(fd, inner_name, prefix + inner_name)
                    if inner >= 0:
                        path = prefix + inner_name + b"/"
                        open_ones.append((inner, path, iter(())))
                        open_ones[-1] = (inner, path, _names(inner))
                        break
                else:
                    open_ones.pop()
                    os.close(fd)
        finally:
            for fd, _, _ in open_ones:
                os.close(fd)

    def _entry(self, parent: int, name: bytes, path: bytes) -> int:
        """Write one thing that has no other name in the stream yet; the descriptor of a directory to go on with, or -1."""
        try:
            status = os.lstat(name, dir_fd=parent)
            kind = stat.S_IFMT(status.st_mode)
            is_hidden = status.st_dev in self._hidden
            if kind == stat.S_IFDIR:
                inner = -1 if is_hidden else os.open(name, _DIRECTORY, dir_fd=parent)
                self._header(path + b"/", status, b"5", records=_records(parent, name))
                return inner
            if is_hidden or kind == stat.S_IFSOCK or self._linked(status, path):
                return -1
            if kind == stat.S_IFREG:
                self._regular(parent, name, path)
            elif kind == stat.S_IFLNK:
                self._header(path, status, b"2", link=_target(parent, name))
            else:
                letter = {stat.S_IFIFO: b"6", stat.S_IFCHR: b"3"}.get(kind, b"4")
                device = (0, 0) if letter == b"6" else (os.major(status.st_rdev), os.minor(status.st_rdev))
                self._header(path, status, letter, device=device)
        except OSError as error:
            # It was there a moment ago: somebody removed it, or put something else in its place.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO):
                raise
        return -1

    def _linked(self, status: os.stat_result, path: bytes) -> bool:
        """Write a file with several names that the stream has already as a link to the first; whether it has."""
        first = self._links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if first is None:
            return False
        self._header(path, status, b"1", link=first)
        return True

    def _regular(self, parent: int, name: bytes, path: bytes) -> None:
        file = os.open(name, _FILE, dir_fd=parent)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return
            if status.st_nlink > 1:
                self._links[status.st_dev, status.st_ino] = path
            self._header(path, status, b"0", size=status.st_size, records=_records(parent, name))
            left = status.st_size
            while left and (count := os.readv(file, [self._buffer[:left]])):
                self._emit(self._buffer[:count])
                left -= count
        finally:
            os.close(file)
        left += -status.st_size % 512
        while left:
            self._emit(_ZEROS[:left])
            left -= min(left, len(_ZEROS))


def _target(parent: int, name: bytes) -> bytes:
    """Where a symbolic link points to; one that has become something else meanwhile is gone (ENOENT)."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def _names(fd: int) -> Iterator[bytes]:
    return iter(sorted(os.fsencode(name) for name in os.listdir(fd)))


def _records(parent: int, name: bytes) -> dict[bytes, bytes]:
    """The extended attributes that are kept, as PAX records under the key of GNU tar, star and Docker."""
    # For the attributes of a name in an open directory there is no way but through /proc.
    where = b"/proc/self/fd/%d/%s" % (parent, name)
    found = {}
    with contextlib.suppress(OSError):
        for key in os.listxattr(where, follow_symlinks=False):
            if key.startswith(_KEPT) and not key.startswith(_OVERLAYS):
                found[b"SCHILY.xattr." + os.fsencode(key)] = os.getxattr(where, key, follow_symlinks=False)
    return found
