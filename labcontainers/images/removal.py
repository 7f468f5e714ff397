"""Taking images away: by name, by id, or all that nobody needs, with the layers and blobs that only they needed.

Safe beside others. All of it happens under the store's lock "images", which whoever creates a container shares (containers.register).
Whoever makes an image holds `Store.making()` from its first layer to its row: meanwhile images go, but layers and blobs stay, since
the new image may need them, until the next removal of such a kind or the next prune.

It must not know containers but by the questions that are passed in.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from labcontainers.errors import Conflict, InvalidReference, NotFound, Unavailable
from labcontainers.images.facts import Content, chains_of, describe, read_content
from labcontainers.images.image import Image
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.store.layout import Store
from labcontainers.store.records import ImageRow
from labcontainers.units import format_bytes


@dataclass(frozen=True, slots=True)
class RemovedImage:
    """What a removal did: names taken away, and the ids of images and layers deleted."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([*(f"Untagged: {name}" for name in self.untagged), *(f"Deleted: {digest}" for digest in self.deleted)])


@dataclass(frozen=True, slots=True)
class PrunedImages(RemovedImage):
    """What a prune did, and the bytes on disk that became free."""

    reclaimed_bytes: int = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """One for each name and digest, as Docker's prune writes them."""
        return (*(f"untagged: {name}" for name in self.untagged), *(f"deleted: {digest}" for digest in self.deleted))

    def __repr__(self) -> str:
        head = ["Deleted Images:", *self.lines, ""] if self.lines else []
        return "\n".join([*head, f"Total reclaimed space: {format_bytes(self.reclaimed_bytes, 4)}"])


@dataclass(frozen=True, slots=True)
class Needed:
    """What all images and containers of a store need."""

    chains: frozenset[str]
    digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class ForgottenSteps:
    """Keys of steps of builds that are forgotten, and the bytes on disk that became free."""

    keys: tuple[str, ...]
    reclaimed_bytes: int


