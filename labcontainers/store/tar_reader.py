"""Tar archives that somebody else wrote, read entry by entry from a stream, with memory for one buffer and one header.

It must not know files: what is made of an entry, and whether its name is harmless, is its caller's business (store.unpack).
Read are the formats V7, ustar, pax and GNU. A name is the bytes that the archive has for it, and never decoded. What contradicts
itself is refused, since another program could read it as another archive: sizes below zero, maps of sparse files that do not fit
their content, records of a header that do not fit their lengths. As in Go's archive/tar, by which Docker, containerd and umoci
read, the content of anything but a file is none whatever its header says, records for all entries (pax' `g`) change none, and a stream
may end where an entry ends; as in GNU tar a block of zeros ends the archive, and what follows is of no meaning.

Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format" and "Storing
Sparse Files"; star(5), "SCHILY.xattr"; libarchive's tar(5), "LIBARCHIVE.xattr".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import adler32

from labcontainers.store.tar_numbers import bad, decimal, number, octal, shown
from labcontainers.store.tar_records import Records

_BLOCK = 512
_HALF = 256
_BUFFER = 1 << 20
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_ZERO = bytes(_BLOCK)
_MAGIC_GNU = b"ustar  \0"
_CHECKSUM = slice(148, 156)
_BLANKS = 8 * 0x20
_SECOND = 10**9
_LARGEST_ID = (1 << 32) - 2
# the kinds of entries (of a file: old, new, contiguous and sparse), and those that describe the entry that follows
_SPARSE = b"S"
_WITH_CONTENT = frozenset((b"\0", b"0", b"7", _SPARSE))
_DEVICES = (b"3", b"4")
_KINDS = _WITH_CONTENT | {b"1", b"2", b"3", b"4", b"5", b"6"}
_NOTES = frozenset((b"x", b"X", b"g", b"L", b"K"))
_Pieces = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one archive may ask for; each is far beyond what honest ones have."""

    name_bytes: int = 4096
    header_bytes: int = 1 << 20
    xattr_bytes: int = 512 << 10
    sparse_pieces: int = 200_000
    file_bytes: int = 1 << 44
    entries: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. `name` and `link` are as in the archive; `size` is that of the file, which with `sparse` is more than what is stored.

    `kind` is b"0" for a file, b"1" a hard link, b"2" a symbolic link, b"3" and b"4" a character and a block device, b"5" a directory,
    b"6" a fifo. `sparse` has the place and the length of each piece that is stored, in order; between them are holes.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int]
    xattrs: dict[bytes, bytes]
    sparse: _Pieces | None


_NO_DEVICE = (0, 0)
_NO_XATTRS: dict[bytes, bytes] = {}


