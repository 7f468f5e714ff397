"""A shared image store as its readers see it: a folder that is only added to, perhaps on a read-only mount.

It is an OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/…`) with unpacked trees beside it (`trees/HEX/fs`, by chain id) and
`labcontainers.json`, which says with which ids the trees were written; `for/UID` may show them with those of a user. Readers take no
locks, since `index.json` is replaced as a whole and names only what is there already. Documents are believed by their digests alone.
Trees are believed as their owner's: everything must belong to root or to the reader, and nobody else may write there. It must not know
the reader's own store.

Source: OCI image spec, image-layout.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labcontainers.errors import Denied, DigestMismatch, InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.images.archive.archived import described_by
from labcontainers.images.archive.contents import MOST_DOCUMENT_BYTES
from labcontainers.images.archive.layout import name_of
from labcontainers.images.facts import chains_of, describe
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import parse_digest, sha256
from labcontainers.oci.layout import INDEX, LAYOUT
from labcontainers.oci.manifest import MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_MANIFEST, Index, Manifest
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.runtime.process import LauncherProcess

MARK = "labcontainers.json"
TREES = "trees"
# where the trees are shown with the ids of single users (images.shared.lending)
LENT = "for"
VERSION = 1
# The annotation of a descriptor: for each layer from the bottom up its size as tar, and 1 where the tree does not give the tar again.
LAYERS = "io.labcontainers.layers"
_SETTING = "LABCONTAINERS_IMAGE_STORES"
_HINT = f"mend {_SETTING}, or let `image share --store` make it"
_MOST_INDEX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Ids:
    """With which ids the files of trees are written: "host" (those of the images), "subordinate" or "single", and the maps to users."""

    kind: str
    uids: tuple[tuple[int, ...], ...]
    gids: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, launcher: LauncherProcess) -> Ids:
        """Those of this user's containers; blocks, since a worker tells them."""
        kind = launcher.start()
        maps = launcher.call("labcontainers.kernel.id_maps:own_maps")
        return cls(kind, *(tuple(map(tuple, maps[name])) for name in ("uids", "gids")))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ids:
        """Raises InvalidArgument."""
        try:
            return cls(str(value["kind"]), *(tuple(tuple(map(int, row)) for row in value[name]) for name in ("uids", "gids")))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArgument(f"{MARK} does not tell with which ids it was written: {error!r}", "make the image store anew") from None

    def to_json(self) -> dict[str, Any]:
        """For `labcontainers.json`."""
        return {"kind": self.kind, "uids": self.uids, "gids": self.gids}

    def __str__(self) -> str:
        owner = self.uids[0][1] if self.uids and len(self.uids[0]) > 1 else "?"
        return "root's ids" if self.kind == "host" else f"the {self.kind} ids of user {owner}"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What a store says of a layer's tree: the size of its tar, and whether the tree does not give that tar again."""

    size_bytes: int
    unpacked: bool


@dataclass(frozen=True, slots=True)
class Documents:
    """The two documents of an image, each as its digest says."""

    manifest: bytes
    config: bytes


@dataclass(frozen=True)
class SharedImage:
    """An image of a shared store, and the canonical names that it has there."""

    store: SharedStore
    descriptor: Descriptor
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return self.descriptor.digest

    @property
    def name(self) -> str:
        """For people."""
        return parse_reference(self.names[0]).familiar if self.names else self.digest

    @cached_property
    def id(self) -> str:
        """The digest of the config."""
        return sha256(self.documents().config)

    @cached_property
    def facts(self) -> str:
        """What listings show (images.facts)."""
        documents = self.documents()
        return describe(documents.config, documents.manifest)[0]

    def documents(self) -> Documents:
        """Read, and compared with their digests; raises NotFound, DigestMismatch, InvalidArgument."""
        manifest = self.store.document(self.descriptor)
        parsed = Manifest.from_bytes(manifest)
        config = self.store.document(parsed.config)
        described_by(config, len(parsed.layers), f"image {self.name} of the image store {self.store.path}")
        return Documents(manifest, config)

    @cached_property
    def layers(self) -> tuple[LayerFacts, ...]:
        """Of each layer from the bottom up; raises InvalidArgument."""
        try:
            rows = json.loads(self.descriptor.annotations.get(LAYERS) or "")
            found = tuple(LayerFacts(size, bool(unpacked)) for size, unpacked in rows)
            if any(type(layer.size_bytes) is not int or layer.size_bytes < 0 for layer in found):
                raise ValueError(f"sizes {rows!r}")
        except (ValueError, TypeError, RecursionError) as error:
            problem = f"image {self.name} of the image store {self.store.path} does not tell of its layers: {error}"
            raise InvalidArgument(problem[:300], "share it again") from None
        return found

    def chains(self, diff_ids: Sequence[str]) -> list[tuple[str, LayerFacts]]:
        """The chain of each layer with what is told of it; raises InvalidArgument."""
        if len(diff_ids) != len(self.layers):
            problem = f"image {self.name} of the image store {self.store.path} has {len(diff_ids)} layers, but tells of {len(self.layers)}"
            raise InvalidArgument(problem, "share it again")
        return list(zip(chains_of(diff_ids), self.layers, strict=True))


