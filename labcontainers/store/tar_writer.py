"""The canonical tar of a layer's tree: equal trees give equal bytes on every machine; it must not know the store.

Entries are sorted by the bytes of their names (in each directory whiteouts first), ids are numbers without names, PAX records appear
only where the old header cannot hold a value. Overlay's whiteouts and opaque directories are written as the OCI image spec wants
them (layer.md, "Whiteouts"); sockets, and attributes that only mean something on this host, are left out; holes become zeros.

Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; Linux Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from labcontainers.errors import Failed, InvalidArgument

_BLOCK = 512
_RECORD = 20 * _BLOCK
_CHUNK = 1 << 20
# entries of one directory that are held whole
_HELD = 10_000
_LARGEST_ID = 0o7777777
_LARGEST_NUMBER = 0o77777777777
_LONGEST_NAME = 100
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_KEPT = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAGIC = b"ustar\x0000" + b"\0" * 64
_PADDING = b"\0" * (155 + 12)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TarWriter:
    """Streams the canonical tar of one tree to `take`, with memory for the names of one directory at a time and for hard links."""

    def __init__(self, take: Callable[[bytes | memoryview], object]) -> None:
        self._take = take
        self._written = 0
        self._links: dict[tuple[int, int], bytes] = {}
        self._buffer = memoryview(bytearray(_CHUNK))

    def write(self, tree: str) -> int:
        """Write all of the tree and return the size in bytes. The directory itself has no entry.

        Raises OSError, InvalidArgument for a name that a layer cannot hold, Failed for a tree that is no plain upper directory.
        """
        self._directories(os.open(tree, _DIRECTORY))
        return self._end()

    def _end(self) -> int:
        """The end of the archive; its size in bytes."""
        self._emit(b"\0" * (2 * _BLOCK))
        self._emit(b"\0" * (-self._written % _RECORD))
        return self._written

    def _emit(self, data: bytes | memoryview) -> None:
        self._take(data)
        self._written += len(data)

    def _directories(self, fd: int) -> None:
        """All that is below the directory `fd`, which is closed; without recursion, since whoever filled the tree chose its depth."""
        nothing: Iterator[_Entry] = iter(())
        # A directory is in the list before anything of it is read, so that it is closed whatever happens then.
        open_ones = [(fd, b"", nothing)]
        try:
            if attributes_of(fd, b"/").opaque:
                self._marker(_OPAQUE)
            open_ones[-1] = (fd, b"", _entries(fd, b""))
            while open_ones:
                fd, prefix, entries = open_ones[-1]
                for entry in entries:
                    if entry.is_gone:
                        self._marker(prefix + _WHITEOUT + entry.name)
                    elif stat.S_ISDIR(entry.status.st_mode):
                        path = prefix + entry.name + b"/"
                        self._header(path, entry.status, b"5", records=entry.attributes.records)
                        if entry.attributes.opaque:
                            self._marker(path + _OPAQUE)
                        inner = os.open(entry.name, _DIRECTORY, dir_fd=fd)
                        open_ones.append((inner, path, nothing))
                        open_ones[-1] = (inner, path, _entries(inner, path))
                        break
                    else:
                        self._leaf(prefix + entry.name, entry.status, (fd, entry.name), entry.attributes.records)
                else:
                    open_ones.pop()
                    os.close(fd)
        finally:
            for fd, _, _ in open_ones:
                os.close(fd)

    def _leaf(self, path: bytes, status: os.stat_result, place: tuple[int, bytes], records: dict[bytes, bytes]) -> None:
        """What is no directory. `place` is the open directory that holds it, and its name there."""
        fd, name = place
        mode = status.st_mode
        if stat.S_ISSOCK(mode):
            return
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                self._header(path, status, b"1", link=first)
                return
        if stat.S_ISREG(mode):
            self._header(path, status, b"0", size=status.st_size, records=records)
            self._content(fd, name, path, status.st_size)
        elif stat.S_ISLNK(mode):
            self._header(path, status, b"2", link=os.fsencode(os.readlink(name, dir_fd=fd)))
        elif stat.S_ISFIFO(mode):
            self._header(path, status, b"6", records=records)
        else:
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            self._header(path, status, b"3" if stat.S_ISCHR(mode) else b"4", device=device, records=records)

    def _marker(self, path: bytes) -> None:
        """An empty file whose name says that something of the lower layers is gone."""
        records = _name_records(path, b"")
        if records:
            self._pax(records)
        self._block(path, b"0", 0, 0, 0, 0, 0, b"", (0, 0))

    def _content(self, fd: int, name: bytes, path: bytes, size: int) -> None:
        left = size
        file = os.open(name, _FILE, dir_fd=fd)
        try:
            while left:
                count = os.readv(file, [self._buffer[:left]])
                if not count:
                    raise Failed(f"a file became shorter while it was read: {os.fsdecode(path)}", "does something still write to the tree?")
                self._emit(self._buffer[:count])
                left -= count
        finally:
            os.close(file)
        if size % _BLOCK:
            self._emit(b"\0" * (-size % _BLOCK))

    def _header(
        self,
        path: bytes,
        status: os.stat_result,
        kind: bytes,
        *,
        size: int = 0,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
        records: dict[bytes, bytes] | None = None,
    ) -> None:
        extended = {**(records or {}), **_name_records(path, link)}
        limits = ((b"uid", status.st_uid, _LARGEST_ID), (b"gid", status.st_gid, _LARGEST_ID), (b"size", size, _LARGEST_NUMBER))
        for key, value, largest in limits:
            if value > largest:
                extended[key] = b"%d" % value
        seconds, fraction = divmod(status.st_mtime_ns, 10**9)
        if fraction or not 0 <= seconds <= _LARGEST_NUMBER:
            extended[b"mtime"] = _decimal(status.st_mtime_ns)
        if extended:
            self._pax(extended)
        self._block(
            path,
            kind,
            stat.S_IMODE(status.st_mode),
            min(status.st_uid, _LARGEST_ID),
            min(status.st_gid, _LARGEST_ID),
            min(size, _LARGEST_NUMBER),
            min(max(seconds, 0), _LARGEST_NUMBER),
            link,
            device,
        )

    def _pax(self, records: dict[bytes, bytes]) -> None:
        self._emit(_pax_header(records))

    def _block(
        self, name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, device: tuple[int, int]
    ) -> None:
        self._emit(_header_block(name, kind, mode, uid, gid, size, mtime, link, device))


def file_header(name: str, size: int = 0) -> bytes:
    """What stands before the content of a file of root's, of time 0; of a directory where the name ends with a slash."""
    path = name.encode()
    records = _name_records(path, b"")
    if size > _LARGEST_NUMBER:
        records[b"size"] = b"%d" % size
    kind, mode = (b"5", 0o755) if name.endswith("/") else (b"0", 0o644)
    block = _header_block(path, kind, mode, 0, 0, min(size, _LARGEST_NUMBER), 0, b"", (0, 0))
    return (_pax_header(records) if records else b"") + block


