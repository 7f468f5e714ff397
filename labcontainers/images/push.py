"""`push`: an image of the store goes to a registry, by a client that is passed in; what is there already is not sent.

It must not know HTTP. What came from elsewhere goes as it came; layers that were made here are compressed once, always to the same
bytes (images.layer_bytes). Source: OCI distribution spec, "Push"; what is told of layers is as in Docker's command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.ahead import Ahead
from labcontainers.images.attestations import Attach, Attached
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import refuse
from labcontainers.images.image import Image
from labcontainers.images.layer_bytes import stored_layer
from labcontainers.images.layer_source import Stop
from labcontainers.images.transfer import LayerProgress, OnProgress, nobody
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import sha256, short
from labcontainers.oci.manifest import Manifest, media_type_of
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store, while_making

if TYPE_CHECKING:
    from labcontainers.registry.client import Registry

# Docker sends five layers at once; two threads of compression for each would be more than helps.
_AT_ONCE = 3
_CHUNK = 1 << 20
Connect = Callable[[Reference], "Registry"]


class Tell(Protocol):
    """Tells what a layer has come to."""

    def __call__(self, status: str, current: int = 0) -> None: ...


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push gave: the manifest's digest and size in bytes, by which the registry knows the image now."""

    reference: Reference
    digest: str
    size_bytes: int

    def __repr__(self) -> str:
        return f"{self.reference.tag}: digest: {self.digest} size: {self.size_bytes}"


