"""A tar stream, made into files below a directory: names and links of the stream never lead out of it, and nothing in the
directory that somebody swaps meanwhile does.

It must not know containers or where the stream comes from. Python's tarfile only reads; everything is made by descriptor.

Source: pax(1); what may replace what is as in moby's archive.Unpack with NoOverwriteDirNonDir.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol, cast

from labcontainers.errors import Conflict, InvalidArgument
from labcontainers.kernel import syscalls
from labcontainers.kernel.scoped_paths import BENEATH, open_in

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_MOST_OPEN = 64
_MOST_REMEMBERED = 10_000
_ATTRIBUTE = "SCHILY.xattr."
_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
# It may be taken for a symbolic link that nothing may pass (ELOOP), or for one that leads out (EXDEV).
_LED_AWAY = (errno.ELOOP, errno.EXDEV, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Rules:
    """How things are made.

    `owner` of all, or None for each one's own where this process may give files away; `keep_owner` False leaves them to whoever
    makes them. `trusted` is for a container's own files: it keeps setuid bits, file capabilities and devices, which files that come
    out of a container lose. `rename` gives the first part of every name another one ("" stands before all of them).
    """

    owner: tuple[int, int] | None = None
    keep_owner: bool = True
    trusted: bool = True
    rename: tuple[str, str] | None = None


@dataclass(slots=True)
class _Folder:
    path: str
    fd: int
    mode: int = -1
    mtime_ns: int = 0


class Readable(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes: ...


class Unpacker:
    """Makes what a stream holds below the directory `path` of the root `root_fd`.

    With `links` symbolic links among the directories are followed inside the root, as in a container; without, none is.
    """

    def __init__(self, root_fd: int, path: str, rules: Rules, *, links: bool) -> None:
        self._root_fd = root_fd
        self._path = path.strip("/")
        self._rules = rules
        self._resolve = _IN_ROOT if links else BENEATH
        # The way down to the last directory, kept open: what was made once is not looked up again by its name.
        self._open_ones: list[_Folder] = []
        # What directories got that were left, the last ones: an archive may come back to them.
        self._finished: dict[tuple[int, int], tuple[int, int]] = {}

    def unpack(self, stream: Readable) -> int:
        """Make everything; how many entries. No bytes at all are an empty archive, as in Docker.

        Raises InvalidArgument (a damaged archive, or names that lead out), Conflict, OSError.
        """
        count = 0
        try:
            self._open_ones = [_Folder("", self._open(""))]
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|*", errorlevel=1, bufsize=_CHUNK) as archive:
                while (member := archive.next()) is not None:
                    # It would remember every one.
                    archive.members = []  # type: ignore[attr-defined]  # typeshed leaves it out, tarfile's documentation does not
                    self._put(archive, member)
                    count += 1
        except (tarfile.TarError, EOFError, ValueError) as error:
            if not count and str(error) == "empty file":
                return 0
            raise InvalidArgument(f"the archive is damaged: {error}", "give a whole tar archive") from error
        finally:
            self._leave("")
            for folder in self._open_ones:
                os.close(folder.fd)
        return count

    # --- directories

    def _open(self, path: str) -> int:
        return open_in(self._root_fd, f"{self._path}/{path}".strip("/"), os.O_RDONLY | os.O_DIRECTORY, self._resolve)

    def _leave(self, path: str) -> None:
        """Close the open directories that do not lead to `path`; now that nothing is made in them any more they get mode and time."""
        while len(self._open_ones) > 1:
            last = self._open_ones[-1]
            if last.path == path or path.startswith(last.path + "/"):
                return
            self._close(self._open_ones.pop())

    def _close(self, folder: _Folder) -> None:
        try:
            if folder.mode >= 0:
                os.fchmod(folder.fd, folder.mode)
                os.utime(folder.fd, ns=(folder.mtime_ns, folder.mtime_ns))
                self._finished[_identity(folder.fd)] = (folder.mode, folder.mtime_ns)
                if len(self._finished) > _MOST_REMEMBERED:
                    del self._finished[next(iter(self._finished))]
        finally:
            os.close(folder.fd)

    def _enter(self, folder: _Folder) -> None:
        self._open_ones.append(folder)
        if len(self._open_ones) > _MOST_OPEN:
            self._close(self._open_ones.pop(1))

    def _folder(self, path: str) -> int:
        """The open directory `path`, made with its parents where it is missing."""
        self._leave(path)
        if self._open_ones[-1].path == path:
            return self._open_ones[-1].fd
        known = self._open_ones[-1]
        done = known.path
        for name in path[len(done) :].strip("/").split("/"):
            parent = self._open_ones[-1].fd
            done = posixpath.join(done, name)
            try:
                fd = self._open(done)
            except FileNotFoundError:
                os.mkdir(name, 0o700, dir_fd=parent)
                fd = os.open(name, _DIRECTORY, dir_fd=parent)
                os.fchmod(fd, 0o755)
            except OSError as error:
                if error.errno not in _LED_AWAY:
                    raise
                raise Conflict(f"cannot copy into {done!r}: it is not a directory", "choose another destination") from None
            self._enter(_Folder(done, fd, *self._finished.get(_identity(fd), (-1, 0))))
        return self._open_ones[-1].fd

    # --- entries

    def _named(self, name: str) -> str:
        """A name of the stream as a path below the directory; "" for the directory itself."""
        path = posixpath.normpath(name.lstrip("/") or ".")
        if path.split("/", 1)[0] == "..":
            raise InvalidArgument(f"the archive has a name that leads out of it: {name!r}", "give an archive of relative names")
        path = "" if path == "." else path
        if self._rules.rename is None:
            return path
        old, new = self._rules.rename
        first, _, rest = path.partition("/")
        if not old:
            return posixpath.join(new, path) if path else new
        return posixpath.join(new, rest).rstrip("/") if first == old else path

    def _put(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._named(member.name)
        if not path:
            return
        above, name = posixpath.split(path)
        parent = self._folder(above)
        for attempt in range(10):
            self._make_way(parent, name, path, is_directory=member.isdir())
            try:
                self._make(archive, member, parent, name, path)
                return
            except FileExistsError:
                # Somebody was faster with something of that name.
                if attempt == 9:
                    raise

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str, path: str) -> None:
        if member.isdir():
            self._directory(member, parent, name, path)
        elif member.isreg():
            self._file(archive, member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            self._give(name, member, parent)
            self._set_time(name, member, parent)
        elif member.islnk():
            self._link(member, parent, name)
        elif member.isfifo() or member.isdev():
            self._special(member, parent, name)
        else:
            raise InvalidArgument(f"the archive has an entry of an unknown type: {member.name!r}", "leave it out")

    def _make_way(self, parent: int, name: str, path: str, *, is_directory: bool) -> None:
        try:
            found = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return
        there = stat.S_ISDIR(found.st_mode)
        if there and not is_directory:
            raise Conflict(f"cannot overwrite directory {path!r} with non-directory", "choose another destination")
        if is_directory and not there:
            raise Conflict(f"cannot overwrite non-directory {path!r} with directory", "choose another destination")
        if there:
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                # unlink(2) would take away what is mounted there in the container's own mount namespace.
                os.close(open_in(parent, name, os.O_PATH | os.O_NOFOLLOW, syscalls.RESOLVE_NO_XDEV))
                os.unlink(name, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            raise Conflict(f"cannot replace {path!r}: something is mounted there", "write into it from inside, by exec") from None

    def _directory(self, member: tarfile.TarInfo, parent: int, name: str, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        self._enter(_Folder(path, fd, self._mode(member), _mtime_ns(member)))
        self._give(fd, member)
        self._set_attributes(fd, member)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            self._give(fd, member)
            for piece in _content(archive, member):
                left = memoryview(piece)
                while left:
                    left = left[os.write(fd, left) :]
            self._set_attributes(fd, member)
            # After the content, since writing takes the setuid bit away from all but the machine's own root.
            os.fchmod(fd, self._mode(member))
            self._set_time(fd, member)
        finally:
            os.close(fd)

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        above, last = posixpath.split(self._named(member.linkname))
        try:
            folder = self._open(above)
            try:
                first = os.open(last or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            problem = f"the archive links {member.name!r} to {member.linkname!r}, which is not there"
            raise InvalidArgument(problem, "put the file before its links") from error
        try:
            os.link(f"/proc/self/fd/{first}", name, dst_dir_fd=parent, follow_symlinks=True)
        finally:
            os.close(first)

    def _special(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        if kind != stat.S_IFIFO and not self._rules.trusted:
            return
        try:
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
        except PermissionError:
            # As in Docker: a user namespace has no devices of its own.
            if kind == stat.S_IFIFO:
                raise
            return
        self._give(name, member, parent)
        # The name may be another thing by now; a symbolic link is not followed.
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                os.chmod(f"/proc/self/fd/{fd}", self._mode(member))
        finally:
            os.close(fd)
        self._set_time(name, member, parent)

    # --- what an entry has

    def _mode(self, member: tarfile.TarInfo) -> int:
        return member.mode & (0o7777 if self._rules.trusted else 0o1777)

    def _give(self, what: int | str, member: tarfile.TarInfo, parent: int | None = None) -> None:
        """Set the owner, as far as this process has such an id: an ordinary user's files stay whoever's they are."""
        if not self._rules.keep_owner:
            return
        uid, gid = self._rules.owner or (member.uid, member.gid)
        try:
            if isinstance(what, int):
                os.fchown(what, uid, gid)
            else:
                os.chown(what, uid, gid, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise

    def _set_attributes(self, fd: int, member: tarfile.TarInfo) -> None:
        """The extended attributes that this file system and this user may have."""
        for key, value in member.pax_headers.items():
            name = key.removeprefix(_ATTRIBUTE)
            if name != key and (self._rules.trusted or name.startswith("user.")):
                with contextlib.suppress(OSError):
                    os.setxattr(fd, name, os.fsencode(value))

    @staticmethod
    def _set_time(what: int | str, member: tarfile.TarInfo, parent: int | None = None) -> None:
        at = _mtime_ns(member)
        if isinstance(what, int):
            os.utime(what, ns=(at, at))
        else:
            os.utime(what, ns=(at, at), dir_fd=parent, follow_symlinks=False)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    assert file is not None
    left = member.size
    with file:
        while data := file.read(_CHUNK):
            left -= len(data)
            yield data
    if left > 0:
        raise EOFError(f"{member.name!r} ends before its end")


def _mtime_ns(member: tarfile.TarInfo) -> int:
    """The whole of the time, of which tarfile keeps a float."""
    text = member.pax_headers.get("mtime")
    if text is None:
        return int(member.mtime * 10**9)
    whole, _, fraction = text.lstrip("-").partition(".")
    value = int(whole or "0") * 10**9 + int((fraction or "0")[:9].ljust(9, "0"))
    return -value if text.startswith("-") else value
