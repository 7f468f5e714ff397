"""The file of one package: an ar archive with a tar of records and a tar of files. It must not know images.

Source: deb(5), deb-control(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labcontainers.errors import InvalidArgument
from labcontainers.images.debs.control import parse_paragraph
from labcontainers.store.tar_reader import TarReader

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_CONTROL_BYTES = 64 << 20
_PIECE = 1 << 20
_ENDINGS = {"": "", ".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
_HINT = "the package is damaged: use another mirror"


@dataclass(frozen=True, slots=True)
class Part:
    """A member of the archive: where its content is in the file, and how it is compressed ("" for not)."""

    offset: int
    size: int
    compression: str


@dataclass(frozen=True, slots=True)
class DebFile:
    """A package's file, with the records of its control.tar (inflated) and its control fields."""

    path: Path
    data: Part
    control_tar: bytes
    fields: dict[str, str]
    control: bytes


def read_deb(path: Path) -> DebFile:
    """Read everything of a package but its files; raises InvalidArgument for a file that is no package."""
    parts = _parts(path)
    control_tar = b"".join(_inflated(path, parts["control.tar"]))
    control = _member(control_tar, b"control", path)
    return DebFile(path, parts["data.tar"], control_tar, parse_paragraph(control.decode("utf-8", "replace")), control)


def _parts(path: Path) -> dict[str, Part]:
    found: dict[str, Part] = {}
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InvalidArgument(f"not a package: {path.name} is no ar archive", _HINT)
        while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
            name = header[:16].decode("latin-1").rstrip(" /")
            digits = header[48:58].strip()
            if header[58:] != b"`\n" or not digits.isdigit() or file.tell() + int(digits) > end:
                raise InvalidArgument(f"not a package: a header of {path.name} cannot be", _HINT)
            size = int(digits)
            stem, dot, ending = name.partition(".tar")
            if not found and name == "debian-binary":
                if not file.read(size).startswith(b"2."):
                    raise InvalidArgument(f"the package {path.name} has a format that is not 2.x", _HINT)
                found[name] = Part(0, 0, "")
                file.seek(size % 2, os.SEEK_CUR)
                continue
            if not found:
                break
            if dot and stem in ("control", "data"):
                if ending not in _ENDINGS:
                    raise InvalidArgument(f"the package {path.name} has a part in an unknown form: {name}", _HINT)
                found.setdefault(f"{stem}.tar", Part(file.tell(), size, _ENDINGS[ending]))
            file.seek(size + size % 2, os.SEEK_CUR)
    for name in ("debian-binary", "control.tar", "data.tar"):
        if name not in found:
            raise InvalidArgument(f"not a package: {path.name} has no {name}", _HINT)
    return found


def stored_pieces(path: Path, part: Part) -> Iterator[bytes]:
    """The bytes of a part as they are stored."""
    left = part.size
    with open(path, "rb") as file:
        file.seek(part.offset)
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
    if left:
        raise InvalidArgument(f"the package {path.name} ends too early", _HINT)


def _inflated(path: Path, part: Part) -> Iterator[bytes]:
    from labcontainers.store.compression import Decompressor

    decompressor = Decompressor(part.compression, most_bytes=_CONTROL_BYTES)
    for piece in stored_pieces(path, part):
        for inflated in decompressor.feed(piece):
            yield bytes(inflated)
    yield from decompressor.finish()


def _member(tar: bytes, name: bytes, path: Path) -> bytes:
    """The content of one file of a tar."""
    view, at = memoryview(tar), 0

    def read_into(buffer: memoryview) -> int:
        nonlocal at
        piece = view[at : at + len(buffer)]
        buffer[: len(piece)] = piece
        at += len(piece)
        return len(piece)

    reader = TarReader(read_into)
    while (member := reader.next()) is not None:
        if member.kind == b"0" and member.name.removeprefix(b"./") == name:
            return b"".join(bytes(piece) for _, piece in reader.pieces())
    raise InvalidArgument(f"the package {path.name} has no {name.decode()} file", _HINT)
