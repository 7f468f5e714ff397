"""Layers that are given as bytes, and what was asked of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from labcontainers.images.layer_source import LayerSource


class BytesReader:
    """Bytes from an offset on; fails after `breaks_after` of them, as a connection does."""

    def __init__(self, data: bytes, offset: int, breaks_after: int | None = None) -> None:
        self.offset = offset
        self._data = memoryview(data)[offset:]
        self._left = breaks_after
        self.closed = False

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._data), 1 << 16)
        if self._left is not None:
            if not self._left:
                raise ConnectionResetError("the connection broke")
            count = min(count, self._left)
            self._left -= count
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeLayer:
    """A layer's tar and its stored bytes; `asked` has the offset of every request."""

    tar: bytes
    stored: bytes
    asked: list[int] = field(default_factory=list)
    breaks_after: int | None = None
    seeks: bool = True

    @property
    def diff_id(self) -> str:
        return digest_of(self.tar)

    def open(self, offset: int) -> BytesReader:
        self.asked.append(offset)
        return BytesReader(self.stored, offset if self.seeks else 0, self.breaks_after)

    def source(self) -> LayerSource:
        return LayerSource(self.diff_id, self.open, digest_of(self.stored), len(self.stored))


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: Mapping[str, bytes | None]) -> bytes:
    """A tar of files by their names; None is a directory."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def gzipped(tar: bytes) -> FakeLayer:
    return FakeLayer(tar, gzip.compress(tar, 1, mtime=0))
