"""An archive as files by their names, each read at any place; it must not know what the files mean.

What lies in a file and is not compressed stays there, and only its headers are read. Everything else is read once, into a file without
a name in the store, which is gone with this process. Nothing of an archive gets its name on this machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from labcontainers.errors import Denied, InvalidArgument, NotFound

# bytes, a path, a file, or an iterable of bytes
Data = bytes | bytearray | memoryview | str | Path | IO[bytes] | Iterable[bytes]

_BUFFER = 1 << 20
_HEAD = 16
_MOST_ENTRIES = 100_000
_MOST_LINKS = 16
MOST_DOCUMENT_BYTES = 8 << 20


class Stream(Protocol):
    """Bytes that come one after the other."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of the buffer; how many bytes, 0 at the end."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    """Where the content of an entry is in the file that holds all."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Link:
    """Another name of the entry `target`."""

    target: str


class Piece:
    """A part of an open file, read from `offset` within it on; other pieces of the same file do not disturb it."""

    def __init__(self, fd: int, start: int, size: int, offset: int) -> None:
        self._fd = fd
        self._at = start + offset
        self._end = start + size
        self.offset = offset

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of the buffer; how many bytes, 0 at the end."""
        count = min(len(buffer), self._end - self._at)
        if count <= 0:
            return 0
        count = os.preadv(self._fd, [buffer[:count]], self._at)
        self._at += count
        return count

    def close(self) -> None:
        """The file stays open for others."""


class OwnPiece(Piece):
    """A whole file, or its first `size` bytes, with a descriptor of its own that is closed with it."""

    def __init__(self, fd: int, offset: int, size: int | None = None) -> None:
        super().__init__(fd, 0, os.fstat(fd).st_size if size is None else size, offset)

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Contents(Protocol):
    """The files of one archive, by names that do not lead out of it."""

    def has(self, name: str) -> bool:
        """Whether there is a file of this name; raises InvalidArgument for a name that leads out of the archive."""

    def size(self, name: str) -> int:
        """The size of a file in bytes; raises NotFound."""

    def document(self, name: str) -> bytes:
        """All of a file that should be small; raises NotFound, and InvalidArgument when it is too large."""

    def open(self, name: str, offset: int = 0) -> Piece:
        """A file's content from `offset` on; raises NotFound."""


class Packed:
    """The files of an archive that lies in a file, each somewhere within it."""

    def __init__(self, fd: int, entries: dict[str, _File | _Link]) -> None:
        self._fd = fd
        self._entries = entries

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def size(self, name: str) -> int:
        return self._get(name).size

    def document(self, name: str) -> bytes:
        found = self._get(name)
        if found.size > MOST_DOCUMENT_BYTES:
            raise InvalidArgument(f"{name} of the archive has {found.size} bytes", f"a document may have {MOST_DOCUMENT_BYTES}")
        data = os.pread(self._fd, found.size, found.offset)
        if len(data) != found.size:
            raise InvalidArgument(f"the archive ends within {name}", "it is damaged: copy or make it again")
        return data

    def open(self, name: str, offset: int = 0) -> Piece:
        found = self._get(name)
        return Piece(self._fd, found.offset, found.size, offset)

    def _get(self, name: str) -> _File:
        found = self._find(name)
        if found is None:
            raise NotFound(f"the archive has no file {name!r}", "it is not complete: save or copy the image again")
        return found

    def _find(self, name: str) -> _File | None:
        name = clean_name(name)
        for _ in range(_MOST_LINKS):
            found = self._entries.get(name)
            if not isinstance(found, _Link):
                return found
            name = found.target
        raise InvalidArgument(f"the archive has too many links on the way to {name!r}", "an image's archive has one at most")


