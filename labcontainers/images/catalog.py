"""All images of a store: found by name, put, tagged, removed with what nothing else needs.

It must not know registries, and knows containers only by a question that is passed in.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from labcontainers.errors import Conflict, InvalidReference, LabError, NotFound
from labcontainers.images import bases
from labcontainers.images.facts import chains_of, describe, read_facts
from labcontainers.images.image import Image
from labcontainers.images.removal import ForgottenSteps, Needed, PrunedImages, Removal, RemovedImage
from labcontainers.images.selection import Filters, may_be_pruned, prune_filters, reference_of, wants_all
from labcontainers.images.shared.contract import NoShared, Shared, merged
from labcontainers.images.transfer import OnProgress, nobody
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, Manifest, media_type_of
from labcontainers.oci.reference import Reference, new_name, parse_reference
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import ManifestRow
from labcontainers.store.snapshots import Layer

if TYPE_CHECKING:
    from labcontainers.images.layer_contents import LayerContents

# Images whose documents are kept in memory.
_KEPT = 64


class Catalog:
    """Thread-safe, and safe beside other processes: what changes images holds the store's lock "images"."""

    def __init__(self, store: Store, in_use: Callable[[str], list[str]], running: Callable[[str], list[str]] = lambda image_id: []) -> None:
        """`in_use` and `running` tell the names of the containers, and of those that run, that stand on an image."""
        self._store = store
        # Of what is removed no document is read: it may be damaged.
        self._removal = Removal(store, lambda name: self._find(name, whole=False), in_use, running)
        # Who brings in an image that is not there, or None: registries are known above.
        self.fetch: Callable[[str, OnProgress], Image | None] = lambda name, on_progress: None
        # The shared stores that are read; how is known above.
        self.shared: Shared = NoShared()
        # What has a digest never changes: it is read, and checked, once.
        self._config = lru_cache(_KEPT)(lambda digest: ImageConfig.from_bytes(store.blobs.read(digest)))
        self.layer_sizes = lru_cache(_KEPT)(store.snapshots.sizes_bytes)

    @cached_property
    def contents(self) -> LayerContents:
        """What is in the layers of its images."""
        from labcontainers.images.layer_contents import LayerContents

        return LayerContents(self._store)

    # --- find

    def obtain(self, name: str, on_progress: OnProgress = nobody) -> Image:
        """As get(), but what is not there is asked for elsewhere, if somebody may be asked (`fetch`). Raises NotFound."""
        try:
            image = self.get(name)
        except NotFound:
            if self.shared.place(name) is not None:
                raise  # why it cannot be used is known
            fetched = self.fetch(name, on_progress)
            if fetched is None:
                raise
            image = fetched
        try:
            self._store.snapshots.lower_paths(image.diff_ids)
        except NotFound as error:
            raise NotFound(f"image {image.name} is not whole: {error.message}", error.hint) from None
        return image

    def get(self, name_or_id: str) -> Image:
        """By reference, id or the beginning of an id. An embedded base image is made on first use. Raises NotFound."""
        image = self.find(name_or_id)
        if image is not None:
            return image
        reference = self._reference(name_or_id)
        if reference is not None and reference.canonical in bases.NAMES:
            # One lock for each, since making lab/python asks for lab/base.
            with self._store.locks.hold(f"embedded {reference.canonical}"):
                return self.find(name_or_id) or bases.make(reference.canonical, self, self._store)
        names = sorted({*(tag for image in self.list() for tag in image.tags), *(parse_reference(name).familiar for name in bases.NAMES)})
        near = difflib.get_close_matches(name_or_id, [*names, *(name.removesuffix(":latest") for name in names)], n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "build or pull it, or use lab/base"
        problem = self.shared.problem()
        if problem is not None:
            raise NotFound(f"no such image: {name_or_id}; {problem.message}", problem.hint)
        raise NotFound(f"no such image: {name_or_id}", hint)

    @staticmethod
    def _reference(text: str) -> Reference | None:
        """`text` as a reference, unless it can only be an id; raises InvalidReference."""
        return None if text.startswith("sha256:") else parse_reference(text)

    def find(self, name_or_id: str) -> Image | None:
        """The image, or None; raises InvalidReference, or Conflict for an ambiguous beginning of an id.

        One of a shared store comes into this one, unless this one has it, and then nothing is missing (images.shared.borrowing).
        """
        image = self.find_own(name_or_id)
        if self.shared.active and (image is None or self._missing_layers(image.diff_ids)):
            digest = self.shared.borrow(name_or_id if image is None else image.manifest_digest)
            image = image if digest is None else self._whole(self._manifest(digest))
        return image

    def find_own(self, name_or_id: str) -> Image | None:
        """As find(), in this store alone."""
        try:
            return self._find(name_or_id)
        except NotFound:
            # Another process removed it, or gave it another manifest, while we looked.
            return self._find(name_or_id)

    def _find(self, name_or_id: str, *, whole: bool = True) -> Image | None:
        """As find(); raises NotFound for one that goes while it is looked at. Its config is read if it shall be `whole`."""
        made = self._whole if whole else self._named
        try:
            reference = self._reference(name_or_id)
        except InvalidReference:
            reference, problem = None, True
        else:
            problem = False
        if reference is not None:
            # With a digest the tag counts for nothing, as in Docker.
            tag = "" if reference.digest else reference.tag
            row = self._store.records.find_image(Reference(reference.domain, reference.path, tag, reference.digest).canonical)
            if row is not None:
                return made(self._manifest(row.manifest_digest))
        wanted = reference.digest if reference is not None and reference.digest else name_or_id
        matches = [row for row in self._store.records.list_manifests() if _names(row, wanted)]
        if len({row.config_digest for row in matches}) > 1:
            raise Conflict(f"more than one image begins with {name_or_id}", "give more digits of the id")
        if problem and not matches:
            self._reference(name_or_id)
        return made(matches[0]) if matches else None

    def _manifest(self, digest: str) -> ManifestRow:
        row = self._store.records.find_manifest(digest)
        if row is None:
            raise NotFound(f"no such manifest: {digest}", "build or make the image again")
        return row

    def _whole(self, row: ManifestRow) -> Image:
        """With its config, so that it can be worked with whatever others do meanwhile."""
        return self._named(row, self._config(row.config_digest))

    def _named(self, row: ManifestRow, config: ImageConfig | None = None) -> Image:
        own = [name.reference for name in self._store.records.list_names(row.manifest_digest)]
        shared = self.shared.names(row.manifest_digest)
        others = [name for name in shared or () if self._store.records.find_image(name) is None]
        return self._image(row, [*own, *others], read_only=shared is not None, config=config)

    def _image(self, row: ManifestRow, references: Sequence[str], *, read_only: bool = False, config: ImageConfig | None = None) -> Image:
        facts = read_facts(row.facts or self._describe(row))
        names = [reference_of(reference) for reference in references]
        tags = tuple(name.familiar for name in names if not name.digest)
        digests = tuple(name.familiar for name in names if name.digest)
        return Image(self, row.config_digest, facts, tags, digests, row.size_bytes, row.manifest_digest, row.created_at, read_only, config)

    def _describe(self, row: ManifestRow) -> str:
        """The facts of an image of an older store, kept from now on."""
        facts, content = describe(self._store.blobs.read(row.config_digest), self._store.blobs.read(row.manifest_digest))
        self._store.records.describe_manifest(row.manifest_digest, facts, content)
        return facts

    def config_of(self, image_id: str) -> ImageConfig:
        """The config of this id, of an image that comes into this store now if a shared one has it; raises NotFound."""
        if self.shared.active and not self._store.blobs.has(image_id):
            self.shared.borrow(image_id)
        return self._config(image_id)

    def descriptor_of(self, image: Image) -> dict[str, Any]:
        """The OCI descriptor of its manifest."""
        data = self._store.blobs.read(image.manifest_digest)
        return Descriptor(media_type_of(data), image.manifest_digest, len(data)).to_json()

    def layer_folders(self, image: Image) -> tuple[str, ...]:
        """The trees of its layers, the top one first; empty when one is missing."""
        try:
            return self._store.snapshots.lower_paths(image.diff_ids)
        except NotFound:
            return ()

    def last_tagged_at(self, image: Image) -> float | None:
        """When it was given a name that it has, in seconds since the epoch; None for one without names."""
        return max((row.created_at for row in self._store.records.list_names(image.manifest_digest)), default=None)

    def _list(self, *, others: bool, all: bool) -> list[Image]:
        images = []
        for row, references, read_only in merged(self._store.records.list_named_manifests(), self.shared.listed(), others=others):
            if references or all:
                # Another process may remove an image of an older store while its documents are looked at.
                with contextlib.suppress(NotFound):
                    images.append(self._image(row, references, read_only=read_only))
        return sorted(images, key=lambda image: (-image.created_at, -image.stored_at))

    def list(self, all: bool = False) -> list[Image]:
        """Tagged images, or with `all` untagged ones too, those of shared stores among them; newest first.

        Of this store only rows are read, in one query.
        """
        return self._list(others=True, all=all)

    def list_own(self) -> Sequence[Image]:
        """All images that are in this store, with names or without; newest first."""
        return self._list(others=False, all=True)

    def problems(self) -> Sequence[LabError]:
        """What is wrong with the shared stores that are to be read; empty when nothing is."""
        return self.shared.problems()

    def verify(self) -> Sequence[str]:
        """Images that lack a layer; empty when all is well."""
        with self._store.locks.hold("images", shared=True):
            return [
                f"image {image.name} lacks layer {chain}"
                for image in self.list_own()
                for chain in self._missing_layers(self._config(image.id).diff_ids)
            ]

    def _missing_layers(self, diff_ids: Sequence[str]) -> Sequence[str]:
        return [chain for chain in sorted(set(chains_of(diff_ids))) if not self._store.snapshots.has(chain)]

    # --- change

    def put(
        self, config: ImageConfig, layers: Sequence[Layer], references: Sequence[str], annotations: Mapping[str, str] | None = None
    ) -> Image:
        """Keep an image of committed layers (from the bottom up) under these names; names move from other images to it."""
        data = config.to_bytes()
        described = Descriptor(MEDIA_TYPE_CONFIG, sha256(data), len(data))
        manifest = Manifest(described, tuple(map(self._descriptor, layers)), annotations or {})
        return self.put_whole(manifest.to_bytes(), data, references)

    def _descriptor(self, layer: Layer) -> Descriptor:
        """The stored blob of a layer that came from elsewhere, or the canonical tar, which is written when somebody wants it."""
        stored = self._store.records.find_layer_blob(layer.diff_id)
        if stored is None or not self._store.blobs.has(stored.digest):
            return Descriptor(MEDIA_TYPE_LAYER, layer.diff_id, layer.size_bytes)
        return Descriptor(stored.media_type, stored.digest, stored.size_bytes)

    def put_whole(self, manifest: bytes, config: bytes, references: Sequence[str], digests: Sequence[str] = ()) -> Image:
        """Keep an image by its own documents, whose layers are in the store, under these names.

        `digests` are names of it with a digest, such as docker.io/library/busybox@sha256:…, which registries know it by.
        Raises Conflict when a layer was removed meanwhile.
        """
        parsed = [new_name(reference) for reference in references]
        known_by = [parse_reference(digest) for digest in digests]
        described = ImageConfig.from_bytes(config)
        config_digest, manifest_digest = self._store.blobs.put(config), self._store.blobs.put(manifest)
        now = time.time()
        with self._store.locks.hold("images"):
            if self._missing_layers(described.diff_ids) or self._missing_blobs(Manifest.from_bytes(manifest), described.diff_ids):
                # Nothing protects the layers of a build or of a pull before this.
                raise Conflict("another process removed a layer of this image while it was made", "build or pull it again")
            if not (self._store.blobs.has(config_digest) and self._store.blobs.has(manifest_digest)):
                self._store.blobs.put(config)
                self._store.blobs.put(manifest)
            size_bytes = self._store.snapshots.size_bytes(described.diff_ids)
            self._store.records.put_manifest(manifest_digest, config_digest, size_bytes, now, *describe(config, manifest))
            for reference in [*parsed, *known_by]:
                self._store.records.put_image(reference.canonical, manifest_digest, config_digest, now)
            image = self._whole(self._manifest(manifest_digest))
        for reference in parsed:
            self._event("tag", config_digest, reference.familiar, described.config.labels)
        return image

    def _missing_blobs(self, manifest: Manifest, diff_ids: Sequence[str]) -> Sequence[str]:
        """Layers that are to be there as they came, and are not."""
        layers = zip(manifest.layers, diff_ids, strict=True)
        return [layer.digest for layer, diff_id in layers if layer.digest != diff_id and not self._store.blobs.has(layer.digest)]

    def rewrite(self, image: Image, manifest: bytes, digests: Sequence[str]) -> Image:
        """Let another manifest of the same config stand for the image, under all its names and these with a digest."""
        manifest_digest = self._store.blobs.put(manifest)
        known_by = [parse_reference(digest) for digest in digests]
        now = time.time()
        with self._store.locks.hold("images"):
            records = self._store.records
            if self._missing_blobs(Manifest.from_bytes(manifest), image.diff_ids):
                raise Conflict("another process removed the image meanwhile", "build or pull it again")
            self._store.blobs.put(manifest)
            size_bytes = self._store.snapshots.size_bytes(image.diff_ids)
            facts = describe(self._store.blobs.read(image.id), manifest)
            records.put_manifest(manifest_digest, image.id, size_bytes, image.stored_at, *facts)
            if manifest_digest != image.manifest_digest:
                for row in records.list_names(image.manifest_digest):
                    records.put_image(row.reference, manifest_digest, image.id, row.created_at)
                records.remove_manifest(image.manifest_digest)
                self._store.blobs.remove(image.manifest_digest)
            for reference in known_by:
                records.put_image(reference.canonical, manifest_digest, image.id, now)
            return self._whole(self._manifest(manifest_digest))

    def tag(self, image: Image, reference: str) -> Image:
        """Give an image one more name; raises InvalidReference."""
        parsed = new_name(reference)
        if self._store.records.find_manifest(image.manifest_digest) is None:
            self.shared.borrow(image.manifest_digest)
        with self._store.locks.hold("images"):
            # Another process may have removed it, or given it another manifest, since it was found.
            kept = self._store.records.find_manifest(image.manifest_digest)
            found = self.find_own(image.id) if kept is None else None
            if kept is None and found is None:
                raise NotFound(f"no such image: {image.name}", "another process removed it: build or pull it again")
            manifest_digest = image.manifest_digest if found is None else found.manifest_digest
            self._store.records.put_image(parsed.canonical, manifest_digest, image.id, time.time())
            tagged = self._whole(self._manifest(manifest_digest))
        self._event("tag", image.id, parsed.familiar, image.labels)
        return tagged

    def remove(self, name_or_id: str, force: bool = False, *, no_prune: bool = False) -> RemovedImage:
        """Take a name away; with the last one (or by id) delete the image, and layers and content that nothing else needs.

        With `no_prune` the layers stay until a prune. Raises NotFound, and Conflict when a container uses it or, by id, when it has
        several names (both not with `force`, but by id when a container of it runs), or when a shared store alone gives it this name.
        """
        self._refuse_read_only(name_or_id)
        with self._store.locks.hold("images"):
            image, removed = self._removal.remove(name_or_id, force=force, no_prune=no_prune)
        for name in removed.untagged:
            self._event("untag", image.id, name, image.labels)
        if removed.deleted:
            self._event("delete", image.id, image.name, image.labels)
        return removed

    def _refuse_read_only(self, name_or_id: str) -> None:
        """Raises Conflict for what only a shared store can take away: all but the names that this one gives."""
        place = self.shared.place(name_or_id)
        image = self._find(name_or_id, whole=False) if place is not None else None
        if place is not None and not (image is not None and self._store.records.list_names(image.manifest_digest)):
            problem = f"image {name_or_id} is read-only: it is in the image store {place}"
            raise Conflict(problem, f"its owner takes it away by `image share --remove --store {place}`")

    def prune(self, filters: Filters | None = None, *, all: bool = False) -> PrunedImages:
        """Delete untagged images, or with `all` (or dangling=false) every one, that no container uses, and all that nobody needs.

        `filters` are Docker's: dangling, label, label!, until. Raises InvalidArgument.
        """
        checked = prune_filters(filters or {})
        all = all or wants_all(checked)
        with self._store.locks.hold("images"):
            candidates = [image for image in self.list_own() if all or not (image.tags or image.repo_digests)]
            images, pruned = self._removal.prune(lambda image: may_be_pruned(image, checked), candidates)
        for image in images:
            for name in (*image.tags, *image.repo_digests):
                self._event("untag", image.id, name, image.labels)
            self._event("delete", image.id, image.name, image.labels)
        self._store.events.append_prune("image", pruned.reclaimed_bytes)
        return pruned

    def prune_steps(self, choose: Callable[[frozenset[str]], Iterable[str]]) -> ForgottenSteps | None:
        """Forget the steps of builds that `choose` names, given the layers that images need, and delete their layers.

        None while somebody makes an image.
        """
        with self._store.locks.hold("images"):
            return self._removal.prune_steps(choose)

    def needed(self) -> Needed:
        """The layers and blobs that images and containers need."""
        return self._removal.needed()

    def _event(self, action: str, image_id: str, name: str, labels: Mapping[str, str]) -> None:
        self._store.events.append(Event("image", action, image_id, name, {**labels, "name": name}, time.time_ns()))


def _names(row: ManifestRow, wanted: str) -> bool:
    """Whether `wanted` is a digest of the image, or the beginning of its id (at least four digits, with or without "sha256:")."""
    digits = wanted.removeprefix("sha256:")
    return wanted in (row.config_digest, row.manifest_digest) or (
        len(digits) >= 4 and row.config_digest.removeprefix("sha256:").startswith(digits)
    )