class TarReader:
    """Reads one archive. Not thread-safe."""

    def __init__(
        self, read_into: Callable[[memoryview], int], *, limits: Limits = Limits(), skip: Callable[[int], object] | None = None
    ) -> None:
        """`read_into(buffer)` fills the beginning of the buffer and returns how many bytes, 0 at the end of the stream.

        `skip(count)` passes over bytes of the stream that nobody wants; without it they are read. It may lead beyond the end.
        """
        self._read_into = read_into
        self._pass_over = skip
        self._limits = limits
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        # what is left of the stored content of the current entry, and of its padding
        self._left = self._padding = 0
        self._member: Member | None = None
        self._ended = False
        self._headers = 0
        self.size_bytes = 0

    def next(self) -> Member | None:
        """The next entry, or None at the end of the archive; what is left of the content of the last one is skipped.

        Raises InvalidArgument for an archive that is damaged or goes beyond the limits, and what `read_into` raises.
        """
        if self._left or self._padding:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
        self._member = None
        notes: Records | None = None
        while not self._ended and self._have(_BLOCK):
            start = self._start
            self._start = start + _BLOCK
            block = self._buffer[start : self._start]
            if not block[0] and block == _ZERO:
                break
            self._headers += 1
            if self._headers > self._limits.entries:
                raise bad(f"more than {self._limits.entries} entries")
            total = (adler32(block[:_HALF]) & 0xFFFF) + (adler32(block[_HALF:]) & 0xFFFF) - 2
            fields = _HEADER.unpack(block)
            if octal(fields[6]) != total - sum(fields[6]) + _BLANKS:
                self._check_signed(block, fields[6])
            kind = fields[7]
            if kind in _NOTES:
                notes = self._note(kind, fields, notes or Records())
                continue
            self._member = member = self._entry(fields, notes)
            return member
        if notes is not None and not self._ended:
            raise bad("it ends after the header of an entry that is not there")
        self._ended = True
        return None

    @property
    def content_offset(self) -> int:
        """Where in the stream the content of the entry begins that next() has just given."""
        return self.size_bytes - (self._end - self._start)

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """The content of the last entry: (offset in the file, bytes). The bytes are valid until the next one is asked for."""
        member = self._member
        if member is not None and member.sparse is not None:
            for at, length in member.sparse:
                yield from self._stored(at, length)
        elif self._left:
            yield from self._stored(0, self._left)

    def drain(self) -> None:
        """Read the stream to its end, beyond the end of the archive."""
        self._ended = True
        self._member = None
        self._left = self._padding = 0
        self._start = self._end = 0
        while count := self._read_into(self._buffer):
            self.size_bytes += count

    # --- the stream

    def _have(self, count: int) -> bool:
        """Whether there are `count` bytes, at most as many as fit the buffer, at its place; False at the end of the stream."""
        have = self._end - self._start
        if have >= count:
            return True
        if self._start:
            self._buffer[:have] = self._buffer[self._start : self._end]
            self._start, self._end = 0, have
        while self._end < count:
            got = self._read_into(self._buffer[self._end :])
            if not got:
                if self._end:
                    raise bad("it ends within an entry", "get it again: it was cut off")
                return False
            self.size_bytes += got
            self._end += got
        return True

    def _more(self) -> None:
        """Fill the empty buffer."""
        got = self._read_into(self._buffer)
        if not got:
            raise bad("it ends within an entry", "get it again: it was cut off")
        self.size_bytes += got
        self._start, self._end = 0, got

    def _stored(self, at: int, length: int) -> Iterator[tuple[int, memoryview]]:
        while length:
            if self._start == self._end:
                self._more()
            count = min(length, self._end - self._start)
            start = self._start
            self._start += count
            self._left -= count
            yield at, self._buffer[start : start + count]
            at += count
            length -= count

    def _skip(self, count: int) -> None:
        while count > self._end - self._start:
            count -= self._end - self._start
            if self._pass_over is not None:
                self._start = self._end = 0
                self._pass_over(count)
                self.size_bytes += count
                return
            self._more()
        self._start += count

    def _content(self, size: int) -> bytes:
        """The content of an entry that describes another one, with its padding behind it."""
        if size > self._limits.header_bytes:
            raise bad(f"a header of {size} bytes, and at most {self._limits.header_bytes} are read")
        found = bytearray()
        self._left = size
        for _, piece in self._stored(0, size):
            found += piece
        self._skip(-size % _BLOCK)
        return bytes(found)

    # --- headers

    @staticmethod
    def _check_signed(block: memoryview, field: bytes) -> None:
        """Some old programs added the bytes up as signed ones."""
        signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148].tobytes() + block[156:].tobytes()) + _BLANKS
        if octal(field) != signed or signed < 0:
            raise bad("the checksum of a header is wrong", "get it again: it is damaged, or no tar archive")

    def _note(self, kind: bytes, fields: tuple[bytes, ...], notes: Records) -> Records:
        """What stands before an entry: names that are too long for its header (GNU), or records (pax)."""
        content = self._content(number(fields[4], "size"))
        if kind == b"L":
            notes.long_name = content.partition(b"\0")[0]
        elif kind == b"K":
            notes.long_link = content.partition(b"\0")[0]
        elif kind == b"g":
            Records().parse(content)
        else:
            notes.parse(content)
        return notes

    def _entry(self, fields: tuple[bytes, ...], notes: Records | None) -> Member:
        name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix = fields
        name = name.partition(b"\0")[0]
        if magic[:5] == b"ustar" and magic != _MAGIC_GNU and prefix[0]:
            name = prefix.partition(b"\0")[0] + b"/" + name
        if kind not in _KINDS:
            raise bad(f"an entry of an unknown type {shown(kind)}: {shown(name)}", "leave it out, or make the archive with another tar")
        plain = _plain(kind, name)
        found = Member(
            name,
            plain,
            number(mode, "mode") & 0o7777,
            number(uid, "uid"),
            number(gid, "gid"),
            number(size, "size") if plain in _WITH_CONTENT else 0,
            number(mtime, "time", True) * _SECOND,
            link.partition(b"\0")[0] if link[0] else b"",
            (number(major, "device"), number(minor, "device")) if kind in _DEVICES else _NO_DEVICE,
            _NO_XATTRS,
            None,
        )
        stored = found.size
        if kind == _SPARSE or notes is not None:
            found, stored = self._amended(found, fields, notes or Records())
        longest = max(len(found.name), len(found.link))
        if not found.name or longest > self._limits.name_bytes:
            raise bad(f"a name of {longest} bytes", f"names have from 1 to {self._limits.name_bytes} bytes")
        if found.uid > _LARGEST_ID or found.gid > _LARGEST_ID:
            raise bad(f"no user or group can have the id {max(found.uid, found.gid)}: {shown(found.name)}")
        self._left = stored
        self._padding = -stored % _BLOCK
        return found

    def _amended(self, plain: Member, fields: tuple[bytes, ...], notes: Records) -> tuple[Member, int]:
        """The entry with what the records before it say, and the number of bytes that are stored for it."""
        changed = notes.amended(self._limits.xattr_bytes)
        name = notes.long_name or changed.path or plain.name
        kind = _plain(fields[7], name)
        stored = 0
        if kind in _WITH_CONTENT:
            stored = number(fields[4], "size") if changed.size is None else changed.size
        size, pieces = stored, None
        if kind == _SPARSE:
            kind = b"0"
            size, pieces = self._old_sparse(fields)
        elif kind == b"0" and changed.sparse is not None:
            size, name = changed.sparse.size, changed.sparse.name or name
            pieces = changed.sparse.pieces
            if pieces is None:
                pieces, stored = self._map_before_content(stored)
        if pieces is not None:
            self._check_sparse(pieces, size, stored, name)
        member = Member(
            name,
            kind,
            plain.mode,
            plain.uid if changed.uid is None else changed.uid,
            plain.gid if changed.gid is None else changed.gid,
            size,
            plain.mtime_ns if changed.mtime_ns is None else changed.mtime_ns,
            notes.long_link or changed.linkpath or plain.link,
            plain.device,
            changed.xattrs or _NO_XATTRS,
            pieces,
        )
        return member, stored

    # --- sparse files

    def _old_sparse(self, fields: tuple[bytes, ...]) -> tuple[int, _Pieces]:
        """GNU's first form: four pieces in what is elsewhere the prefix, and 21 in each block that follows."""
        if fields[9] != _MAGIC_GNU:
            raise bad("a sparse file in an archive that is not of GNU's format")
        block = self._buffer[self._start - _BLOCK : self._start].tobytes()
        size = number(block[483:495], "size")
        pieces = list(_old_pieces(block[386:482]))
        more = block[482]
        while more:
            if not self._have(_BLOCK):
                raise bad("it ends within an entry", "get it again: it was cut off")
            block = self._buffer[self._start : self._start + _BLOCK].tobytes()
            self._start += _BLOCK
            pieces += _old_pieces(block[:504])
            if len(pieces) > self._limits.sparse_pieces:
                raise bad(f"a sparse file of more than {self._limits.sparse_pieces} pieces")
            more = block[504]
        return size, tuple(pieces)

    def _map_before_content(self, stored: int) -> tuple[_Pieces, int]:
        """GNU's form 1.0: decimal numbers, a line each, before the content in blocks of their own; the map and what is left."""
        numbers: list[int] = []
        text = b""
        wanted = 1
        while len(numbers) < wanted:
            line, newline, rest = text.partition(b"\n")
            if not newline:
                if stored < _BLOCK or len(text) > _BLOCK or not self._have(_BLOCK):
                    raise bad("the map of a sparse file does not end")
                text += self._buffer[self._start : self._start + _BLOCK].tobytes()
                self._start += _BLOCK
                stored -= _BLOCK
                continue
            text = rest
            numbers.append(decimal(line))
            if len(numbers) == 1:
                wanted += 2 * numbers[0]
                if numbers[0] > self._limits.sparse_pieces:
                    raise bad(f"a sparse file of {numbers[0]} pieces, and at most {self._limits.sparse_pieces} are read")
        return tuple(zip(numbers[1::2], numbers[2::2], strict=True)), stored

    def _check_sparse(self, pieces: _Pieces, size: int, stored: int, name: bytes) -> None:
        if len(pieces) > self._limits.sparse_pieces:
            raise bad(f"a sparse file of more than {self._limits.sparse_pieces} pieces")
        if size > self._limits.file_bytes:
            raise bad(f"a sparse file of {size} bytes: {shown(name)}", f"at most {self._limits.file_bytes} are possible")
        end = total = 0
        for at, length in pieces:
            if at < end or at + length > size:
                raise bad(f"the map of a sparse file does not fit it: {shown(name)}")
            end = at + length
            total += length
        if total != stored:
            raise bad(f"a sparse file has {stored} bytes of content, and its map {total}: {shown(name)}")


def _plain(kind: bytes, name: bytes) -> bytes:
    """The kind of an entry as this module's callers know it: old archives have directories as files whose names end with a slash."""
    if kind == b"\0":
        return b"5" if name[-1:] == b"/" else b"0"
    return b"0" if kind == b"7" else kind


def _old_pieces(data: bytes) -> Iterator[tuple[int, int]]:
    """Pairs of two numbers of twelve bytes, as far as there are any; a last one of no length only marks the end of the file."""
    for at in range(0, len(data), 24):
        if not data[at + 12]:
            return
        yield number(data[at : at + 12], "offset"), number(data[at + 12 : at + 24], "length")