class Pusher:
    """Pushes images of a store. Thread-safe."""

    def __init__(self, store: Store, catalog: Catalog, launcher: LauncherProcess, connect: Connect) -> None:
        self._store = store
        self._catalog = catalog
        self._launcher = launcher
        self._connect = connect

    @while_making(lambda self: self._store)
    def push(self, name: str, *, on_progress: OnProgress = nobody, attach: Attach | None = None) -> Pushed:
        """Send the image of this name; blocks. Raises NotFound, Denied, Unavailable, Unsupported, DigestMismatch for a damaged layer.

        With `attach` the tag is of an index, which names the image and what is made to stand beside it.
        """
        reference = parse_reference(name)
        if reference.digest:
            raise InvalidArgument(f"cannot push a digest reference: {name}", "push a name with a tag")
        image = self._catalog.find(reference.canonical)
        if image is None:
            raise NotFound(f"an image does not exist locally with the tag: {reference.repository}", f"tag one so: tag IMAGE {name}")
        refuse(image, "push")
        registry = self._connect(reference)
        layers = self._send_all(registry, reference, image, on_progress)
        config = self._store.blobs.read(image.id)
        registry.upload_blob(reference.path, image.id, len(config), lambda: iter([config]))
        manifest = self._manifest(image, layers)
        digest = sha256(manifest)
        if attach is not None:
            registry.put_manifest(reference.path, digest, manifest, media_type_of(manifest))
            tagged = self._attached(registry, reference, attach(manifest))
        else:
            tagged = manifest
        digest = sha256(tagged)
        registry.put_manifest(reference.path, reference.tag, tagged, media_type_of(tagged))
        known_as = replace(reference, tag="", digest=digest)
        self._catalog.rewrite(image, manifest, [known_as.canonical])
        return Pushed(reference, digest, len(tagged))

    def push_all(self, name: str, *, on_progress: OnProgress = nobody) -> list[Pushed]:
        """Every tag that the store has of a repository; raises InvalidArgument for a name with a tag, NotFound when there is none."""
        reference = parse_reference(name)
        if reference.digest or ":" in name.rpartition("/")[2]:
            raise InvalidArgument(f"--all-tags: {name!r} has a tag", "give the repository alone")
        tags = [parse_reference(tag) for image in self._catalog.list() for tag in image.tags]
        wanted = [tag for tag in tags if tag.repository == reference.repository]
        if not wanted:
            raise NotFound(f"an image does not exist locally with the tag: {reference.repository}", "`images` lists all images")
        return [self.push(tag.canonical, on_progress=on_progress) for tag in wanted]

    def _send_all(self, registry: Registry, reference: Reference, image: Image, on_progress: OnProgress) -> Sequence[Descriptor]:
        """Let the registry have all layers: several at once, and those that have to be made meanwhile."""
        listed = Manifest.from_bytes(self._store.blobs.read(image.manifest_digest)).layers
        sources = self._elsewhere(reference)
        stop = Stop()

        def bring(count: int, layer: Descriptor) -> Descriptor:
            diff_ids, sent = image.diff_ids[:count], False
            stop.check()
            if not self._store.blobs.has(layer.digest):
                tell = _teller(diff_ids[-1], layer.size, on_progress)
                layer, sent = self._make(registry, reference, diff_ids, stop, tell)
            tell = _teller(diff_ids[-1], layer.size, on_progress)
            if sent:
                tell("Pushed", layer.size)
            else:
                self._send(registry, reference, layer, sources.get(layer.digest, ()), tell)
            return layer

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lab-push") as pool:
            try:
                coming = [pool.submit(bring, count, layer) for count, layer in enumerate(listed, 1)]
                return [future.result() for future in coming]
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _make(self, registry: Registry, reference: Reference, diff_ids: Sequence[str], stop: Stop, tell: Tell) -> tuple[Descriptor, bool]:
        """Make the stored bytes of the last of these layers, if there are none yet; whether they were sent meanwhile."""

        def told(done: int) -> None:
            stop.check()
            tell("Preparing", done)

        with Ahead(registry, reference.path) as ahead:
            layer = stored_layer(diff_ids, self._store, self._launcher, told, ahead.grown)
            sent = ahead.begun and not registry.has_blob(reference.path, layer.digest) and ahead.finish(layer.digest, layer.size)
        return layer, sent

    def _manifest(self, image: Image, layers: Sequence[Descriptor]) -> bytes:
        """As it is, unless layers have other bytes now."""
        data = self._store.blobs.read(image.manifest_digest)
        manifest = Manifest.from_bytes(data)
        same = [layer.digest for layer in manifest.layers] == [layer.digest for layer in layers]
        return data if same else replace(manifest, layers=tuple(layers)).to_bytes()

    @staticmethod
    def _attached(registry: Registry, reference: Reference, attached: Attached) -> bytes:
        """Send what stands beside the image; the index."""
        for blob in attached.blobs:
            registry.upload_blob(reference.path, sha256(blob), len(blob), partial(iter, [blob]))
        registry.put_manifest(reference.path, sha256(attached.manifest), attached.manifest, media_type_of(attached.manifest))
        return attached.index

    def _elsewhere(self, reference: Reference) -> dict[str, list[str]]:
        """For each stored layer the other repositories of the same registry that have it, as far as this store knows."""
        found: dict[str, list[str]] = {}
        for row in self._store.records.list_images():
            other = parse_reference(row.reference)
            if other.digest and other.domain == reference.domain and other.path != reference.path:
                for layer in Manifest.from_bytes(self._store.blobs.read(row.manifest_digest)).layers:
                    found.setdefault(layer.digest, []).append(other.path)
        return found

    def _send(self, registry: Registry, reference: Reference, layer: Descriptor, sources: Sequence[str], tell: Tell) -> None:
        if registry.has_blob(reference.path, layer.digest):
            tell("Layer already exists")
            return
        for source in dict.fromkeys(sources):
            if registry.mount_blob(reference.path, layer.digest, source):
                tell(f"Mounted from {source}")
                return
        tell("Pushing")
        registry.upload_blob(
            reference.path, layer.digest, layer.size, lambda: self._pieces(layer.digest), on_bytes=lambda sent: tell("Pushing", sent)
        )
        tell("Pushed", layer.size)

    def _pieces(self, digest: str) -> Iterator[bytes]:
        with self._store.blobs.open(digest) as file:
            while data := file.read(_CHUNK):
                yield data


def _teller(diff_id: str, size: int, on_progress: OnProgress) -> Tell:
    """Tells of one layer under the name that it has in all stages, also before its stored bytes are made; as in Docker."""

    def tell(status: str, current: int = 0) -> None:
        on_progress(LayerProgress(short(diff_id), status, current, size))

    return tell