def clean_name(name: str) -> str:
    """The name of an entry without `./` and double slashes; raises InvalidArgument when it leads out of the archive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise InvalidArgument(f"a name leads out of the archive: {name[:200]!r}", "do not trust whoever made it")
    return "/".join(parts)


@contextlib.contextmanager
def open_contents(data: Data, scratch: Path) -> Iterator[Contents]:
    """The files of an archive, compressed or not; what has to be kept meanwhile lies below `scratch`.

    Raises InvalidArgument for what is no tar archive, or one that leads out of itself or has two files of one name.
    """
    from labcontainers.store.compression import kind_of

    with open_data(data) as source:
        if isinstance(source, _OpenFile) and not kind_of(os.pread(source.fd, _HEAD, source.offset)):
            yield Packed(source.fd, _index(source))
            return
        room = os.statvfs(scratch)
        with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
            yield Packed(file.fileno(), _spool(inflated(source, room.f_bavail * room.f_frsize), file.fileno()))


@contextlib.contextmanager
def open_data(data: Data) -> Iterator[Stream]:
    """`data` as bytes that come one after the other; what was opened is closed, what was given open stays so."""
    if isinstance(data, str | Path):
        with _opened(data) as file:
            status = os.fstat(file.fileno())
            yield _OpenFile(file.fileno(), 0) if stat.S_ISREG(status.st_mode) else _Given(file)
    elif isinstance(data, bytes | bytearray | memoryview):
        yield _Pieces(iter((data,)))
    elif hasattr(data, "read"):
        yield _of_file(data)
    else:
        yield _Pieces(iter(data))


def _opened(path: str | Path) -> io.FileIO:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise NotFound(f"no such file or directory: {path}", "name another file") from None
    except PermissionError:
        raise Denied(f"{path} may not be read by this user", "name another file, or make it readable") from None


def _of_file(file: Any) -> Stream:
    try:
        fd, offset = file.fileno(), file.tell()
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return _OpenFile(fd, offset)
    except (OSError, AttributeError):
        # bytes in memory, a pipe, or an object that only has read()
        pass
    return _Given(file)


class _OpenFile:
    """A regular file from where it stands on; the place is ours, not that of the descriptor."""

    def __init__(self, fd: int, offset: int) -> None:
        self.fd = fd
        self.offset = offset

    def readinto(self, buffer: memoryview, /) -> int:
        count = os.preadv(self.fd, [buffer], self.offset)
        self.offset += count
        return count

    def skip(self, count: int) -> None:
        self.offset += count


class _Given:
    """A file that somebody else has opened."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        if hasattr(self._file, "readinto"):
            return self._file.readinto(buffer) or 0
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Pieces:
    """Bytes that an iterator gives."""

    def __init__(self, pieces: Iterator[bytes | bytearray | memoryview]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def fill(source: Stream, buffer: memoryview) -> int:
    """As much as fits into the buffer, or all that is left; how many bytes."""
    total = 0
    while total < len(buffer) and (count := source.readinto(buffer[total:])):
        total += count
    return total


def inflated(source: Stream, most_bytes: int) -> Stream:
    """The same bytes without the compression that their beginning shows, at most so many; raises InvalidArgument for more."""
    return _Pieces(_inflate(source, most_bytes))


def _inflate(source: Stream, most_bytes: int) -> Iterator[bytes | memoryview]:
    from labcontainers.store.compression import Decompressor, kind_of

    buffer = memoryview(bytearray(_BUFFER))
    # a pipe gives little at once, and the kind is seen in the first bytes only
    count = fill(source, buffer[:_HEAD])
    decompressor = Decompressor(kind_of(bytes(buffer[:count])), most_bytes=most_bytes)
    while count:
        yield from decompressor.feed(buffer[:count])
        count = source.readinto(buffer)
    yield from decompressor.finish()


def _index(source: _OpenFile) -> dict[str, _File | _Link]:
    """Where the files are in an archive that lies in a file."""
    from labcontainers.store.tar_reader import TarReader

    start, end = source.offset, os.fstat(source.fd).st_size
    reader = TarReader(source.readinto, skip=source.skip)
    entries: dict[str, _File | _Link] = {}
    while (member := reader.next()) is not None:
        entry = _entry(member, start + reader.content_offset)
        if isinstance(entry, _File) and entry.offset + entry.size > end:
            raise InvalidArgument(f"the archive ends within {os.fsdecode(member.name)}", "it is damaged: copy or make it again")
        _add(entries, member, entry)
    return entries


def _spool(source: Stream, file: int) -> dict[str, _File | _Link]:
    """Keep the files of an archive, and where they are then."""
    from labcontainers.store.tar_reader import TarReader

    reader = TarReader(source.readinto)
    entries: dict[str, _File | _Link] = {}
    end = 0
    while (member := reader.next()) is not None:
        entry = _entry(member, end)
        _add(entries, member, entry)
        if isinstance(entry, _File):
            for offset, piece in reader.pieces():
                _write_at(file, piece, end + offset)
            end += entry.size
    if entries:
        # whoever writes the archive into a pipe shall not hear of a broken one, and the compression's check sum stands at the end
        reader.drain()
    return entries


def _write_at(file: int, piece: memoryview, offset: int) -> None:
    while piece:
        count = os.pwrite(file, piece, offset)
        piece, offset = piece[count:], offset + count


def _entry(member: Any, offset: int) -> _File | _Link | None:
    """What an entry is to us; None for directories, and for devices and the like, which no image's archive needs."""
    if member.kind == b"0":
        if member.sparse is not None:
            name = os.fsdecode(member.name)
            raise InvalidArgument(f"{name} of the archive is stored as a sparse file", "make the archive without: tar without --sparse")
        return _File(offset, member.size)
    if member.kind == b"1":
        return _Link(clean_name(os.fsdecode(member.link)))
    if member.kind == b"2":
        return _Link(_pointed_to(clean_name(os.fsdecode(member.name)), os.fsdecode(member.link)))
    return None


def _pointed_to(name: str, target: str) -> str:
    """The name to which the symbolic link `name` leads; raises InvalidArgument when that is outside."""
    way = name.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not way:
                raise InvalidArgument(f"a link leads out of the archive: {name[:200]!r}", "do not trust whoever made it")
            way.pop()
        elif part not in ("", "."):
            way.append(part)
    if target.startswith("/"):
        raise InvalidArgument(f"a link leads out of the archive: {name[:200]!r}", "do not trust whoever made it")
    return "/".join(way)


def _add(entries: dict[str, _File | _Link], member: Any, entry: _File | _Link | None) -> None:
    name = clean_name(os.fsdecode(member.name))
    if name in entries:
        # who reads the first one and who reads the last one would see different images
        raise InvalidArgument(f"the archive has two files of the name {name[:200]!r}", "do not trust whoever made it")
    if len(entries) >= _MOST_ENTRIES:
        raise InvalidArgument(f"the archive has more than {_MOST_ENTRIES} entries", "is it an image's? use import for a root file system")
    if entry is not None:
        entries[name] = entry
