"""Tar archives made byte by byte, so that they can say what no honest program would write."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from labcontainers.store.tar_reader import Limits, Member, TarReader
from labcontainers.store.tar_writer import pax_record

USTAR = b"ustar\x0000"
GNU = b"ustar  \0"
OLD = bytes(8)
END = bytes(1024)


def number(value: int, width: int) -> bytes:
    """Octal digits with a zero byte, or GNU's base 256 where these do not do."""
    text = b"%0*o\0" % (width - 1, max(value, 0))
    if value < 0 or len(text) > width:
        return (value % (1 << (8 * width - 1)) | 1 << (8 * width - 1)).to_bytes(width, "big")
    return text


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int | bytes = 0,
    mtime: int = 0,
    link: bytes = b"",
    magic: bytes = USTAR,
    device: tuple[int, int] = (0, 0),
    tail: bytes = b"",
    checksum: int | None = None,
) -> bytes:
    """One header; `tail` is what stands from the prefix on, `size` may be the field itself, `checksum` a wrong one."""
    sizes = size if isinstance(size, bytes) else number(size, 12)
    before = name.ljust(100, b"\0") + number(mode, 8) + number(uid, 8) + number(gid, 8) + sizes + number(mtime, 12)
    after = kind + link.ljust(100, b"\0") + magic + bytes(64) + number(device[0], 8) + number(device[1], 8) + tail
    block = (before + b" " * 8 + after).ljust(512, b"\0")
    assert len(block) == 512
    return block[:148] + b"%06o\0 " % (sum(block) if checksum is None else checksum) + block[156:]


def entry(name: bytes, content: bytes = b"", kind: bytes = b"0", **more: object) -> bytes:
    """A header and the content, padded."""
    return header(name, kind, **{"size": len(content), **more}) + padded(content)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A header with records."""
    return entry(b"PaxHeaders/0", b"".join(pax_record(key, value) for key, value in records), kind)


def directory(name: bytes, **more: object) -> bytes:
    return header(name, b"5", **{"mode": 0o755, **more})


def symlink(name: bytes, link: bytes, **more: object) -> bytes:
    return header(name, b"2", **{"mode": 0o777, "link": link, **more})


def hardlink(name: bytes, link: bytes, **more: object) -> bytes:
    return header(name, b"1", **{"link": link, **more})


def archive(*entries: bytes) -> bytes:
    return b"".join(entries) + END


def in_chunks(data: bytes, size: int) -> Callable[[memoryview], int]:
    """What a reader is given: the bytes in pieces of at most this size, as a pipe has them."""
    stream = io.BytesIO(data)

    def read_into(buffer: memoryview) -> int:
        piece = stream.read(min(size, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)

    return read_into


def members_of(data: bytes, *, chunk: int = 1 << 20, limits: Limits | None = None) -> list[tuple[Member, bytes]]:
    """All entries with their content, holes filled with zeros."""
    reader = TarReader(in_chunks(data, chunk), limits=limits or Limits())
    found = []
    while (member := reader.next()) is not None:
        content = bytearray(member.size)
        for at, piece in reader.pieces():
            content[at : at + len(piece)] = piece
        found.append((member, bytes(content)))
    reader.drain()
    assert reader.size_bytes == len(data)
    return found


def names_of(data: bytes) -> Sequence[bytes]:
    return [member.name for member, _ in members_of(data)]
