"""Archives that are contexts, unpacked into a folder of this user: no name and no link of an archive leads out of the folder.

It must not know what the files are for. Owners and times are left out, since COPY does not take them from a context either; devices
and pipes are, since COPY takes none. What an archive forbids its owner to read, its owner may read here: the build has to.

Source: docs.docker.com "Build context", "Remote tarballs" and "Tarball contexts".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labcontainers.build.unpacking import begins_archive
from labcontainers.errors import InvalidArgument, LabError
from labcontainers.images.archive.contents import Stream, fill, inflated, open_data
from labcontainers.kernel.scoped_paths import open_in
from labcontainers.store.tar_reader import Member, TarReader

HEAD_BYTES = 512
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# files, and hard links, which are files, too
_FILES = (b"0", b"1")
_DAMAGED = "get the archive again, or make it anew"


def unfold(path: Path, folder: Path) -> int | None:
    """Unpack the archive (tar, also by gzip, zstd, bzip2 or xz) in the file `path` into `folder`; None, and nothing, for any other file.

    The time of its newest file, in seconds since 1970, 0 without any.
    Raises InvalidArgument for an archive that is damaged, that leads out of itself, or that is larger than what is free.
    """
    with _reader(path, folder) as reader:
        if reader is None:
            return None
        root = os.open(folder, _DIRECTORY)
        try:
            return _Folder(root).take(reader)
        finally:
            os.close(root)


def newest_file_s(path: Path) -> int | None:
    """The time of the newest file in the archive in the file `path`, in seconds since 1970, and nothing is unpacked.

    None for any other file, and without any. Raises InvalidArgument for an archive that is damaged, or larger than what is free.
    """
    with _reader(path, path) as reader:
        times = [] if reader is None else [member.mtime_ns for member in iter(reader.next, None) if member.kind in _FILES]
    return max(times) // 10**9 if times else None


@contextmanager
def _reader(path: Path, disk: Path) -> Iterator[TarReader | None]:
    """Reads the entries of an archive that is not larger than what is free on that disk; None for any other file."""
    room = os.statvfs(disk)
    with open(path, "rb", buffering=0) as file:
        if not may_be_archive(os.pread(file.fileno(), HEAD_BYTES, 0)):
            yield None
            return
        with open_data(file) as source:
            stream = inflated(source, room.f_bavail * room.f_frsize)
            head = memoryview(bytearray(HEAD_BYTES))
            count = fill(stream, head)
            yield TarReader(_again(head, stream)) if begins_archive(bytes(head[:count])) else None


def may_be_archive(head: bytes) -> bool:
    """Whether a file that begins so (HEAD_BYTES of it) is an archive, or packed, when only unpacking shows it. Raises nothing."""
    from labcontainers.store.compression import kind_of

    return bool(kind_of(head[:16])) or begins_archive(head)


def _again(head: memoryview, stream: Stream) -> Callable[[memoryview], int]:
    """Reads what was read already, and then the rest."""
    left = head

    def read_into(buffer: memoryview) -> int:
        nonlocal left
        if not left:
            return stream.readinto(buffer)
        count = min(len(left), len(buffer))
        buffer[:count] = left[:count]
        left = left[count:]
        return count

    return read_into


class _Folder:
    """The folder that is filled, open as `root`."""

    def __init__(self, root: int) -> None:
        self._root = root

    def take(self, reader: TarReader) -> int:
        """Take all entries; the time of the newest file, as in BuildKit: a folder's is that of its unpacking, often."""
        newest_ns = 0
        while (member := reader.next()) is not None:
            if member.kind in _FILES:
                newest_ns = max(newest_ns, member.mtime_ns)
            path = _inside(member.name)
            if not path:
                continue
            try:
                self._put(member, path, reader)
            except LabError:
                raise
            except OSError as error:
                problem = f"{_shown(member.name)} of the archive cannot be unpacked: {(error.strerror or str(error)).lower()}"
                raise InvalidArgument(problem, _DAMAGED) from error
        return newest_ns // 10**9

    def _put(self, member: Member, path: str, reader: TarReader) -> None:
        if member.kind == b"5":
            with self._directory(path) as fd:
                os.chmod(f"/proc/self/fd/{fd}", member.mode | stat.S_IRWXU)
            return
        folder, _, name = path.rpartition("/")
        with self._directory(folder) as parent:
            if member.kind == b"0":
                self._put_file(member, parent, name, reader)
            elif member.kind == b"2":
                _make_way(parent, name)
                os.symlink(os.fsdecode(member.link), name, dir_fd=parent)
            elif member.kind == b"1":
                self._link(member, parent, name)

    def _put_file(self, member: Member, parent: int, name: str, reader: TarReader) -> None:
        _make_way(parent, name)
        fd = os.open(name, _NEW, 0o600, dir_fd=parent)
        try:
            for offset, piece in reader.pieces():
                while piece:
                    count = os.pwrite(fd, piece, offset)
                    piece, offset = piece[count:], offset + count
            os.ftruncate(fd, member.size)
            os.fchmod(fd, member.mode | stat.S_IRUSR)
        finally:
            os.close(fd)

    def _link(self, member: Member, parent: int, name: str) -> None:
        try:
            source = open_in(self._root, _inside(member.link) or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            source = -1
        if source < 0:
            problem = f"the archive links {_shown(member.name)} to {_shown(member.link)}, which it does not hold before"
            raise InvalidArgument(problem, _DAMAGED)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                raise InvalidArgument(f"the archive links {_shown(member.name)} to what is no file", _DAMAGED)
            _make_way(parent, name)
            os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=parent, follow_symlinks=True)
        finally:
            os.close(source)

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        """A directory of the folder, made with those above it where it is missing; symbolic links are followed within the folder."""
        current = open_in(self._root, ".", _DIRECTORY)
        try:
            parts = [part for part in path.split("/") if part]
            for depth, part in enumerate(parts, 1):
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=current)
                below = open_in(self._root, "/".join(parts[:depth]), _DIRECTORY)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


def _make_way(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise InvalidArgument(f"the archive has a file where it has a directory already: {name}", _DAMAGED) from None


def _inside(name: bytes) -> str:
    """Relative to the folder's top, "" for the top itself; raises InvalidArgument."""
    parts = [part for part in os.fsdecode(name).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidArgument(f"the archive has a name that leads out of it: {_shown(name)}", "do not trust whoever made it")
    return "/".join(parts)


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name)[:200])
