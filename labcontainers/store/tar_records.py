"""What stands before an entry of a tar archive and says more than its header can: pax records, and GNU's long names.

It must not know streams or files. A record that is given twice counts as it is given last, and one without a value not at all. One that
nobody here knows is passed over.

Sources: POSIX.1-2017 pax, "pax Extended Header"; star(5), "SCHILY.xattr"; libarchive's tar(5), "LIBARCHIVE.xattr"; GNU tar manual,
"Storing Sparse Files".
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field

from labcontainers.store.tar_numbers import LARGEST, MOST_DIGITS, bad, decimal, shown

_SECOND = 10**9
_STAR = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_Pairs = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Sparse:
    """A sparse file of pax form: `pieces` is None where the map stands before the content (1.0)."""

    name: bytes
    size: int
    pieces: _Pairs | None


@dataclass(slots=True)
class Amended:
    """What the records say of an entry; None or b"" where they say nothing."""

    path: bytes = b""
    linkpath: bytes = b""
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: Sparse | None = None


class Records:
    """What stands before one entry."""

    def __init__(self) -> None:
        self.long_name = b""
        self.long_link = b""
        self._records: dict[bytes, bytes] = {}
        self._pairs: list[tuple[bytes, bytes]] = []

    def parse(self, content: bytes) -> None:
        """Take the records of a header, instead of those of one before; raises InvalidArgument."""
        self._records = {}
        self._pairs = []
        for key, value in _records(content):
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                self._pairs.append((key, value))
            self._records[key] = value

    def amended(self, most_xattr_bytes: int) -> Amended:
        """What they say; raises InvalidArgument."""
        found = Amended()
        records = self._records
        for key, value in records.items():
            if key.startswith(_STAR):
                found.xattrs[key[len(_STAR) :]] = value
            elif not value:
                continue
            elif key == b"path":
                found.path = value
            elif key == b"linkpath":
                found.linkpath = value
            elif key == b"mtime":
                found.mtime_ns = _nanoseconds(value)
            elif key in (b"size", b"uid", b"gid"):
                setattr(found, key.decode(), decimal(value))
            elif key.startswith(_LIBARCHIVE):
                found.xattrs.setdefault(*_of_libarchive(key[len(_LIBARCHIVE) :], value))
        if b"\0" in found.path or b"\0" in found.linkpath:
            raise bad(f"a zero byte in a name: {shown(found.path or found.linkpath)}")
        if found.xattrs:
            self._check_xattrs(found.xattrs, most_xattr_bytes)
        found.sparse = self._sparse(records)
        return found

    @staticmethod
    def _check_xattrs(xattrs: dict[bytes, bytes], most_bytes: int) -> None:
        if any(not name or b"\0" in name for name in xattrs):
            raise bad("an extended attribute without a name, or with a zero byte in it")
        total = sum(len(name) + len(value) for name, value in xattrs.items())
        if total > most_bytes:
            raise bad(f"extended attributes of {total} bytes for one entry, and at most {most_bytes} are read")

    def _sparse(self, records: dict[bytes, bytes]) -> Sparse | None:
        version = (records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b""))
        text = records.get(b"GNU.sparse.map", b"")
        if version == (b"", b"") and not text and not self._pairs:
            return None
        size = decimal(records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize") or b"")
        name = records.get(b"GNU.sparse.name", b"")
        if b"\0" in name:
            raise bad(f"a zero byte in a name: {shown(name)}")
        if version == (b"1", b"0"):
            return Sparse(name, size, None)
        if version not in ((b"", b""), (b"0", b"0"), (b"0", b"1")):
            raise bad(f"a sparse file of the unknown form {shown(b'.'.join(version))}")
        if text:
            numbers = [decimal(number) for number in text.split(b",")]
        else:
            if [key for key, _ in self._pairs] != [b"GNU.sparse.offset", b"GNU.sparse.numbytes"] * (len(self._pairs) // 2):
                raise bad("the map of a sparse file lacks an offset or a length")
            numbers = [decimal(number) for _, number in self._pairs]
        if len(numbers) % 2:
            raise bad("the map of a sparse file lacks an offset or a length")
        return Sparse(name, size, tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """`<length> <key>=<value>\\n`, where the length counts itself."""
    at = 0
    while at < len(content):
        blank = content.find(b" ", at, at + MOST_DIGITS)
        digits = content[at:blank] if blank > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = content[blank + 1 : end - 1].partition(b"=")
        if not blank < end <= len(content) or content[end - 1 : end] != b"\n" or not equals or not key:
            raise bad("a record of a header does not have the length that it says")
        yield key, value
        at = end


def _nanoseconds(text: bytes) -> int:
    """Seconds with or without decimals, of which nine count."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not (whole or fraction) or not (whole or b"0").isdigit() or not (fraction or b"0").isdigit() or len(whole) > MOST_DIGITS:
        raise bad(f"{shown(text)} is no time")
    value = int(whole or b"0") * _SECOND + int(fraction[:9].ljust(9, b"0"))
    if value > LARGEST * _SECOND:
        raise bad(f"{shown(text)} is no time")
    return -value if text[:1] == b"-" else value


def _of_libarchive(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The name without %XX, and the value without base64, which libarchive writes without padding."""
    first, *rest = name.split(b"%")
    try:
        plain = first + b"".join(bytes.fromhex(part[:2].decode("ascii")) + part[2:] for part in rest)
        return plain, binascii.a2b_base64(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4))
    except ValueError:
        raise bad(f"the extended attribute {shown(name)} is not written as libarchive does") from None
