"""`save`: images in one tar that is Docker's archive and an OCI layout at once, always of the same bytes for the same images.

It must not know who asks. Layers that were made here are written from their trees, canonical; those that came from elsewhere as they
came. The documents stand first, so that who reads a stream knows at once what comes.

Source: OCI image spec, image-layout.md; moby's image/tarexport/save.go; annotations as containerd reads them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from labcontainers.errors import DigestMismatch, InvalidArgument, InvalidReference, NotFound
from labcontainers.images.archive.archived import platform_of
from labcontainers.images.archive.docker_archive import MANIFEST
from labcontainers.images.archive.layout import NAME
from labcontainers.images.archive.moving import move, write_all
from labcontainers.images.attestations import Attach
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import refuse
from labcontainers.images.image import Image
from labcontainers.images.tree_stream import tree_stream
from labcontainers.oci.descriptor import Descriptor, Platform
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.layout import INDEX, LAYOUT, MARK, TAG
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX, Index, Manifest, canonical_json, media_type_of
from labcontainers.oci.platforms import choose
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store
from labcontainers.store.tar_writer import file_header

_BLOCK = 512
_RECORD = 20 * _BLOCK
_CHUNK = 1 << 20
_STREAM = "labcontainers.store.trees:stream_tar"
_DIRECTORIES = ("blobs/", "blobs/sha256/")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image, and the names under which it is saved; `attach` makes what stands beside it, `annotations` are of what names it."""

    image: Image
    names: tuple[Reference, ...]
    attach: Attach | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Document:
    """An entry whose content is in memory."""

    name: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class _Blob:
    """An entry that is a blob of the store."""

    name: str
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class _Tree:
    """An entry that is the canonical tar of a layer's tree."""

    name: str
    size: int
    diff_id: str
    tree: Path


_Entry = _Document | _Blob | _Tree


def choose_images(names: Sequence[str], catalog: Catalog, platform: Platform | None = None, *, verb: str = "save") -> list[Wanted]:
    """The images of these names or ids, each once; a repository without a tag means all its tags, an id none, as in Docker.

    Raises NotFound, also for an image that is not for `platform`.
    """
    found: dict[str, Wanted] = {}
    for text in names:
        for image, named in _named(text, catalog):
            refuse(image, verb)
            if platform is not None and choose([platform_of(image.config)], platform) is None:
                problem = f"image with reference {text} was found but does not provide the specified platform ({platform})"
                raise NotFound(problem, f"leave --platform out: it is for {platform_of(image.config)}")
            before = found.get(image.manifest_digest, Wanted(image, ()))
            added = tuple(reference for reference in named if reference not in before.names)
            found[image.manifest_digest] = Wanted(image, (*before.names, *added))
    if not found:
        raise InvalidArgument("save: no image is named", "name at least one image")
    return list(found.values())


def _named(text: str, catalog: Catalog) -> list[tuple[Image, tuple[Reference, ...]]]:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return [(catalog.get(text), ())]
    if not reference.digest and ":" not in text.rpartition("/")[2]:
        rows = [(image, parse_reference(tag)) for image in catalog.list() for tag in image.tags]
        every = [(image, (tag,)) for image, tag in rows if tag.repository == reference.repository]
        if every:
            return sorted(every, key=lambda row: row[1][0].tag)
    image = catalog.get(text)
    return [(image, (reference,) if reference.familiar in image.tags else ())]


class Archive(Iterator[bytes]):
    """The archive of some images: bytes piece by piece, or written at once. What it needs of the store is kept until it is closed."""

    def __init__(self, wanted: Sequence[Wanted], store: Store, launcher: LauncherProcess) -> None:
        """Raises NotFound and DigestMismatch for an image that is not whole, Conflict for one that somebody just removes."""
        self._launcher = launcher
        self._snapshots = store.snapshots
        self._held: list[Path] = []
        self._pieces: Iterator[bytes] = iter(())
        try:
            for one in wanted:
                if one.image.diff_ids:
                    # as long as somebody stands on them, nobody removes the layers
                    self._held.append(self._snapshots.new_tree(one.image.diff_ids))
            self._entries = _entries(wanted, store)
        except BaseException:
            self.close()
            raise
        self._pieces = self._streamed()

    def close(self) -> None:
        """Want no more of it. Idempotent."""
        with contextlib.suppress(AttributeError):
            self._pieces.close()  # type: ignore[attr-defined]  # of a generator, which may hold a worker
        while self._held:
            self._snapshots.discard(self._held.pop())

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_held", None):
            self.close()

    @property
    def size_bytes(self) -> int:
        """The size of the whole archive."""
        size = sum(len(head) for head in self._heads()) + sum(entry.size + -entry.size % _BLOCK for entry in self._entries)
        return size + _end_size(size)

    def _heads(self) -> Iterator[bytes]:
        yield from (file_header(name) for name in _DIRECTORIES)
        yield from (file_header(entry.name, entry.size) for entry in self._entries)

    def write(self, file: int | IO[bytes]) -> int:
        """Write all of it to a descriptor or an open file, from where that stands; how many bytes. Raises OSError, DigestMismatch."""
        if not isinstance(file, int):
            file.flush()
        fd = file if isinstance(file, int) else file.fileno()
        for part in self._parts():
            if isinstance(part, bytes):
                write_all(fd, part)
            elif isinstance(part, _Blob):
                if move(part.path, part.size, fd) != part.size:
                    raise _of_another_size(part)
            else:
                # the worker writes to a copy of the descriptor, which stands where ours does
                _check(part, self._launcher.begin(_STREAM, (fd,), tree=str(part.tree)).result())
        return self.size_bytes

    def __next__(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def _streamed(self) -> Iterator[bytes]:
        for part in self._parts():
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, _Blob):
                with open(part.path, "rb", buffering=0) as file:
                    yield from _exactly(part, iter(partial(file.read, _CHUNK), b""))
            else:
                yield from self._of_tree(part)

    def _parts(self) -> Iterator[bytes | _Blob | _Tree]:
        """What follows one another in the archive: bytes, and what has to be copied or made."""
        size = 0
        for name in _DIRECTORIES:
            yield (head := file_header(name))
            size += len(head)
        for entry in self._entries:
            yield (head := file_header(entry.name, entry.size))
            yield entry.data if isinstance(entry, _Document) else entry
            if entry.size % _BLOCK:
                yield b"\0" * (-entry.size % _BLOCK)
            size += len(head) + entry.size + -entry.size % _BLOCK
        yield b"\0" * _end_size(size)

    def _of_tree(self, part: _Tree) -> Iterator[bytes]:
        with tree_stream(self._launcher, part.tree) as (pipe, errand):
            yield from _exactly(part, iter(partial(pipe.read, _CHUNK), b""))
            _check(part, errand.result())


