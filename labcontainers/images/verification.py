"""Whether an image is what its digests say: its documents, the stored bytes of its layers, and the trees that containers stand on.

It must not change anything: what it finds damaged stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labcontainers.errors import DigestMismatch, LabError, NotFound
from labcontainers.images.image import Image
from labcontainers.images.layer_flow import complete, receive, unpack_to
from labcontainers.images.layer_source import LayerSource, Reader
from labcontainers.oci.digest import chain_id, short
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.host_layer import is_host
from labcontainers.store.layout import Store


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what is wrong with it; nothing is wrong with a whole image."""

    image: str
    layers: int
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        if not self.problems:
            return f"{self.image}: {self.layers} layer{'s' if self.layers != 1 else ''}, all as their digests say"
        return "\n".join(f"{self.image}: {problem}" for problem in self.problems)


def verify(image: Image, store: Store, launcher: LauncherProcess) -> Verification:
    """Read everything of an image again; blocks as long as that takes."""
    problems = list(_documents(image, store))
    for count in range(1, len(image.diff_ids) + 1):
        try:
            problems += _layer(image.diff_ids[:count], store, launcher)
        except LabError as error:
            problems.append(f"layer {short(image.diff_ids[count - 1])}: {error.message}")
    return Verification(image.name, len(image.diff_ids), tuple(problems))


def _documents(image: Image, store: Store) -> Iterator[str]:
    for what, digest in (("config", image.id), ("manifest", image.manifest_digest)):
        try:
            store.blobs.verify(digest)
        except (DigestMismatch, NotFound) as error:
            yield f"{what}: {error.message}"


def _layer(diff_ids: tuple[str, ...], store: Store, launcher: LauncherProcess) -> list[str]:
    """What is wrong with the last of these layers."""
    chain, diff_id = chain_id(diff_ids), diff_ids[-1]
    row = store.records.find_layer(chain)
    if row is None or not store.snapshots.has(chain):
        return [f"layer {short(diff_id)} is not in the store"]
    if is_host(diff_id):
        return []  # the machine itself, of which nothing is promised
    found = launcher.call("labcontainers.store.trees:measure", tree=str(store.snapshots.tree(chain)))
    expected = _unpacked_anew(diff_ids, store, launcher) if row.unpacked else diff_id
    if found["diff_id"] != expected:
        return [f"the tree of layer {short(diff_id)} is not what it was unpacked or made as"]
    if not row.unpacked and found["size_bytes"] != row.size_bytes:
        return [f"layer {short(diff_id)} has {found['size_bytes']} bytes, not {row.size_bytes}"]
    return []


def _unpacked_anew(diff_ids: tuple[str, ...], store: Store, launcher: LauncherProcess) -> str:
    """The digest of the canonical tar that the tree of a layer from elsewhere should have: that of its stored bytes, unpacked once more."""
    stored = store.records.find_layer_blob(diff_ids[-1])
    if stored is None or not store.blobs.has(stored.digest):
        raise NotFound(f"its stored bytes are gone, so its tree cannot be compared: {short(diff_ids[-1])}", "pull the image again")
    below = diff_ids[:-1]
    scratch = store.snapshots.new_tree(below)
    try:
        source = LayerSource(diff_ids[-1], _never, stored.digest, stored.size_bytes)
        arrived = receive(source, store.blobs, store.downloads, unpack_to(scratch, store, launcher))
        complete(scratch, below, arrived.unpacked or {}, store, launcher)
        return str(launcher.call("labcontainers.store.trees:measure", tree=str(scratch / "fs"))["diff_id"])
    finally:
        store.snapshots.discard(scratch)


def _never(offset: int) -> Reader:
    raise NotFound("the layer's stored bytes are gone", "pull the image again")
