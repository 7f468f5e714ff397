"""Where build caches are outside of a store: a folder that is an OCI layout, or a repository of a registry.

Nothing that is read is believed before its digest was compared. It must not know steps. Source: OCI image spec, image-layout.md.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labcontainers.build.caching.document import MOST_BYTES
from labcontainers.build.caching.specs import CacheSpec
from labcontainers.errors import DigestMismatch, InvalidArgument, NotFound, Unsupported
from labcontainers.images.layer_source import Reader
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import parse_digest, sha256
from labcontainers.oci.layout import INDEX, LAYOUT, MARK, TAG
from labcontainers.oci.manifest import MEDIA_TYPE_MANIFEST, Index, Manifest, canonical_json
from labcontainers.oci.reference import Reference

if TYPE_CHECKING:
    from labcontainers.registry.client import Registry

_MOST_MANIFEST = 4 << 20
_CHUNK = 1 << 20
Pieces = Callable[[], Iterator[bytes]]
Connect = Callable[[Reference], "Registry"]


class Place(Protocol):
    """One cache outside of a store."""

    def manifest(self) -> Manifest:
        """What is there; raises NotFound where nothing is, InvalidArgument, DigestMismatch, Unavailable, Denied."""
        ...

    def open(self, descriptor: Descriptor, offset: int = 0) -> Reader:
        """The bytes of a blob, which are not compared with anything yet."""
        ...

    def put(self, descriptor: Descriptor, pieces: Pieces) -> None:
        """Write a blob, unless it is there."""
        ...

    def publish(self, manifest: bytes) -> None:
        """Let the place name this manifest, all of whose blobs are there."""
        ...


def place_of(spec: CacheSpec, connect: Connect) -> Place:
    """The place that is asked for."""
    if spec.folder is not None:
        return Folder(spec.folder, spec.tag, spec.digest)
    assert spec.reference is not None
    return Repository(spec.reference, connect)


def read_document(place: Place, descriptor: Descriptor, most_bytes: int = MOST_BYTES) -> bytes:
    """A small blob, compared with its digest; raises InvalidArgument for one that is too large, DigestMismatch."""
    if descriptor.size > most_bytes:
        raise InvalidArgument(f"its config has {descriptor.size} bytes, of {most_bytes} that are read")
    reader = place.open(descriptor)
    try:
        view, filled = memoryview(bytearray(descriptor.size + 1)), 0
        while filled < len(view) and (count := reader.readinto(view[filled:])):
            filled += count
    finally:
        reader.close()
    data = bytes(view[:filled])
    if sha256(data) != descriptor.digest:
        raise DigestMismatch(f"its config is not {descriptor.digest}")
    return data


class _File:
    """A file as a layer's Reader."""

    def __init__(self, file: FileIO, offset: int) -> None:
        self._file = file
        self.offset = offset
        file.seek(offset)

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        self._file.close()


class Folder:
    """A cache in a folder; several may be there under different tags."""

    def __init__(self, root: Path, tag: str = "latest", digest: str = "") -> None:
        self._root = root
        self._tag = tag
        self._digest = digest

    def manifest(self) -> Manifest:
        """The one that the digest or the tag names."""
        wanted = self._digest
        if not wanted:
            found = [one for one in self._index() if one.annotations.get(TAG) == self._tag]
            if not found:
                raise NotFound(f"{self._root} has no cache with the tag {self._tag}")
            wanted = found[0].digest
        data = self._read(self._blob(wanted), _MOST_MANIFEST)
        if sha256(data) != wanted:
            raise DigestMismatch(f"its manifest is not {wanted}")
        return Manifest.from_bytes(data)

    def _index(self) -> tuple[Descriptor, ...]:
        return Index.from_bytes(self._read(self._root / INDEX, _MOST_MANIFEST)).manifests

    def _blob(self, digest: str) -> Path:
        algorithm, name = parse_digest(digest)
        if algorithm != "sha256":
            raise Unsupported(f"content named by {algorithm} is not read: {digest}")
        return self._root / "blobs" / algorithm / name

    def _open(self, path: Path) -> FileIO:
        try:
            file = FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        except FileNotFoundError:
            raise NotFound(f"there is no {path}") from None
        except OSError as error:
            raise InvalidArgument(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise InvalidArgument(f"{path} is no file")
        return file

    def _read(self, path: Path, most_bytes: int) -> bytes:
        with self._open(path) as file:
            parts, left = [], most_bytes + 1
            while left and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
        if not left:
            raise InvalidArgument(f"{path} is longer than {most_bytes} bytes")
        return b"".join(parts)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Reader:
        """The file of a blob."""
        return _File(self._open(self._blob(descriptor.digest)), offset)

    def put(self, descriptor: Descriptor, pieces: Pieces) -> None:
        """A file that is whole or not there."""
        path = self._blob(descriptor.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and path.stat().st_size == descriptor.size):
            self._write(path, pieces)

    def _write(self, path: Path, pieces: Pieces) -> None:
        new = path.with_name(f".new-{secrets.token_hex(8)}")
        try:
            with open(new, "xb") as file:
                for piece in pieces():
                    file.write(piece)
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)

    def publish(self, manifest: bytes) -> None:
        """The index names it by the tag from now on; others stay."""
        descriptor = Descriptor(MEDIA_TYPE_MANIFEST, sha256(manifest), len(manifest), {TAG: self._tag})
        self.put(descriptor, lambda: iter([manifest]))
        try:
            others = tuple(one for one in self._index() if one.annotations.get(TAG) != self._tag)
        except (NotFound, InvalidArgument):
            others = ()
        self._write(self._root / LAYOUT, lambda: iter([MARK]))
        index = json.loads(Index((*others, descriptor)).to_bytes())
        self._write(self._root / INDEX, lambda: iter([canonical_json(index)]))


class Repository:
    """A cache in a registry, under a tag or a digest."""

    def __init__(self, reference: Reference, connect: Connect) -> None:
        self._reference = reference
        self._connect = connect

    @property
    def _registry(self) -> Registry:
        return self._connect(self._reference)

    def manifest(self) -> Manifest:
        """What the name means there."""
        reference = self._reference
        return Manifest.from_bytes(bytes(self._registry.get_manifest(reference.path, reference.digest or reference.tag).data))

    def open(self, descriptor: Descriptor, offset: int = 0) -> Reader:
        """The blob as the registry sends it."""
        return self._registry.open_blob(self._reference.path, descriptor.digest, offset, size=descriptor.size)

    def put(self, descriptor: Descriptor, pieces: Pieces) -> None:
        """Send it."""
        self._registry.upload_blob(self._reference.path, descriptor.digest, descriptor.size, pieces)

    def publish(self, manifest: bytes) -> None:
        """The tag names it from now on."""
        name = self._reference if self._reference.tag else replace(self._reference, tag="latest")
        self._registry.put_manifest(name.path, name.tag, manifest, MEDIA_TYPE_MANIFEST)