class Removal:
    """The removing half of a catalog; `find` gives its images. Its methods are called while the lock "images" is held."""

    def __init__(
        self, store: Store, find: Callable[[str], Image | None], in_use: Callable[[str], list[str]], running: Callable[[str], list[str]]
    ) -> None:
        self._store = store
        self._records = store.records
        self._find = find
        self._in_use = in_use
        self._running = running

    def remove(self, name_or_id: str, *, force: bool, no_prune: bool) -> tuple[Image, RemovedImage]:
        """Docker's rules (moby, daemon/images/image_delete.go); raises NotFound and Conflict."""
        image = self._find(name_or_id)
        if image is None:
            raise NotFound(f"no such image: {name_or_id}", "`images` lists all images")
        rows = self._records.list_names(image.manifest_digest)
        going = self._going(name_or_id, image, rows, force)
        users = self._in_use(image.id) if len(going) == len(rows) else []
        if users and not force:
            raise Conflict(f"image {image.name} is used by container {users[0]}", "remove the container first, or use force")
        for row in going:
            self._records.remove_image(row.reference)
        deleted = self.collect([image], keep_layers=no_prune) if len(going) == len(rows) and not users else ()
        return image, RemovedImage(tuple(parse_reference(row.reference).familiar for row in going), deleted)

    def _going(self, name_or_id: str, image: Image, rows: Sequence[ImageRow], force: bool) -> Sequence[ImageRow]:
        """The references that are to go; raises Conflict, and NotFound for a name with a digest that is none of the image's."""
        named = [row for row in rows if row.reference in _spellings(name_or_id)]
        if named:
            reference = parse_reference(named[0].reference)
            return named if reference.digest else [*named, *_digests_left_alone(reference, rows)]
        if "@" in name_or_id:  # by its digest it was found all the same, but what is to go is somebody else's name
            raise NotFound(f"no such image: {name_or_id}", "`images --digests` lists all names")
        if not (force or _single(rows)):
            raise Conflict(f"image {image.short_id} has several names: {', '.join(image.tags)}", "remove the names, or use force")
        running = self._running(image.id)
        if running:
            raise Conflict(f"image {image.short_id} is used by the running container {running[0]}", "stop and remove the container first")
        return rows

    def prune(self, wanted: Callable[[Image], bool], candidates: Iterable[Image]) -> tuple[list[Image], PrunedImages]:
        """Those of the candidates that are wanted and that no container uses, and what no image, container or build needs."""
        gone = [image for image in candidates if wanted(image) and not self._in_use(image.id)]
        untagged = []
        for image in gone:
            for row in self._records.list_names(image.manifest_digest):
                self._records.remove_image(row.reference)
                untagged.append(parse_reference(row.reference).familiar)
        before = self._sizes()
        blobs = self._blob_bytes()
        deleted = (*self.collect(gone), *self.sweep())
        after = {row.chain_id for row in self._records.list_layers()}
        freed = sum(size for chain, size in before.items() if chain not in after) + blobs - self._blob_bytes()
        return gone, PrunedImages(tuple(untagged), deleted, max(0, freed))

    def _sizes(self) -> dict[str, int]:
        """What each layer takes: on disk where it was measured, else as tar; nothing where its tree is not in this store."""
        measured = self._records.list_layer_usage()
        kept = [row for row in self._records.list_layers() if self._store.snapshots.elsewhere(row.chain_id) is None]
        return {row.chain_id: measured.get(row.chain_id, row.size_bytes) for row in kept}

    def _blob_bytes(self) -> int:
        total = 0
        for digest in self._store.blobs.list():
            with contextlib.suppress(NotFound):
                total += self._store.blobs.disk_bytes(digest)
        return total

    # --- what nobody needs

    def collect(self, images: Sequence[Image], *, keep_layers: bool = False) -> tuple[str, ...]:
        """Delete images' rows and documents, and the layers and blobs that no other image or container needs."""
        rows = {manifest_digest: text for manifest_digest, _, text in self._records.list_contents()}
        contents = [self._read(image.manifest_digest, image.id, rows.get(image.manifest_digest, "")) for image in images]
        for image in images:
            self._records.remove_manifest(image.manifest_digest)
        needed = self.needed()
        for digest in {digest for image in images for digest in (image.manifest_digest, image.id)} - needed.digests:
            self._store.blobs.remove(digest)
        deleted = [image.id for image in images]
        if images and not keep_layers:
            with self._store.unless_making() as alone:
                for content in contents if alone else ():
                    deleted += self._remove_chain(content.diff_ids, needed.chains)
                    self._remove_blobs(content.blobs, needed)
                self._forget_cached(set(deleted))
        # images may have had layers in common
        return tuple(dict.fromkeys(deleted))

    def sweep(self) -> tuple[str, ...]:
        """Delete layers that no image, container or build's cache needs, and blobs that nobody needs or fetches; the layers' chains."""
        with self._store.unless_making() as alone:
            if not alone:
                return ()
            needed = self.needed()
            deleted = self._sweep_layers(needed)
            self._remove_blobs(list(self._store.blobs.list()), needed)
        return deleted

    def _sweep_layers(self, needed: Needed) -> tuple[str, ...]:
        kept = needed.chains | {chain_of(row.result) for row in self._records.list_cache()}
        # the youngest first, since a layer is younger than those that it lies on
        unused = [row.chain_id for row in reversed(self._records.list_layers()) if row.chain_id not in kept]
        return tuple(chain for chain in unused if self._store.snapshots.remove(chain))

    def prune_steps(self, choose: Callable[[frozenset[str]], Iterable[str]]) -> ForgottenSteps | None:
        """Forget the steps of builds that `choose` names, given the layers that images and containers need, and delete what that frees.

        None while somebody makes an image, which may need all of them.
        """
        with self._store.unless_making() as alone:
            if not alone:
                return None
            needed = self.needed()
            keys = tuple(choose(needed.chains))
            if not keys:
                return ForgottenSteps((), 0)
            before = self._sizes()
            self._records.remove_cached(keys)
            gone = self._sweep_layers(needed)
            # the stored bytes of layers that were made here, and are made again when they are wanted
            bytes_before = self._blob_bytes()
            self._remove_blobs(list(self._store.blobs.list()), needed)
            return ForgottenSteps(keys, sum(before.get(chain, 0) for chain in gone) + bytes_before - self._blob_bytes())

    def needed(self) -> Needed:
        """What there are images and containers for."""
        chains: set[str] = set()
        digests: set[str] = set()
        for manifest_digest, config_digest, text in self._records.list_contents():
            content = self._read(manifest_digest, config_digest, text)
            chains.update(chains_of(content.diff_ids))
            digests |= {manifest_digest, config_digest, *content.blobs}
        for row in self._records.list_containers():
            # containers may stand on, or have mounted, an image that is gone
            document = json.loads(row.document)
            for described in (document, *document.get("mounts", ())):
                chains.update(chains_of(described.get("diff_ids") or ()))
        return Needed(frozenset(chains), frozenset(digests))

    def _read(self, manifest_digest: str, config_digest: str, text: str) -> Content:
        """The content in a row, or from the documents, which rows of older stores alone need."""
        if text:
            return read_content(text)
        blobs = self._store.blobs
        facts, content = describe(blobs.read(config_digest), blobs.read(manifest_digest))
        self._records.describe_manifest(manifest_digest, facts, content)
        return read_content(content)

    def _remove_chain(self, diff_ids: Sequence[str], needed: frozenset[str]) -> list[str]:
        """From the top down, so that however far this comes no layer lacks its parent."""
        gone: list[str] = []
        for chain in reversed(chains_of(diff_ids)):
            if chain in needed or not self._store.snapshots.remove(chain):
                break
            gone.append(chain)
        return gone

    def _remove_blobs(self, digests: Sequence[str], needed: Needed) -> None:
        for digest in digests:
            # A tree that was unpacked from a blob cannot give it back: containers may stand on it, and be committed.
            if digest not in needed.digests and not self._records.holds_layer(digest):
                with contextlib.suppress(Unavailable), self._store.downloads.hold(digest, timeout_s=0):
                    self._records.remove_layer_blob(digest)
                    self._store.blobs.remove(digest)

    def _forget_cached(self, gone: set[str]) -> None:
        for row in self._records.list_cache():
            if chain_of(row.result) in gone:
                self._records.remove_cache(row.key)


