"""The way down to where the next entry of a layer goes: the directories on it are open, and made where nobody has made them yet.

It must not know archives. Names are the bytes of the archive; every directory is opened by its own name in its open parent, without
following a link. Where a directory's name is a symbolic link of this layer, it is followed inside the tree, as containerd and, by its
chroot, Docker do: after `lib -> usr/lib`, `lib/x` is made in usr/lib. Links of the layers below are not looked at; there `lib/x` makes a
real directory that hides the link, which is what both do on overlay, where they too unpack a layer by itself.

A directory that was left and is opened again keeps its time: nothing is remembered of those that are closed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from labcontainers.errors import InvalidArgument
from labcontainers.kernel.scoped_paths import resolve
from labcontainers.store.overlay_marks import Marks, is_whiteout
from labcontainers.store.tar_numbers import shown
from labcontainers.store.unpack_dress import ACLS, forget_inherited

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)
_MOST_OPEN = 64
_MOST_IMPLIED = 200_000


class Folder:
    """An open directory: `path` as entries name it, `place` where it is; `inherits` says that what is made in it is not plain."""

    __slots__ = ("fd", "inherits", "mtime_ns", "path", "place")

    def __init__(self, path: bytes, place: bytes, fd: int, mtime_ns: int | None, inherits: bool) -> None:
        self.path = path
        self.place = place
        self.fd = fd
        self.mtime_ns = mtime_ns
        self.inherits = inherits

    def place_of(self, name: bytes) -> bytes:
        """Where what has this name in it is."""
        return self.place + b"/" + name if self.place else name


class Way:
    """The open directories from the top of a tree down to the last one that was entered."""

    def __init__(self, target: str, marks: Marks) -> None:
        self.root = os.open(target, _DIRECTORY)
        self._marks = marks
        # the time of the top stays what it is, unless there is an entry for it
        self._top = Folder(b"", b"", self.root, None, bool(os.fstat(self.root).st_mode & stat.S_ISGID))
        self._way = [self._top]
        # the directories that no entry describes, in the order in which they were made
        self.implied: dict[bytes, None] = {b"": None}
        # whether any directory gives an access list to what is made in it
        self.default_acls = False

    def close(self) -> None:
        """Close all of them. Idempotent."""
        while self._way:
            self._close(self._way.pop())

    def enter(self, path: bytes) -> Folder:
        """The directory of this path, which is "" or has no needless parts; it and its parents are made if they are not there.

        Raises InvalidArgument where something else has the name of one of them, and OSError.
        """
        way = self._way
        last = way[-1]
        if last.path == path:
            return last
        while len(way) > 1 and not path.startswith(last.path + b"/"):
            self._close(way.pop())
            last = way[-1]
        if last.path != path:
            for name in path[len(last.path) + (len(way) > 1) :].split(b"/"):
                last = self.push(self._child(last, name))
        return last

    def push(self, folder: Folder) -> Folder:
        """Add a directory of the last one to the way."""
        self._way.append(folder)
        if len(self._way) > _MOST_OPEN:
            self._close(self._way.pop(1))
        return folder

    @property
    def top(self) -> Folder:
        return self._top

    def _close(self, folder: Folder) -> None:
        try:
            # One that was deleted meanwhile has a time like any other.
            if folder.mtime_ns is not None:
                os.utime(folder.fd, ns=(folder.mtime_ns, folder.mtime_ns))
        finally:
            os.close(folder.fd)

    def _child(self, parent: Folder, name: bytes) -> Folder:
        path = parent.path + b"/" + name if parent.path else name
        place = parent.place_of(name)
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent.fd)
        except FileNotFoundError:
            return self._imply(parent, name, path, place)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            return self._through(parent, name, path, place)
        return self._opened(path, place, fd)

    def _opened(self, path: bytes, place: bytes, fd: int) -> Folder:
        status = os.fstat(fd)
        return Folder(path, place, fd, status.st_mtime_ns, bool(status.st_mode & stat.S_ISGID) or (self.default_acls and _has_default(fd)))

    def _imply(self, parent: Folder, name: bytes, path: bytes, place: bytes) -> Folder:
        """A directory that no entry describes so far."""
        if len(self.implied) >= _MOST_IMPLIED:
            raise InvalidArgument(f"the layer has more than {_MOST_IMPLIED} directories without entries", "give the directories entries")
        self.implied[place] = None
        return self._make(parent, name, path, place)

    def _make(self, parent: Folder, name: bytes, path: bytes, place: bytes) -> Folder:
        os.mkdir(name, 0o755, dir_fd=parent.fd)
        fd = os.open(name, _DIRECTORY, dir_fd=parent.fd)
        if parent.inherits:
            forget_inherited(fd)
            os.fchown(fd, os.geteuid(), os.getegid())
            os.fchmod(fd, 0o755)
        # a fixed time, so that the same layer always becomes the same tree
        return Folder(path, place, fd, 0, False)

    def _through(self, parent: Folder, name: bytes, path: bytes, place: bytes) -> Folder:
        """What is at the place of a directory but is none: a symbolic link, or a whiteout, which only hides the lower layers."""
        real = os.fsencode(resolve(self.root, os.fsdecode(place))).strip(b"/")
        if real == place:
            if not is_whiteout(parent.fd, name, os.lstat(name, dir_fd=parent.fd)):
                raise InvalidArgument(f"the layer has entries below {shown(place)}, which is no directory", "the layer contradicts itself")
            os.unlink(name, dir_fd=parent.fd)
            made = self._make(parent, name, path, place)
            self._marks.make_opaque(made.fd, place)
            return made
        here = self._opened(b"", b"", os.open(b".", _DIRECTORY, dir_fd=self.root))
        for part in real.split(b"/") if real else ():
            try:
                inner = self._child(here, part)
            finally:
                self._close(here)
            here = inner
        here.path = path
        return here


def _has_default(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(os.getxattr(fd, ACLS[1]))
    return False
