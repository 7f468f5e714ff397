"""`pull`: a name becomes an image of the store; registries speak by a client that is passed in.

It must not know HTTP. Source: OCI distribution spec, "Pull"; what is told of layers is as in Docker's command line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labcontainers.errors import Denied, DigestMismatch, InvalidArgument, NotFound, Unsupported
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.images.install import Installer
from labcontainers.images.layer_source import LayerSource, Reader
from labcontainers.images.transfer import OnProgress, nobody
from labcontainers.oci.descriptor import Descriptor, Platform, host_platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import (
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_DOCKER_CONFIG,
    MEDIA_TYPE_DOCKER_LIST,
    MEDIA_TYPE_INDEX,
    Index,
    Manifest,
)
from labcontainers.oci.platforms import choose
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store

if TYPE_CHECKING:
    from labcontainers.registry.client import Registry
    from labcontainers.registry.documents import Document

_MOST_CONFIG_BYTES = 8 << 20
_CONFIGS = (MEDIA_TYPE_CONFIG, MEDIA_TYPE_DOCKER_CONFIG)
_INDEXES = (MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST)
Connect = Callable[[Reference], "Registry"]
Candidates = Callable[[str], Sequence[Reference]]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull gave: `digest` is what the registry calls the name, `newer` says that the store had something else before, or nothing."""

    image: Image
    reference: Reference
    digest: str
    newer: bool

    def __repr__(self) -> str:
        name = str(self.reference)
        status = f"Downloaded newer image for {name}" if self.newer else f"Image is up to date for {name}"
        return f"Digest: {self.digest}\nStatus: {status}\n{self.reference.canonical}"


class Puller:
    """Pulls images into a store. Thread-safe, and safe beside other processes."""

    def __init__(self, store: Store, catalog: Catalog, launcher: LauncherProcess, connect: Connect, candidates: Candidates) -> None:
        """`connect` gives the client of the registry that a reference names, `candidates` what a name may mean, the likeliest first."""
        self._store = store
        self._catalog = catalog
        self._installer = Installer(store, catalog, launcher)
        self._connect = connect
        self._candidates = candidates

    def pull(self, name: str, *, platform: Platform | None = None, on_progress: OnProgress = nobody) -> Pulled:
        """The image that `name` means at its registry, by tag or digest; blocks.

        Raises InvalidReference, NotFound (name, or no such platform), Denied, Unavailable, DigestMismatch; what is half-made goes, but
        the bytes that were downloaded, from which the next pull goes on.
        """
        reference, registry, document = self._find(name)
        before = self._catalog.find(reference.canonical)
        manifest_bytes = self._of_platform(registry, reference, document, platform)
        manifest = Manifest.from_bytes(manifest_bytes)
        config = self._config(registry, reference, manifest.config)
        described = ImageConfig.from_bytes(config)
        own = Platform(described.os, described.architecture, str(described.extra.get("variant", "")))
        if platform is not None and choose([own], platform) is None:
            raise NotFound(f"{reference} was found, but its platform {own} is not {platform}", "leave --platform out to have it")
        layers = self._layers(registry, reference, manifest, described)
        known_as = replace(reference, tag="", digest=document.digest)
        tagged = [] if reference.digest else [reference.canonical]
        image = self._installer.install(manifest_bytes, config, layers, tagged, digests=[known_as.canonical], on_progress=on_progress)
        return Pulled(image, reference, document.digest, before is None or before.manifest_digest != image.manifest_digest)

    def pull_all(self, name: str, *, platform: Platform | None = None, on_progress: OnProgress = nobody) -> list[Pulled]:
        """Every tag of a repository; raises InvalidArgument for a name with a tag."""
        reference = parse_reference(name)
        if reference.digest or ":" in name.rpartition("/")[2]:
            raise InvalidArgument(f"--all-tags: {name!r} has a tag", "give the repository alone")
        tags = self._connect(reference).list_tags(reference.path)
        return [self.pull(replace(reference, tag=tag).canonical, platform=platform, on_progress=on_progress) for tag in tags]

    def _find(self, name: str) -> tuple[Reference, Registry, Document]:
        """Where the name is found first, of all that it may mean."""
        *first, last = self._candidates(name)
        for reference in first:
            registry = self._connect(reference)
            with contextlib.suppress(NotFound, Denied):
                return reference, registry, registry.get_manifest(reference.path, reference.digest or reference.tag)
        registry = self._connect(last)
        return last, registry, registry.get_manifest(last.path, last.digest or last.tag)

    @staticmethod
    def _of_platform(registry: Registry, reference: Reference, document: Document, platform: Platform | None) -> bytes:
        """The manifest of the platform that is wanted: of this machine, unless it is said."""
        if document.media_type not in _INDEXES:
            return bytes(document.data)
        manifests = Index.from_bytes(document.data).manifests
        position = choose([manifest.platform for manifest in manifests], platform)
        if position is None:
            there = ", ".join(sorted({str(manifest.platform) for manifest in manifests if manifest.platform is not None}))
            problem = f"{reference}: no matching manifest for {platform or host_platform()} in the manifest list entries"
            raise NotFound(problem, f"there is {there}: choose by --platform" if there else "ask who made the image")
        inner = registry.get_manifest(reference.path, manifests[position].digest)
        if inner.media_type in _INDEXES:
            raise Unsupported(f"{reference}: an index within an index is not supported", "pull one of its manifests by digest")
        return bytes(inner.data)

    def _config(self, registry: Registry, reference: Reference, descriptor: Descriptor) -> bytes:
        if descriptor.media_type not in _CONFIGS:
            raise Unsupported(f"{reference} is no image, but an artifact: its config is of type {descriptor.media_type}", "pull an image")
        if descriptor.size > _MOST_CONFIG_BYTES:
            raise InvalidArgument(f"{reference}: the config has {descriptor.size} bytes", f"at most {_MOST_CONFIG_BYTES} are read")
        if self._store.blobs.has(descriptor.digest):
            return self._store.blobs.read(descriptor.digest)
        view, filled = memoryview(bytearray(descriptor.size + 1)), 0
        with registry.open_blob(reference.path, descriptor.digest, size=descriptor.size) as body:
            while filled < len(view) and (count := body.readinto(view[filled:])):
                filled += count
        config = bytes(view[:filled])
        if sha256(config) != descriptor.digest:
            raise DigestMismatch(f"{reference}: the config is not {descriptor.digest}", "try again, or ask who runs the registry")
        return config

    def _layers(self, registry: Registry, reference: Reference, manifest: Manifest, config: ImageConfig) -> Sequence[LayerSource]:
        if len(manifest.layers) != len(config.diff_ids):
            message = f"{reference}: the manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)}"
            raise InvalidArgument(message, "the image is broken: ask who made it")

        def source(descriptor: Descriptor, diff_id: str) -> LayerSource:
            def open_layer(offset: int) -> Reader:
                try:
                    return registry.open_blob(reference.path, descriptor.digest, offset, size=descriptor.size)
                except NotFound:
                    # a layer that may not be distributed lies elsewhere
                    if not descriptor.urls:
                        raise
                    return registry.open_url(descriptor.urls[0], offset, size=descriptor.size)

            return LayerSource(diff_id, open_layer, descriptor.digest, descriptor.size, descriptor.media_type)

        return [source(descriptor, diff_id) for descriptor, diff_id in zip(manifest.layers, config.diff_ids, strict=True)]