class SharedStore:
    """One shared store. Thread-safe; what it says is read anew when its index was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, ...], Ids, tuple[SharedImage, ...]] | None = None

    @property
    def ids(self) -> Ids:
        """With which ids its trees were written; raises as images() does."""
        return self._contents()[1]

    def images(self) -> tuple[SharedImage, ...]:
        """All images, each once.

        Raises NotFound where there is no shared store, Denied for one that others may write or that cannot be read, InvalidArgument for
        one that is damaged, Unsupported for a later version.
        """
        return self._contents()[2]

    @property
    def changed_at(self) -> float:
        """When its index was last replaced, in seconds since the epoch; raises as images() does."""
        return self._contents()[0][2] / 1e9

    def _contents(self) -> tuple[tuple[int, ...], Ids, tuple[SharedImage, ...]]:
        try:
            self.check()
            status = os.stat(self.path / INDEX)
            state = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if self._read is None or self._read[0] != state:
                self._read = (state, self._ids(), self._images())
        except OSError as error:
            raise self._refused(error) from None
        return self._read

    def check(self) -> None:
        """Raises NotFound, Denied or OSError unless this is a shared store that only root or this user can have written."""
        if not (self.path / MARK).is_file():
            what = "is no image store" if self.path.is_dir() else "is no folder" if self.path.exists() else "does not exist"
            raise NotFound(f"the image store {self.path} {what}", _HINT)
        for place in (
            self.path,
            self.path / "blobs",
            self.path / "blobs" / "sha256",
            self.path / TREES,
            self.path / INDEX,
            self.path / MARK,
        ):
            self._trust(place)

    def _trust(self, place: Path) -> None:
        # The folder that the setting names may be a link; nothing within it may.
        status = os.stat(place) if place == self.path else os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            raise Denied(f"the image store {self.path} is not used: {place} is a link", "only its own folders and files are read")
        if status.st_uid not in (0, os.geteuid()):
            problem = f"the image store {self.path} is not used: {place} belongs to user {status.st_uid}"
            raise Denied(problem, "it must belong to root or to you")
        if status.st_mode & 0o022:
            problem = f"the image store {self.path} is not used: others may write to {place}"
            raise Denied(problem, f"chmod go-w {place}")

    def _refused(self, error: OSError) -> LabError:
        place, said = error.filename or self.path, (error.strerror or str(error)).lower()
        if isinstance(error, PermissionError):
            return Denied(f"the image store {self.path} cannot be read: {place}: {said}", "let its owner make it readable for you")
        return NotFound(f"the image store {self.path} is not whole: {place}: {said}", _HINT)

    def _ids(self) -> Ids:
        value = self._json(MARK)
        if value.get("version") != VERSION:
            problem = f"the image store {self.path} is of version {value.get('version')!r}"
            raise Unsupported(problem, f"this program reads version {VERSION}")
        return Ids.from_json(value.get("ids") or {})

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(self._file(self.path / name, MOST_DOCUMENT_BYTES))
        except (ValueError, RecursionError) as error:
            value = error
        if not isinstance(value, dict):
            raise InvalidArgument(f"{name} of the image store {self.path} is damaged", "share its images again, into a new folder")
        return value

    def _images(self) -> tuple[SharedImage, ...]:
        if not str(self._json(LAYOUT).get("imageLayoutVersion")).startswith("1."):
            raise Unsupported(f"the image store {self.path} is an OCI layout of another version", "versions 1.x are supported")
        named: dict[str, tuple[Descriptor, list[str]]] = {}
        try:
            for descriptor in self.descriptors():
                if descriptor.media_type in (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST) and LAYERS in descriptor.annotations:
                    name = name_of(descriptor)
                    names = named.setdefault(descriptor.digest, (descriptor, []))[1]
                    names += [parse_reference(name).canonical] if name else []
        except InvalidArgument as error:
            problem = f"{INDEX} of the image store {self.path} is damaged: {error.message}"
            raise InvalidArgument(problem[:300], "share its images again, into a new folder") from None
        return tuple(SharedImage(self, descriptor, tuple(names)) for descriptor, names in named.values())

    def descriptors(self) -> tuple[Descriptor, ...]:
        """All entries of the index; raises InvalidArgument, OSError."""
        return Index.from_bytes(self._file(self.path / INDEX, _MOST_INDEX_BYTES)).manifests

    @staticmethod
    def _file(path: Path, most_bytes: int) -> bytes:
        """All of a plain file; raises OSError, InvalidArgument when it is too large or no file."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
                raise InvalidArgument(f"{path} is no file of at most {most_bytes} bytes", "share its images again, into a new folder")
            return file.read(most_bytes)

    # --- content

    def blob(self, descriptor: Descriptor) -> Path:
        """Where stored bytes are; raises NotFound unless there is a file of that size."""
        algorithm, digits = parse_digest(descriptor.digest)
        path = self.path / "blobs" / algorithm / digits
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size:
                return path
        raise NotFound(
            f"the image store {self.path} lacks {descriptor.digest}, or has not all of it", "let its owner share the image again"
        )

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or config, compared with its digest; raises NotFound, Denied, DigestMismatch, InvalidArgument."""
        path = self.blob(descriptor)
        try:
            data = self._file(path, MOST_DOCUMENT_BYTES)
        except OSError as error:
            raise self._refused(error) from None
        if not descriptor.digest.startswith("sha256:") or sha256(data) != descriptor.digest:
            raise DigestMismatch(f"{descriptor.digest} of the image store {self.path} is damaged", "let its owner share the image again")
        return data

    def trees(self, ids: Ids) -> Path | None:
        """Where the trees are seen with these ids, which are those of the reader; None where they are not."""
        if ids == self.ids:
            return self.path / TREES
        lent = self.path / LENT
        shown = lent / str(os.geteuid())
        try:
            for place in (lent, shown, lent / f"{shown.name}.json"):
                self._trust(place)
            told = Ids.from_json(self._json(f"{LENT}/{shown.name}.json"))
            # where nothing is mounted it is root's
            return shown if told == ids and os.lstat(shown).st_uid == os.geteuid() else None
        except (LabError, OSError):
            return None

    def tree(self, chain: str, trees: Path) -> Path | None:
        """Where the tree of a chain is in trees(), or None; raises Denied for one that others may have written."""
        folder = trees / parse_digest(chain)[1]
        try:
            self._trust(folder)
            # its owner and mode are those that the image gives to its root directory, and nobody else can come to it
            return folder / "fs" if stat.S_ISDIR(os.lstat(folder / "fs").st_mode) else None
        except OSError:
            return None


def matches(image: SharedImage, name_or_id: str, reference: Reference | None) -> bool:
    """Whether a name, a digest or the beginning of an id (at least four digits) means the image; raises as SharedImage.documents()."""
    if reference is not None and not reference.digest and reference.canonical in image.names:
        return True
    wanted = reference.digest if reference is not None and reference.digest else name_or_id
    if wanted.startswith("sha256:"):
        return wanted == image.digest or wanted == image.id
    return len(wanted) >= 4 and not set(wanted) - set("0123456789abcdef") and image.id.removeprefix("sha256:").startswith(wanted)
