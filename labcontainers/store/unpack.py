"""A layer's tar becomes a tree, as overlay wants it: whiteouts and opaque directories in overlay's form, the rest as the tar has it.

It must not know the store, images, or where the tar comes from; it runs in a worker, which as an ordinary user's is root of a user
namespace. The tree is made by descriptors of its directories (store.unpack_way), and nobody else writes to it.

A layer is unpacked without those below it. What needs them is told in the answer, and done by finish() (store.unpack_finish): the
attributes of directories that have no entry of their own, and hard links to files of lower layers.

What is where:
- A later entry of a path replaces an earlier one; of two directories the later only has its attributes set. A hard link keeps the
  file that it was made to; its attributes are given to that file, as in Docker, and never beyond a link (containerd CVE-2021-32760).
- A whiteout hides what lower layers have, and nothing of its own layer, wherever it stands in it: with `.wh.a`, a directory `a` of the
  same layer is opaque. The names with which AUFS kept house (`.wh..wh.plnk`) are passed over, as in Docker.
- Leading slashes are cut off. A name that leads out of the tree by `..` is refused, also as the target of a hard link.
- A device is made where this process may do so; elsewhere it is left out and told as skipped, and so is an attribute that this process
  or the file system cannot set. The device 0:0 is what overlay has for a whiteout, and so means one in a layer too, as in Docker.
- Of the extended attributes user.*, security.capability and access lists count; never overlay's own, whoever wrote them.
- Ids are kept. One that this user namespace lacks is refused; with a single id all files are its own, as everywhere in this mode.

Sources: OCI image spec, layer.md; containerd, pkg/archive/tar.go; moby, pkg/archive/diff.go; Linux Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from typing import Any, Final

from labcontainers.errors import InvalidArgument, LabError
from labcontainers.kernel.files import remove_tree
from labcontainers.kernel.scoped_paths import open_in
from labcontainers.store.overlay_marks import Marks, is_whiteout
from labcontainers.store.space import no_space
from labcontainers.store.tar_numbers import shown
from labcontainers.store.tar_reader import Member, TarReader
from labcontainers.store.unpack_dress import ACLS, Dress, forget_kept
from labcontainers.store.unpack_finish import finish
from labcontainers.store.unpack_way import Folder, Way

__all__ = ["finish", "unpack", "unpack_from"]

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIPE_BYTES: Final = 1 << 20
_WHITEOUT: Final = b".wh."
_META: Final = b".wh..wh."
_OPAQUE: Final = b".wh..wh..opq"
_SPECIAL: Final = {b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"6": stat.S_IFIFO}
_LARGEST_DEVICE: Final = (0xFFF, 0xFFFFF)
# what says more of this host than of the archive
_OF_THE_HOST: Final = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EACCES, errno.EPERM)
_MOST_LINKS: Final = 200_000
_MOST_HIDDEN: Final = 200_000


def unpack(fd: int, *, target: str, userxattr: bool, single_id: bool) -> dict[str, Any]:
    """Make the tree of the tar that is read from the descriptor `fd` in the empty directory `target`; `fd` is closed.

    `userxattr` where overlay's marks are attributes of users. Returns {"size_bytes" of the tar, "entries", "implied": the directories
    without an entry ("" is the top), "links": [name, target in a lower layer], "skipped": what could not be made}.

    Raises InvalidArgument for an archive that is damaged or hostile, Unsupported for what this host lacks, NoSpace, OSError.
    """
    with contextlib.suppress(OSError):
        # a pipe of its usual size would hand out a buffer's worth in sixteen pieces
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        reader = TarReader(lambda buffer: os.readv(fd, [buffer]))
        return unpack_from(reader, target=target, userxattr=userxattr, single_id=single_id)
    finally:
        os.close(fd)


def unpack_from(reader: TarReader, *, target: str, userxattr: bool, single_id: bool) -> dict[str, Any]:
    """As unpack(), from whatever reads the archive; into a tree that is there already, what is new comes beside or instead of the old."""
    umask = os.umask(0)
    try:
        return _Layer(reader, target, userxattr=userxattr, single_id=single_id).unpack()
    finally:
        os.umask(umask)


class _Layer:
    """One layer that is being unpacked."""

    def __init__(self, reader: TarReader, target: str, *, userxattr: bool, single_id: bool) -> None:
        self._reader = reader
        self._marks = Marks(userxattr=userxattr)
        self._way = Way(target, self._marks)
        self._dress = Dress(keeps_owners=not single_id)
        # hard links to lower layers, by where they are
        self._links: dict[bytes, bytes] = {}
        # where there is a whiteout, and something of this layer besides
        self._hidden: set[bytes] = set()

    def unpack(self) -> dict[str, Any]:
        entries = 0
        try:
            while (member := self._reader.next()) is not None:
                entries += 1
                try:
                    self._put(member)
                except OSError as error:
                    raise _explained(error, member.name) from error
        finally:
            self._way.close()
        self._reader.drain()
        return {
            "size_bytes": self._reader.size_bytes,
            "entries": entries,
            "implied": [os.fsdecode(place) for place in self._way.implied],
            "links": [[os.fsdecode(place), os.fsdecode(first)] for place, first in self._links.items()],
            "skipped": [os.fsdecode(name) for name in self._dress.skipped],
        }

    def _put(self, member: Member) -> None:
        path = path_of(member.name)
        above, _, name = path.rpartition(b"/")
        if _WHITEOUT in path and (path.startswith(_WHITEOUT) or b"/" + _WHITEOUT in path):
            self._marker(path, above, name)
            return
        if not path:
            self._put_top(member)
            return
        parent = self._way.enter(above)
        if self._links:
            self._links.pop(parent.place_of(name), None)
        kind = member.kind
        if kind == b"0":
            self._file(member, parent, name)
        elif kind == b"5":
            self._directory(member, parent, name, path)
        elif kind == b"2":
            self._create(parent, name, lambda: os.symlink(member.link, name, dir_fd=parent.fd))
            self._dress.named_one(parent.fd, name, member, exact=parent.inherits)
        elif kind == b"1":
            self._link(member, parent, name)
        else:
            self._special(member, parent, name)

    # --- what hides lower layers

    def _marker(self, path: bytes, above: bytes, name: bytes) -> None:
        parts = path.split(b"/")
        if any(part.startswith(_META) for part in parts[:-1]) or (name.startswith(_META) and name != _OPAQUE):
            return
        if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            raise InvalidArgument(
                f"the layer has an entry below a whiteout: {shown(path)}", "names that begin with .wh. mean deleted files"
            )
        if name == _OPAQUE:
            parent = self._way.enter(above)
            self._marks.make_opaque(parent.fd, parent.place)
            return
        gone = name[len(_WHITEOUT) :]
        if gone in (b"", b".", b".."):
            raise InvalidArgument(f"the layer has a whiteout of no file: {shown(path)}", "it is damaged, or made to do harm")
        parent = self._way.enter(above)
        place = parent.place_of(gone)
        if place in self._links:
            self._remember_hidden(place)
            return
        try:
            self._marks.put_whiteout(parent.fd, gone, place)
        except FileExistsError:
            status = os.lstat(gone, dir_fd=parent.fd)
            if stat.S_ISDIR(status.st_mode):
                self._hide_below(parent, gone, place)
            elif not is_whiteout(parent.fd, gone, status):
                self._remember_hidden(place)

    def _hide_below(self, parent: Folder, name: bytes, place: bytes) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=parent.fd)
        try:
            self._marks.make_opaque(fd, place)
        finally:
            os.close(fd)
        self._way.implied.pop(place, None)

    def _remember_hidden(self, place: bytes) -> None:
        if len(self._hidden) >= _MOST_HIDDEN:
            raise InvalidArgument(f"the layer replaces more than {_MOST_HIDDEN} of its own whiteouts", "leave the whiteouts out")
        self._hidden.add(place)

    # --- making way

    def _create(self, parent: Folder, name: bytes, make: Callable[[], None]) -> None:
        try:
            make()
        except FileExistsError:
            self._make_way(parent, name)
            make()

    def _make_way(self, parent: Folder, name: bytes) -> None:
        """Remove what an earlier entry made by this name."""
        status = os.lstat(name, dir_fd=parent.fd)
        place = parent.place_of(name)
        if stat.S_ISDIR(status.st_mode):
            remove_tree(os.fsdecode(name), parent.fd)
            for link in [link for link in self._links if link.startswith(place + b"/")]:
                del self._links[link]
            return
        if is_whiteout(parent.fd, name, status):
            self._remember_hidden(place)
        os.unlink(name, dir_fd=parent.fd)

    # --- entries

    def _put_top(self, member: Member) -> None:
        if member.kind != b"5":
            raise InvalidArgument(f"the layer has a top that is no directory: {shown(member.name)}", "the layer contradicts itself")
        top = self._way.enter(b"")
        self._way.implied.pop(b"", None)
        self._dress_folder(member, top, is_new=False, parent=top)

    def _directory(self, member: Member, parent: Folder, name: bytes, path: bytes) -> None:
        place = parent.place_of(name)
        is_new = True
        try:
            os.mkdir(name, member.mode & 0o1777, dir_fd=parent.fd)
        except FileExistsError:
            is_new = not stat.S_ISDIR(os.lstat(name, dir_fd=parent.fd).st_mode)
            if is_new:
                self._make_way(parent, name)
                os.mkdir(name, member.mode & 0o1777, dir_fd=parent.fd)
        folder = self._way.push(Folder(path, place, os.open(name, _DIRECTORY, dir_fd=parent.fd), None, False))
        self._way.implied.pop(place, None)
        if is_new and place in self._hidden:
            self._marks.make_opaque(folder.fd, place)
        self._dress_folder(member, folder, is_new=is_new, parent=parent)

    def _dress_folder(self, member: Member, folder: Folder, *, is_new: bool, parent: Folder) -> None:
        folder.mtime_ns = member.mtime_ns
        if not is_new:
            forget_kept(folder.fd)
        self._dress.open_one(folder.fd, member, exact=not is_new or parent.inherits)
        folder.inherits = bool(member.mode & stat.S_ISGID)
        if member.xattrs and ACLS[1] in member.xattrs:
            folder.inherits = self._way.default_acls = True

    def _file(self, member: Member, parent: Folder, name: bytes) -> None:
        try:
            fd = os.open(name, _NEW, member.mode & 0o1777, dir_fd=parent.fd)
        except FileExistsError:
            self._make_way(parent, name)
            fd = os.open(name, _NEW, member.mode & 0o1777, dir_fd=parent.fd)
        try:
            if member.sparse is None:
                for _, piece in self._reader.pieces():
                    done = os.write(fd, piece)
                    while done < len(piece):
                        done += os.write(fd, piece[done:])
            else:
                for at, piece in self._reader.pieces():
                    done = 0
                    while done < len(piece):
                        done += os.pwrite(fd, piece[done:], at + done)
                os.ftruncate(fd, member.size)
            self._dress.open_one(fd, member, exact=parent.inherits)
            os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(fd)

    def _link(self, member: Member, parent: Folder, name: bytes) -> None:
        first = path_of(member.link)
        above, _, last = first.rpartition(b"/")
        if not last or (above == parent.path and last == name):
            raise InvalidArgument(f"the layer links {shown(member.name)} to itself or to a directory", "the layer contradicts itself")
        try:
            fd = os.dup(parent.fd) if above == parent.path else open_in(self._way.root, os.fsdecode(above), os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            self._link_to_lower(parent, name, first)
            return
        try:
            self._link_in(fd, last, member, parent, name)
        finally:
            os.close(fd)

    def _link_in(self, fd: int, last: bytes, member: Member, parent: Folder, name: bytes) -> None:
        """Make the hard link to `last` of the open directory `fd`."""
        try:
            status = os.lstat(last, dir_fd=fd)
        except FileNotFoundError:
            self._link_to_lower(parent, name, path_of(member.link))
            return
        if stat.S_ISDIR(status.st_mode) or is_whiteout(fd, last, status):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "a file that it removes"
            raise InvalidArgument(f"the layer links {shown(member.name)} to {what}: {shown(member.link)}", "the layer contradicts itself")
        try:
            os.link(last, name, src_dir_fd=fd, dst_dir_fd=parent.fd, follow_symlinks=False)
        except FileExistsError:
            found = os.lstat(name, dir_fd=parent.fd)
            if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
                return
            self._make_way(parent, name)
            os.link(last, name, src_dir_fd=fd, dst_dir_fd=parent.fd, follow_symlinks=False)
        self._dress.linked_one(parent.fd, name, member, status)

    def _link_to_lower(self, parent: Folder, name: bytes, first: bytes) -> None:
        if len(self._links) >= _MOST_LINKS:
            raise InvalidArgument(f"the layer has more than {_MOST_LINKS} hard links to lower layers", "put the files into the layer")
        with contextlib.suppress(FileNotFoundError):
            self._make_way(parent, name)
        self._links[parent.place_of(name)] = first

    def _special(self, member: Member, parent: Folder, name: bytes) -> None:
        device = 0
        if member.kind != b"6":
            if member.device[0] > _LARGEST_DEVICE[0] or member.device[1] > _LARGEST_DEVICE[1]:
                raise InvalidArgument(f"the layer has a device {member.device} that cannot be: {shown(member.name)}", "leave it out")
            device = os.makedev(*member.device)
        if member.kind == b"3" and not device:
            self._create(parent, name, lambda: self._marks.put_whiteout(parent.fd, name, parent.place_of(name)))
            return
        mode = _SPECIAL[member.kind] | member.mode & 0o777
        try:
            self._create(parent, name, lambda: os.mknod(name, mode, device, dir_fd=parent.fd))
        except PermissionError:
            # A user namespace has no devices of its own.
            if member.kind == b"6":
                raise
            self._dress.skip(member)
            return
        self._dress.named_one(parent.fd, name, member, exact=parent.inherits)


def path_of(name: bytes) -> bytes:
    """A name of the archive as a path below the tree without needless parts, "" for the tree itself.

    Raises InvalidArgument for one that leads out.
    """
    if name[:2] == b"./":
        name = name[2:]
    if name[-1:] == b"/":
        name = name[:-1]
    if name[:1] not in (b"/", b".") and name[-1:] != b"/" and b"/." not in name and b"//" not in name:
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise InvalidArgument(f"the layer has a name that leads out of it: {shown(name)}", "it is made to do harm")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _explained(error: OSError, name: bytes) -> LabError | OSError:
    """What could not be done, as this project's error: the fault is the disk's, the host's, or else the archive's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_space(os.fsdecode(name))
    if error.errno in _OF_THE_HOST:
        return OSError(error.errno, error.strerror, os.fsdecode(name))
    return InvalidArgument(f"the layer cannot be unpacked: {shown(name)}: {(error.strerror or str(error)).lower()}", "the layer is damaged")
