"""What images, containers, volumes and the build cache take on disk, and removing all of it that nobody uses.

A layer never changes: what it takes is measured once, by a worker, and kept in a row. It must not know who asks.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.collection import Containers
from labcontainers.containers.container import Container
from labcontainers.containers.filters import prune_filters
from labcontainers.containers.result import Pruned
from labcontainers.engine.cache_told import CacheUsage, own_bytes
from labcontainers.engine.images import Images
from labcontainers.errors import InvalidArgument, KernelFailed, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.facts import chains_of
from labcontainers.images.image import Image
from labcontainers.images.removal import PrunedImages
from labcontainers.store.layout import Store
from labcontainers.units import format_bytes, parse_moment_s
from labcontainers.volumes.volume import Volume
from labcontainers.volumes.volumes import PrunedVolumes, Volumes


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """What an image takes on disk: with layers that others have, too, and alone."""

    image: Image
    containers: int
    shared_bytes: int
    unique_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.shared_bytes + self.unique_bytes


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What a container's own layers take on disk."""

    container: Container
    running: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VolumeUsage:
    """What a volume's files take on disk, and how many containers have it."""

    volume: Volume
    containers: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the summary."""

    name: str
    total: int
    active: int
    size_bytes: int
    reclaimable_bytes: int

    @property
    def reclaimable(self) -> str:
        """For people, with the share of it; Docker gives none for the build cache."""
        text = format_bytes(self.reclaimable_bytes, 4)
        return f"{text} ({self.reclaimable_bytes * 100 // self.size_bytes}%)" if self.size_bytes and self.name != "Build Cache" else text


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What a store takes on disk; `images_bytes` counts each layer and document once, `images_needed_bytes` those that containers have."""

    images: Sequence[ImageUsage]
    containers: Sequence[ContainerUsage]
    volumes: Sequence[VolumeUsage]
    cache: Sequence[CacheUsage]
    images_bytes: int
    images_needed_bytes: int

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Docker's four lines."""
        active = [one for one in self.containers if one.running]
        used = [one for one in self.volumes if one.containers]
        own = sum(one.size_bytes for one in self.containers)
        files = sum(one.size_bytes for one in self.volumes)
        alone = own_bytes(self.cache)
        return (
            Kind(
                "Images",
                len(self.images),
                sum(one.containers > 0 for one in self.images),
                self.images_bytes,
                self.images_bytes - self.images_needed_bytes,
            ),
            Kind("Containers", len(self.containers), len(active), own, own - sum(one.size_bytes for one in active)),
            Kind("Local Volumes", len(self.volumes), len(used), files, files - sum(one.size_bytes for one in used)),
            Kind("Build Cache", len(self.cache), 0, alone, alone),
        )

    def __repr__(self) -> str:
        return "\n".join(
            f"{kind.name}: {kind.total}, {kind.active} active, {format_bytes(kind.size_bytes, 4)}, reclaimable {kind.reclaimable}"
            for kind in self.kinds
        )


@dataclass(frozen=True, slots=True)
class PrunedSystem:
    """What `system prune` removed, by kind, and the bytes on disk that became free."""

    containers: Sequence[str] = ()
    volumes: Sequence[str] = ()
    images: Sequence[str] = ()
    cache: Sequence[str] = ()
    reclaimed_bytes: int = 0

    def __repr__(self) -> str:
        parts = (
            ("Deleted Containers:", self.containers),
            ("Deleted Volumes:", self.volumes),
            ("Deleted Images:", self.images),
            ("Deleted build cache objects:", self.cache),
        )
        lines = [line for head, items in parts if items for line in (head, *items, "")]
        return "\n".join([*lines, f"Total reclaimed space: {format_bytes(self.reclaimed_bytes, 4)}"])


@dataclass(frozen=True)
class Space:
    """The space that a store takes, over the engine's own parts. Blocks while files are counted."""

    store: Store
    catalog: Catalog
    images: Images
    containers: Containers
    volumes: Volumes

    def usage(self) -> DiskUsage:
        """Everything, counted now but for layers, which never change."""
        cache = self.images.build_cache
        layers = cache.layers()
        containers = self._containers()
        images = self.catalog.list_own()
        chains = {image.manifest_digest: self._chains(image) for image in images}
        owners = Counter(chain for found in chains.values() for chain in set(found))
        users = Counter(one.container.image_id for one in containers)
        shown = []
        for image in images:
            own = [chain for chain in chains[image.manifest_digest] if owners[chain] == 1]
            shared = [chain for chain in chains[image.manifest_digest] if owners[chain] > 1]
            alone = _sum(layers, own) + image.stored_bytes
            shown.append(ImageUsage(image, users[image.id], _sum(layers, shared), alone))
        standing = {chain for one in containers for chain in chains_of(one.container.layers)}
        active = [image for image in images if users[image.id]]
        kept = standing.union(*(chains[image.manifest_digest] for image in active))
        return DiskUsage(
            shown,
            containers,
            self._volumes(),
            cache.usage(),
            _sum(layers, owners) + sum(image.stored_bytes for image in images),
            _sum(layers, [chain for chain in owners if chain in kept]) + sum(image.stored_bytes for image in active),
        )

    def _chains(self, image: Image) -> list[str]:
        try:
            return chains_of(image.diff_ids)
        except NotFound:  # removed while we looked
            return []

    def _measure(self, path: str) -> int:
        return int(self.store.worker.call("labcontainers.store.trees:usage", path=path)["bytes"])

    def _containers(self) -> list[ContainerUsage]:
        found = []
        for container in self.containers.list(all=True):
            with contextlib.suppress(NotFound):
                found.append(ContainerUsage(container, container.state.running, container.sizes()[0]))
        return found

    def _volumes(self) -> list[VolumeUsage]:
        found = []
        for volume in self.volumes.list():
            with contextlib.suppress(KernelFailed, FileNotFoundError):
                found.append(VolumeUsage(volume, len(volume.users), self._measure(str(volume.mountpoint))))
        return found

    def prune(self, filters: Mapping[str, Any] | None = None, *, all: bool = False, volumes: bool = False) -> PrunedSystem:
        """Remove ended containers, unused images (with `all` named ones, too), what builds remember, and with `volumes` anonymous volumes.

        `filters` are Docker's: until, label, label!. Raises InvalidArgument.
        """
        wanted = check_filters(filters or {}, volumes=volumes)
        containers: Pruned = self.containers.prune(wanted)
        labels = {key: value for key, value in wanted.items() if key != "until"}
        gone = self.volumes.prune(labels) if volumes else PrunedVolumes((), 0)
        moments = [parse_moment_s(text, time.time()) for text in wanted.get("until", ())]
        cache = self.images.build_cache.prune({"until": str(min(moments))} if moments else None, all=all)
        images: PrunedImages = self.images.prune(wanted, all=all)
        size = containers.reclaimed_bytes + gone.reclaimed_bytes + images.reclaimed_bytes + cache.reclaimed_bytes
        return PrunedSystem(containers.ids, gone.names, images.lines, cache.ids, size)


def check_filters(filters: Mapping[str, Any], *, volumes: bool = False) -> dict[str, list[str]]:
    """The filters of `system prune`; raises InvalidArgument."""
    wanted = prune_filters(filters)
    if volumes and "until" in wanted:
        raise InvalidArgument("--filter: until does not go with --volumes", "leave one of them out: volumes are not as old as their files")
    return wanted


def _sum(layers: Mapping[str, int], chains: Iterable[str]) -> int:
    return sum(layers.get(chain, 0) for chain in chains)
