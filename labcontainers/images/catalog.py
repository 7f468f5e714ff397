"""All images of a store: found by name, put, tagged, removed with what nothing else needs.

It must not know registries, and knows containers only by a question that is passed in.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labcontainers.errors import Conflict, InvalidArgument, InvalidReference, NotFound
from labcontainers.images import bases
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, Manifest
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.records import ImageRow, ManifestRow
from labcontainers.store.snapshots import Layer


@dataclass(frozen=True, slots=True)
class RemovedImage:
    """What a removal did: names taken away, and the ids of images and layers deleted."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([*(f"Untagged: {name}" for name in self.untagged), *(f"Deleted: {digest}" for digest in self.deleted)])


class Catalog:
    """Thread-safe, and safe beside other processes: what changes images holds the store's lock "images"."""

    def __init__(self, store: Store, in_use: Callable[[str], list[str]]) -> None:
        self._store = store
        self._in_use = in_use

    # --- find

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
        hint = f"did you mean {near[0]}?" if near else "build it, or use lab/base; pulling from registries is not supported yet"
        raise NotFound(f"no such image: {name_or_id}", hint)

    @staticmethod
    def _reference(text: str) -> Reference | None:
        """`text` as a reference, unless it can only be an id; raises InvalidReference."""
        return None if text.startswith("sha256:") else parse_reference(text)

    def find(self, name_or_id: str) -> Image | None:
        """The image, or None; raises InvalidReference, or Conflict for an ambiguous beginning of an id."""
        try:
            reference = self._reference(name_or_id)
        except InvalidReference:
            reference, problem = None, True
        else:
            problem = False
        if reference is not None and not reference.digest:
            row = self._store.records.find_image(reference.canonical)
            if row is not None:
                return self._image(self._manifest(row.manifest_digest))
        wanted = reference.digest if reference is not None and reference.digest else name_or_id
        matches = [row for row in self._store.records.list_manifests() if _names(row, wanted)]
        if len({row.config_digest for row in matches}) > 1:
            raise Conflict(f"more than one image begins with {name_or_id}", "give more digits of the id")
        if problem and not matches:
            self._reference(name_or_id)
        return self._image(matches[0]) if matches else None

    def _manifest(self, digest: str) -> ManifestRow:
        row = self._store.records.find_manifest(digest)
        if row is None:
            raise NotFound(f"no such manifest: {digest}", "build or make the image again")
        return row

    def _image(self, row: ManifestRow, tags: Sequence[str] | None = None) -> Image:
        if tags is None:
            tags = [image.reference for image in self._store.records.list_images() if image.manifest_digest == row.manifest_digest]
        config = ImageConfig.from_bytes(self._store.blobs.read(row.config_digest))
        manifest = Manifest.from_bytes(self._store.blobs.read(row.manifest_digest))
        familiar = tuple(parse_reference(tag).familiar for tag in tags)
        sizes = tuple(layer.size for layer in manifest.layers)
        return Image(self, row.config_digest, config, familiar, sizes, row.manifest_digest, row.created_at)

    def list(self, all: bool = False) -> list[Image]:
        """Tagged images, or with `all` untagged ones too; newest first."""
        names: dict[str, list[str]] = {}
        for image in self._store.records.list_images():
            names.setdefault(image.manifest_digest, []).append(image.reference)
        rows = [row for row in self._store.records.list_manifests() if all or row.manifest_digest in names]
        return [self._image(row, names.get(row.manifest_digest, [])) for row in sorted(rows, key=lambda row: -row.created_at)]

    def verify(self) -> Sequence[str]:
        """Images that lack a layer; empty when all is well."""
        with self._store.locks.hold("images", shared=True):
            return [
                f"image {image.name} lacks layer {chain}" for image in self.list(all=True) for chain in self._missing_layers(image.diff_ids)
            ]

    def _missing_layers(self, diff_ids: Sequence[str]) -> Sequence[str]:
        return [chain for chain in sorted(_chains(diff_ids)) if not self._store.snapshots.has(chain)]

    # --- change

    def put(self, config: ImageConfig, layers: Sequence[Layer], references: Sequence[str]) -> Image:
        """Keep an image of committed layers (from the bottom up) under these names; names move from other images to it."""
        parsed = [parse_reference(reference) for reference in references]
        for reference in parsed:
            if reference.digest:
                raise InvalidArgument(f"an image cannot be named by a digest: {reference}", "use a name with a tag")
        data = config.to_bytes()
        config_digest = self._store.blobs.put(data)
        manifest = Manifest(
            Descriptor(MEDIA_TYPE_CONFIG, config_digest, len(data)),
            tuple(Descriptor(MEDIA_TYPE_LAYER, layer.diff_id, layer.size_bytes) for layer in layers),
        )
        manifest_digest = self._store.blobs.put(manifest.to_bytes())
        now = time.time()
        with self._store.locks.hold("images"):
            if self._missing_layers(config.diff_ids):
                # Nothing protects the layers of a build before this.
                raise Conflict("another process removed a layer of this image while it was made", "build it again")
            if not (self._store.blobs.has(config_digest) and self._store.blobs.has(manifest_digest)):
                self._store.blobs.put(data)
                self._store.blobs.put(manifest.to_bytes())
            self._store.records.put_manifest(manifest_digest, config_digest, sum(layer.size_bytes for layer in layers), now)
            for reference in parsed:
                self._store.records.put_image(reference.canonical, manifest_digest, config_digest, now)
        for reference in parsed:
            self._event("tag", config_digest, reference.familiar)
        return self._image(self._manifest(manifest_digest))

    def tag(self, image: Image, reference: str) -> Image:
        """Give an image one more name; raises InvalidReference."""
        parsed = parse_reference(reference)
        if parsed.digest:
            raise InvalidArgument(f"an image cannot be named by a digest: {reference}", "use a name with a tag")
        with self._store.locks.hold("images"):
            self._store.records.put_image(parsed.canonical, image.manifest_digest, image.id, time.time())
        self._event("tag", image.id, parsed.familiar)
        return self._image(self._manifest(image.manifest_digest))

    def remove(self, name_or_id: str, force: bool = False) -> RemovedImage:
        """Take a name away; with the last one (or by id) delete the image, and layers and content that nothing else needs.

        Raises NotFound, and Conflict when a container uses it or, by id, when it has several names (both not with `force`).
        """
        with self._store.locks.hold("images"):
            image = self.find(name_or_id)
            if image is None:
                raise NotFound(f"no such image: {name_or_id}", "`images` lists all images")
            rows = [row for row in self._store.records.list_images() if row.manifest_digest == image.manifest_digest]
            going = self._going(name_or_id, image, rows, force)
            users = self._in_use(image.id) if len(going) == len(rows) else []
            if users and not force:
                raise Conflict(f"image {image.name} is used by container {users[0]}", "remove the container first, or use force")
            for row in going:
                self._store.records.remove_image(row.reference)
            deleted = self._collect(image) if len(going) == len(rows) and not users else ()
        for row in going:
            self._event("untag", image.id, parse_reference(row.reference).familiar)
        if deleted:
            self._event("delete", image.id, image.name)
        return RemovedImage(tuple(parse_reference(row.reference).familiar for row in going), deleted)

    def _going(self, name_or_id: str, image: Image, rows: Sequence[ImageRow], force: bool) -> Sequence[ImageRow]:
        try:
            reference = self._reference(name_or_id)
        except InvalidReference:
            reference = None
        named = [row for row in rows if reference is not None and row.reference == reference.canonical]
        if named:
            return named
        if len(rows) > 1 and not force:
            raise Conflict(f"image {image.short_id} has several names: {', '.join(image.tags)}", "remove the names, or use force")
        return rows

    def prune(self) -> RemovedImage:
        """Delete untagged images that no container uses, and all that only they needed."""
        deleted: list[str] = []
        with self._store.locks.hold("images"):
            tagged = {row.manifest_digest for row in self._store.records.list_images()}
            for row in self._store.records.list_manifests():
                if row.manifest_digest not in tagged and not self._in_use(row.config_digest):
                    deleted += self._collect(self._image(row, []))
        return RemovedImage((), tuple(deleted))

    def _collect(self, image: Image) -> tuple[str, ...]:
        """Delete an image's rows, and layers and blobs that no other image, container or cache entry needs."""
        records = self._store.records
        records.remove_manifest(image.manifest_digest)
        needed: set[str] = set()
        blobs: set[str] = set()
        for row in records.list_manifests():
            blobs |= {row.manifest_digest, row.config_digest}
            needed |= _chains(ImageConfig.from_bytes(self._store.blobs.read(row.config_digest)).diff_ids)
        needed |= self._chains_of_containers()
        deleted = [image.id]
        for count in range(len(image.diff_ids), 0, -1):
            # From the top down, so that however far this comes no layer lacks its parent.
            chain = chain_id(image.diff_ids[:count])
            if chain in needed or not self._store.snapshots.remove(chain):
                break
            deleted.append(chain)
        for cached in records.list_cache():
            if any(digest in cached.result for digest in deleted[1:]):
                records.remove_cache(cached.key)
        for digest in (image.manifest_digest, image.id):
            if digest not in blobs:
                self._store.blobs.remove(digest)
        return tuple(deleted)

    def _chains_of_containers(self) -> set[str]:
        """Layers that containers stand on, whatever became of their image."""
        import json

        chains: set[str] = set()
        for row in self._store.records.list_containers():
            chains |= _chains(json.loads(row.document).get("diff_ids", ()))
        return chains

    def _event(self, action: str, image_id: str, name: str) -> None:
        self._store.events.append(Event("image", action, image_id, name, {"name": name}, time.time_ns()))


def _names(row: ManifestRow, wanted: str) -> bool:
    """Whether `wanted` is a digest of the image, or the beginning of its id (at least four digits)."""
    if wanted.startswith("sha256:"):
        return wanted in (row.config_digest, row.manifest_digest)
    return len(wanted) >= 4 and row.config_digest.removeprefix("sha256:").startswith(wanted)


def _chains(diff_ids: Sequence[str]) -> set[str]:
    return {chain_id(diff_ids[:count]) for count in range(1, len(diff_ids) + 1)}