def _pax_header(records: dict[bytes, bytes]) -> bytes:
    body = b"".join(pax_record(key, records[key]) for key in sorted(records))
    return _header_block(b"PaxHeaders/0", b"x", 0o644, 0, 0, len(body), 0, b"", (0, 0)) + body + b"\0" * (-len(body) % _BLOCK)


def _header_block(
    name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, device: tuple[int, int]
) -> bytes:
    """One header of 512 bytes; its checksum is the sum of all bytes, with blanks in place of the checksum."""
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0"), mode, uid, gid, size, mtime)
    after = b"%s%s%s%07o\0%07o\0" % (kind, link[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0"), _MAGIC, *device)
    total = sum(before) + sum(after) + 8 * 0x20
    return b"%s%06o\0 %s%s" % (before, total, after, _PADDING)


@dataclass(slots=True)
class Attributes:
    """What the extended attributes of one file say; `records` are those to be kept."""

    records: dict[bytes, bytes] = field(default_factory=dict)
    opaque: bool = False
    whiteout: bool = False


_NONE = Attributes()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One name of a directory; `is_gone` says that it only hides what the lower layers have."""

    name: bytes
    status: os.stat_result
    attributes: Attributes
    is_gone: bool

    @property
    def order(self) -> bytes:
        """Whiteouts first, then by the bytes that the tar has for the name: those of directories end with a slash."""
        name = self.name + b"/" if stat.S_ISDIR(self.status.st_mode) else self.name
        return (b"\0" if self.is_gone else b"\1") + name


def _entries(fd: int, prefix: bytes) -> Iterator[_Entry]:
    """What is in an open directory, in the order of the tar. Where that is very much, names alone are held, and looked at twice."""
    with os.scandir(fd) as names:
        found = (_entry(fd, os.fsencode(item.name), prefix) for item in names)
        entries = list(islice(found, _HELD))
        orders = [entry.order for entry in found]
    if not orders:
        entries.sort(key=lambda entry: entry.order)
        return iter(entries)
    orders += [entry.order for entry in entries]
    del entries
    orders.sort()
    return (_entry(fd, order[1:].removesuffix(b"/"), prefix) for order in orders)


def _entry(fd: int, name: bytes, prefix: bytes) -> _Entry:
    if name.startswith(_WHITEOUT):
        path = os.fsdecode(prefix + name)
        raise InvalidArgument(f"a layer cannot hold a file of this name: {path}", "names that begin with .wh. mean deleted files")
    status = os.lstat(name, dir_fd=fd)
    mode = status.st_mode
    if stat.S_ISCHR(mode) and status.st_rdev == 0:
        return _Entry(name, status, _NONE, True)
    # For the attributes of a name in an open directory there is no way but through /proc.
    attributes = _NONE if stat.S_ISLNK(mode) else attributes_of(b"/proc/self/fd/%d/%s" % (fd, name), prefix + name)
    return _Entry(name, status, attributes, attributes.whiteout and stat.S_ISREG(mode) and status.st_size == 0)


def attributes_of(where: int | bytes, path: bytes) -> Attributes:
    """The extended attributes of a descriptor or a path, whose last part is not followed; `path` is for messages."""
    follow = isinstance(where, int)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        names = []
    if not names:
        return _NONE
    found = Attributes()
    for name in names:
        if name.startswith(_OVERLAY):
            _read_overlay(found, where, name, path)
        elif name.startswith(_KEPT):
            # The key that GNU tar, star, Docker and containerd use.
            found.records[b"SCHILY.xattr." + os.fsencode(name)] = os.getxattr(where, name, follow_symlinks=follow)
    return found


def _read_overlay(found: Attributes, where: int | bytes, name: str, path: bytes) -> None:
    key = name.partition(".overlay.")[2]
    if key == "opaque":
        found.opaque = os.getxattr(where, name, follow_symlinks=isinstance(where, int)) == b"y"
    elif key == "whiteout":
        found.whiteout = True
    elif key in ("redirect", "metacopy"):
        hint = "mount overlays with redirect_dir=off,metacopy=off"
        raise Failed(f"the tree refers to its lower layers by {name}: {os.fsdecode(path)}", hint)


def _name_records(path: bytes, link: bytes) -> dict[bytes, bytes]:
    """PAX records for names that are too long for the header, or not ASCII."""
    records = {}
    if len(path) > _LONGEST_NAME or not path.isascii():
        records[b"path"] = path
    if len(link) > _LONGEST_NAME or not link.isascii():
        records[b"linkpath"] = link
    return records


def pax_record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts itself."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while len(rest) + len(b"%d" % length) != length:
        length = len(rest) + len(b"%d" % length)
    return b"%d%s" % (length, rest)


def _decimal(nanoseconds: int) -> bytes:
    """Seconds with as many decimals as are needed."""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    text = b"%d.%09d" % (seconds, fraction)
    return (b"-" if nanoseconds < 0 else b"") + text.rstrip(b"0").rstrip(b".")