def _end_size(size: int) -> int:
    """Two empty blocks, and what fills the last record of 20."""
    return 2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD


def _entries(wanted: Sequence[Wanted], store: Store) -> list[_Entry]:
    """All files of the archive: the documents that tell of images first, then their blobs by digest."""
    blobs: dict[str, _Entry] = {}
    index: list[Descriptor] = []
    listed: list[dict[str, object]] = []
    repositories: dict[str, dict[str, str]] = {}
    for one in wanted:
        manifest_data, config = store.blobs.read(one.image.manifest_digest), store.blobs.read(one.image.id)
        manifest = Manifest.from_bytes(manifest_data)
        for digest, data in ((one.image.manifest_digest, manifest_data), (manifest.config.digest, config)):
            blobs[digest] = _Document(_blob_name(digest), data)
        for position, layer in enumerate(manifest.layers, 1):
            if layer.digest not in blobs:
                blobs[layer.digest] = _layer(layer, one.image.diff_ids[:position], store)
        if one.attach is not None:
            attached = one.attach(manifest_data)
            for data in (*attached.blobs, attached.manifest, attached.index):
                blobs[sha256(data)] = _Document(_blob_name(sha256(data)), data)
            index += _descriptors(one, attached.index)
        else:
            index += _descriptors(one, manifest_data)
        layers = [_blob_name(layer.digest) for layer in manifest.layers]
        names = [name.familiar for name in one.names]
        listed.append({"Config": _blob_name(manifest.config.digest), "RepoTags": names or None, "Layers": layers})
        for name in one.names:
            repositories.setdefault(name.repository, {})[name.tag] = (manifest.layers or (manifest.config,))[-1].digest.partition(":")[2]
    documents = [
        _Document(LAYOUT, MARK),
        _Document(INDEX, Index(tuple(index)).to_bytes()),
        _Document(MANIFEST, canonical_json(listed)),
        *([_Document("repositories", canonical_json(repositories))] if repositories else []),
    ]
    return [*documents, *(blobs[digest] for digest in sorted(blobs))]


def _blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _layer(layer: Descriptor, diff_ids: Sequence[str], store: Store) -> _Entry:
    """The stored bytes of a layer, or its tree where it was made here and has none."""
    chain = chain_id(diff_ids)
    row = store.records.find_layer(chain)
    if layer.digest == diff_ids[-1] and not store.blobs.has(layer.digest) and row is not None and not row.unpacked:
        return _Tree(_blob_name(layer.digest), layer.size, layer.digest, store.snapshots.tree(chain))
    size = store.blobs.size(layer.digest)
    if size != layer.size:
        raise DigestMismatch(f"blob {layer.digest} has {size} bytes, not {layer.size}", "remove the image and pull or load it again")
    return _Blob(_blob_name(layer.digest), size, store.blobs.path(layer.digest))


def _descriptors(one: Wanted, manifest: bytes) -> list[Descriptor]:
    """One entry of the index for each name of an image, or one without."""
    media_type = media_type_of(manifest)
    platform = None if media_type == MEDIA_TYPE_INDEX else platform_of(one.image.config)

    def descriptor(annotations: Mapping[str, str]) -> Descriptor:
        return Descriptor(media_type, sha256(manifest), len(manifest), {**one.annotations, **annotations}, platform)

    return [descriptor({NAME: name.canonical, TAG: name.tag}) for name in one.names] or [descriptor({})]


def _check(part: _Tree, measured: Mapping[str, object]) -> None:
    if measured["diff_id"] != part.diff_id or measured["size_bytes"] != part.size:
        raise DigestMismatch(f"the tree of layer {part.diff_id} is damaged: it is {measured['diff_id']}", "make the image again")


def _exactly(part: _Blob | _Tree, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; raises DigestMismatch when they are more or fewer bytes than the archive's header says."""
    left = part.size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise _of_another_size(part)


def _of_another_size(part: _Blob | _Tree) -> DigestMismatch:
    return DigestMismatch(f"{part.name} has not the {part.size} bytes that its image says", "`image verify` tells what is damaged")
