"""Images are put into a shared store, or their names taken out of it.

One writer at a time, by a lock; readers take none. Whatever an image needs is there before `index.json`, which is replaced as a whole,
names it. What a killed writer left has a name that begins with `.new-`, and goes with the next one. It must not know who reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainers.errors import Conflict, Denied, DigestMismatch, Failed, InvalidArgument, LabError, NotFound
from labcontainers.images.archive.archived import platform_of
from labcontainers.images.archive.layout import NAME
from labcontainers.images.archive.saving import Wanted, choose_images
from labcontainers.images.catalog import Catalog
from labcontainers.images.layer_flow import Unpacking
from labcontainers.images.shared.lending import lend, take_back
from labcontainers.images.shared.reading import LAYERS, LENT, MARK, TREES, VERSION, Ids, LayerFacts, SharedImage, SharedStore, matches
from labcontainers.kernel import syscalls
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, parse_digest
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.layout import INDEX, LAYOUT, TAG
from labcontainers.oci.layout import MARK as LAYOUT_MARK
from labcontainers.oci.manifest import Index, Manifest, canonical_json, media_type_of
from labcontainers.oci.reference import parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.blobs import fsync_directory
from labcontainers.store.layout import Store
from labcontainers.store.locks import Locks
from labcontainers.store.space import FULL

_LOCK = "lock"
_NEW = ".new-"
# Beside a tree: the size of its tar, and whether it does not give that again.
_FACTS = "layer.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Shared:
    """What was put into a shared store, or taken out of it, and to whom it is shown with their ids; as text one line for each name."""

    store: Path
    names: tuple[str, ...]
    removed: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"Shared: {name}" for name in self.names] + [f"Untagged: {name}" for name in self.removed]
        lines += [f"Shown to {user}" for user in self.shown] + [f"No longer shown to {user}" for user in self.hidden]
        return "\n".join(lines or ["Nothing to do"])


def share(
    names: Sequence[str], place: Path, store: Store, catalog: Catalog, launcher: LauncherProcess, users: Sequence[str] = ()
) -> Shared:
    """Put images, with all that they need, into the shared store at `place`, which is made if it is not there; blocks.

    A name without a tag means all tags. Names move from other images of the shared store. To `users` root shows the store with their ids
    (images.shared.lending). Raises NotFound, Denied, Conflict for a store that was written with other ids, InvalidArgument for a folder
    that holds something else, Unsupported for users to whom it cannot be shown.
    """
    wanted = choose_images(names, catalog, verb="image share") if names or not users else []
    with store.making(), _writing(place, launcher, make=True) as writer:
        for one in wanted:
            writer.add(one, store)
        writer.publish()
        lend(users, writer.shared, launcher, _write)
    told = [name.familiar for one in wanted for name in one.names] or [one.image.short_id for one in wanted]
    return Shared(place, tuple(told), shown=tuple(users))


def unshare(names: Sequence[str], place: Path, launcher: LauncherProcess, *, prune: bool = False, users: Sequence[str] = ()) -> Shared:
    """Take names, or by digest or id whole images, out of the shared store at `place`; raises as share() does.

    What they need stays, since users may have containers of them, unless `prune` says that all goes that no image of the store needs.
    To `users` the store is shown no more with their ids.
    """
    with _writing(place, launcher, make=False) as writer:
        take_back(users, writer.shared, launcher)
        gone = [name for text in names for name in writer.forget(text)]
        writer.publish()
        if prune:
            writer.prune()
    return Shared(place, (), tuple(gone), hidden=tuple(users))


@contextlib.contextmanager
def _writing(place: Path, launcher: LauncherProcess, *, make: bool) -> Iterator[_Writer]:
    """The one writer of the shared store at `place`; what the file system refuses is told in one line."""
    try:
        if make:
            _make(place)
        shared = SharedStore(place)
        if not make or (place / MARK).exists():
            shared.check()
        ids = Ids.of(launcher)
        with Locks(place).hold(_LOCK):
            if not (place / MARK).exists():
                _lay_out(place, ids)
            if shared.ids != ids:
                raise Conflict(f"the image store {place} has {shared.ids}, and you write with {ids}", "name another folder with --store")
            writer = _Writer(shared, launcher)
            writer.sweep()
            yield writer
    except LabError:
        raise
    except OSError as error:
        kind = Denied if error.errno not in FULL else Failed
        raise kind(
            f"--store: cannot write to {error.filename or place}: {(error.strerror or str(error)).lower()}",
            "name a folder of your own with enough space",
        ) from error


def _make(place: Path) -> None:
    """The folder, if it is not there; raises InvalidArgument for one that holds something else."""
    if not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o755)
    if not place.is_dir() or not ((place / MARK).exists() or all(_ours(name) for name in os.listdir(place))):
        raise InvalidArgument(f"--store: {place} is no image store, and not an empty folder", "name a new folder, or an empty one")
    status = place.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise Denied(f"--store: {place} belongs to somebody else, or others may write there", f"take another folder, or chmod go-w {place}")


def _ours(name: str) -> bool:
    """Whether a writer that was killed before it had laid out the store may have left it."""
    return name in (_LOCK, LAYOUT, INDEX, "blobs", TREES) or name.startswith(_NEW)


def _lay_out(place: Path, ids: Ids) -> None:
    """All that an empty store has; the mark comes last."""
    for name, mode in (("blobs", 0o755), ("blobs/sha256", 0o755), (TREES, 0o700)):
        # Trees are for nobody else: they may hold programs that are setuid root, and only who has the same ids can use them.
        (place / name).mkdir(exist_ok=True)
        (place / name).chmod(mode)
    _write(place / LAYOUT, LAYOUT_MARK)
    _write(place / INDEX, Index(()).to_bytes())
    _write(place / MARK, canonical_json({"version": VERSION, "ids": ids.to_json()}))


def _write(path: Path, data: bytes) -> None:
    """A file that is whole or not there, and readable for all."""

    def fill(fd: int) -> None:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)

    _put(path, fill)


def _put(path: Path, fill: Callable[[int], None]) -> None:
    new = path.parent / f"{_NEW}{secrets.token_hex(8)}"
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fill(fd)
        os.fchmod(fd, 0o644)
        os.fsync(fd)
        os.rename(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    fsync_directory(path.parent)


class _Writer:
    """Holds the index as it will be, and adds what it needs. Only while the lock of the store is held."""

    def __init__(self, shared: SharedStore, launcher: LauncherProcess) -> None:
        self.shared = shared
        self._path = shared.path
        self._launcher = launcher
        self._entries = list(shared.descriptors())

    def sweep(self) -> None:
        """Remove what killed writers left."""
        for folder in (self._path, self._path / "blobs" / "sha256", self._path / TREES):
            for name in os.listdir(folder):
                if name.startswith(_NEW):
                    self._remove(folder / name)

    def _remove(self, path: Path) -> None:
        self._launcher.call("labcontainers.store.trees:remove", path=str(path))

    # --- adding

    def add(self, wanted: Wanted, store: Store) -> None:
        """An image with its documents, its layers' stored bytes and its trees; its names move to it."""
        image = wanted.image
        diff_ids = image.diff_ids  # which brings it into this store, if only another shared one has it
        data = store.blobs.read(image.manifest_digest)
        manifest = Manifest.from_bytes(data)
        facts = []
        for position, layer in enumerate(manifest.layers, 1):
            self._add_bytes(layer, diff_ids[:position], store)
            facts.append(self._add_tree(layer, diff_ids[:position], store))
        config = store.blobs.read(image.id)
        self._add_document(manifest.config.digest, config)
        self._add_document(image.manifest_digest, data)
        layers = json.dumps([[one.size_bytes, int(one.unpacked)] for one in facts], separators=(",", ":"))
        names = [{NAME: name.canonical, TAG: name.tag} for name in wanted.names]
        taken = {name[NAME] for name in names}
        self._entries = [
            entry
            for entry in self._entries
            if entry.annotations.get(NAME) not in taken and (NAME in entry.annotations or entry.digest != image.manifest_digest)
        ]
        if not names and any(entry.digest == image.manifest_digest for entry in self._entries):
            return
        self._entries += [
            Descriptor(media_type_of(data), image.manifest_digest, len(data), {**name, LAYERS: layers}, platform_of(image.config))
            for name in names or [{}]
        ]

    def _blob(self, digest: str) -> Path:
        return self._path / "blobs" / "sha256" / parse_digest(digest)[1]

    def _add_document(self, digest: str, data: bytes) -> None:
        _write(self._blob(digest), data)

    def _add_bytes(self, layer: Descriptor, diff_ids: Sequence[str], store: Store) -> None:
        """A layer's stored bytes as the manifest has them: a blob, or for a layer that was made here the tar of its tree."""
        target = self._blob(layer.digest)
        if target.is_file() and target.stat().st_size == layer.size:
            return
        row = store.records.find_layer(chain_id(diff_ids))
        if layer.digest == diff_ids[-1] and not store.blobs.has(layer.digest) and row is not None and not row.unpacked:
            store.snapshots.lower_paths(diff_ids)  # raises NotFound
            tree = str(store.snapshots.tree(chain_id(diff_ids)))

            def fill(fd: int) -> None:
                found = self._launcher.begin("labcontainers.store.trees:stream_tar", (fd,), tree=tree).result()
                _check(layer.digest, found["diff_id"])

        else:

            def fill(fd: int) -> None:
                _check(layer.digest, _copy(store.blobs.path(layer.digest), fd))

        try:
            _put(target, fill)
        except FileNotFoundError:
            raise NotFound(f"no such blob: {layer.digest}", "the image is not whole: remove it and pull or make it again") from None

    def _add_tree(self, layer: Descriptor, diff_ids: Sequence[str], store: Store) -> LayerFacts:
        """A layer's tree, unpacked from its stored bytes and so compared with its diff_id."""
        chain = chain_id(diff_ids)
        folder = self._path / TREES / parse_digest(chain)[1]
        if folder.is_dir():
            return _facts(folder)
        new = self._path / TREES / f"{_NEW}{secrets.token_hex(8)}"
        new.mkdir(mode=0o700)
        try:
            (new / "fs").mkdir()
            (new / "fs").chmod(0o755)
            size = self._unpack(self._blob(layer.digest), new / "fs", diff_ids, store)
            if (self._path / LENT).is_dir():
                self._launcher.call("labcontainers.store.overlay_marks:mark_for_users", tree=str(new / "fs"))
            found = self._launcher.call("labcontainers.store.trees:measure", tree=str(new / "fs"))["diff_id"]
            row = store.records.find_layer(chain)
            told = LayerFacts(size, found != diff_ids[-1] or row is None or bool(row.unpacked))
            _write(new / _FACTS, canonical_json({"size": told.size_bytes, "unpacked": told.unpacked}))
            os.rename(new, folder)
        except BaseException:
            self._remove(new)
            raise
        fsync_directory(folder.parent)
        return told

    def _unpack(self, blob: Path, target: Path, diff_ids: Sequence[str], store: Store) -> int:
        """The size of the tar."""
        rootless, single = self._launcher.rootless, self._launcher.start() == "single"
        room = os.statvfs(self._path)
        unpacking = Unpacking(
            lambda fd: self._launcher.begin(
                "labcontainers.store.unpack:unpack", (fd,), target=str(target), userxattr=rootless, single_id=single
            ),
            room.f_bavail * room.f_frsize,
        )
        try:
            with open(blob, "rb", buffering=0) as file:
                while True:
                    buffer = unpacking.buffer()
                    if not (count := file.readinto(buffer)):
                        break
                    unpacking.put(memoryview(buffer)[:count])
            unpacked = unpacking.finish(diff_ids[-1])
        except BaseException:
            unpacking.abandon()
            raise
        if unpacked["links"] or (unpacked["implied"] and len(diff_ids) > 1):
            self._launcher.call(
                "labcontainers.store.unpack:finish",
                target=str(target),
                lowers=list(store.snapshots.lower_paths(diff_ids[:-1])),
                implied=unpacked["implied"],
                links=unpacked["links"],
                userxattr=rootless,
            )
        return int(unpacked["size_bytes"])

    # --- taking away

    def forget(self, text: str) -> list[str]:
        """Take a name out of the index, or by digest or id an image; the familiar names that are gone. Raises NotFound."""
        reference = None if text.startswith("sha256:") else parse_reference(text)
        found = [image for image in self.shared.images() if matches(image, text, reference)]
        if not found:
            raise NotFound(
                f"--remove: no such image in {self._path}: {text}", f"with LABCONTAINERS_IMAGE_STORES={self._path} `images` lists them"
            )
        canonical = reference.canonical if reference is not None else ""
        if any(canonical in image.names for image in found):
            gone = [canonical]
            self._entries = [entry for entry in self._entries if entry.annotations.get(NAME) != canonical]
        else:
            digests = {image.digest for image in found}
            gone = [name for image in found for name in image.names]
            self._entries = [entry for entry in self._entries if entry.digest not in digests]
        return [parse_reference(name).familiar for name in gone] or [found[0].digest]

    def prune(self) -> None:
        """Remove the blobs and trees that no image of the index needs. Who has a container of an image that is gone loses its files."""
        blobs, chains = set(), set()
        for image in self.shared.images():
            manifest = Manifest.from_bytes(image.documents().manifest)
            blobs |= {image.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)}
            chains |= {chain for chain, _ in image.chains(_diff_ids(image))}
        for folder, kept in ((self._path / "blobs" / "sha256", blobs), (self._path / TREES, chains)):
            digits = {digest.partition(":")[2] for digest in kept}
            for name in os.listdir(folder):
                if name not in digits:
                    self._remove(folder / name)

    def publish(self) -> None:
        """Let readers see the index as it is now, once all that it names is on disk (syncfs(2))."""
        with open(self._path / LAYOUT, "rb") as file:
            syscalls.syncfs(file.fileno())
        _write(self._path / INDEX, Index(tuple(self._entries)).to_bytes())


def _facts(folder: Path) -> LayerFacts:
    """What was found out of a tree when it was made: users may stand on it, so that it is never made anew."""
    try:
        value = json.loads((folder / _FACTS).read_bytes())
        return LayerFacts(int(value["size"]), bool(value["unpacked"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"the tree {folder} of the image store is damaged: {error!r}", "share the images into a new folder") from None


def _diff_ids(image: SharedImage) -> tuple[str, ...]:
    return ImageConfig.from_bytes(image.documents().config).diff_ids


def _copy(source: Path, target: int) -> str:
    """Copy a file to a descriptor; the digest of what was copied."""
    content = hashlib.sha256()
    with open(source, "rb", buffering=0) as file, open(target, "wb", closefd=False) as output:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Failed(f"{source} is no file", "remove the image and pull or make it again")
        while data := file.read(_CHUNK):
            content.update(data)
            output.write(data)
    return "sha256:" + content.hexdigest()


def _check(digest: str, found: str) -> None:
    if found != digest:
        raise DigestMismatch(f"layer {digest} is damaged: it is {found}", "remove the image and pull or make it again")
