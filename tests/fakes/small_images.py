"""Images of a file or two, made in a store without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer


def layer(store: Store, content: str, *below: Layer) -> Layer:
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "file").write_text(content)
    return store.snapshots.commit(scratch, [one.diff_id for one in below])


def config_of(layers: Sequence[Layer], *, at: float | None = None, labels: Mapping[str, str] | None = None, cmd: str = "sh") -> ImageConfig:
    """Made `at` seconds since the epoch, or at no time that it tells; each layer by `RUN its number`."""
    history = tuple(HistoryEntry("1970-01-01T00:00:00Z", f"RUN {index}") for index, _ in enumerate(layers))
    config = ImageConfig("amd64", "linux", ProcessConfig(cmd=(cmd,), labels=labels or {}), tuple(one.diff_id for one in layers), history)
    return config if at is None else replace(config, created=datetime.fromtimestamp(at, UTC).isoformat())


def put(
    catalog: Catalog,
    layers: Sequence[Layer],
    *names: str,
    at: float | None = None,
    labels: Mapping[str, str] | None = None,
    cmd: str = "sh",
    digests: Sequence[str] = (),
) -> Image:
    """An image of these layers; `digests` are its names with a digest, as a pull leaves them."""
    image = catalog.put(config_of(layers, at=at, labels=labels, cmd=cmd), layers, names)
    if not digests:
        return image
    read = catalog._store.blobs.read
    return catalog.put_whole(read(image.manifest_digest), read(image.id), names, digests)