def chain_of(result: str) -> str:
    """The layer of a build step in its cache's JSON; "" for one that changed no file."""
    try:
        return str(json.loads(result)["chain_id"])
    except (ValueError, KeyError, TypeError):
        return ""


def _spellings(name: str) -> set[str]:
    """The canonical references that a name can mean; none for what can only be an id."""
    if name.startswith("sha256:"):
        return set()
    try:
        reference = parse_reference(name)
    except InvalidReference:
        return set()
    # With a digest the tag counts for nothing, as in Docker.
    return {Reference(reference.domain, reference.path, "" if reference.digest else reference.tag, reference.digest).canonical}


def _place(reference: Reference) -> tuple[str, str]:
    return reference.domain, reference.path


def _digests_left_alone(tag: Reference, rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The names with a digest that go with a tag, since no other tag of its repository is left."""
    others = [(row, parse_reference(row.reference)) for row in rows if row.reference != tag.canonical]
    if any(not other.digest and _place(other) == _place(tag) for _, other in others):
        return []
    return [row for row, other in others if other.digest and _place(other) == _place(tag)]


def _single(rows: Sequence[ImageRow]) -> bool:
    """Whether it has at most one tag, and all its digests are of that repository."""
    names = [parse_reference(row.reference) for row in rows]
    return sum(not name.digest for name in names) <= 1 and len({_place(name) for name in names}) <= 1
