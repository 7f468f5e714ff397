"""`import`: the tar of a root file system becomes an image of one layer.

It must not know who asks, nor Dockerfiles: what changes a config is passed in. The layer is the tree that comes out of the tar, so that
the same files give the same layer, whatever packed them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from labcontainers.images.archive.contents import Data, Stream, fill, open_data
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.images.layer_flow import Unpacking, complete, unpack_to
from labcontainers.oci.descriptor import Platform, host_platform
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.events import Event
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

ChangeConfig = Callable[[ProcessConfig, Sequence[str]], ProcessConfig]


def import_image(
    data: Data,
    store: Store,
    catalog: Catalog,
    launcher: LauncherProcess,
    change_config: ChangeConfig,
    *,
    names: Sequence[str] = (),
    changes: Sequence[str] = (),
    message: str = "",
    platform: Platform | None = None,
) -> Image:
    """An image of the files of a tar archive (also one by gzip, zstd, bzip2 or xz), whose config is `changes`; blocks.

    Raises InvalidArgument for a wrong change and for what is no archive, and keeps nothing then.
    """
    config = change_config(ProcessConfig(), tuple(changes))
    scratch = store.snapshots.new_tree()
    try:
        with open_data(data) as source:
            unpacked = _unpack(source, unpack_to(scratch, store, launcher))
        complete(scratch, (), unpacked, store, launcher)
        layer = store.snapshots.commit(scratch, ())
    except BaseException:
        store.snapshots.discard(scratch)
        raise
    image = catalog.put(_image_config(config, layer, message, platform or host_platform()), [layer], names)
    store.events.append(Event("image", "import", image.id, image.name, {**config.labels, "name": image.id}, time.time_ns()))
    return image


def _unpack(source: Stream, unpacking: Unpacking) -> dict[str, Any]:
    """Pass everything on; the worker's answer."""
    try:
        while True:
            buffer = unpacking.buffer()
            count = fill(source, memoryview(buffer))
            if not count:
                return unpacking.finish()
            unpacking.put(memoryview(buffer)[:count])
    except BaseException as error:
        reason = unpacking.abandon()
        if isinstance(error, BrokenPipeError) and reason is not None:
            raise reason from None
        raise


def _image_config(config: ProcessConfig, layer: Layer, message: str, platform: Platform) -> ImageConfig:
    created = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    made = ImageConfig(
        platform.architecture,
        platform.os,
        config,
        (layer.diff_id,),
        (HistoryEntry(created, "", message or "Imported from -"),),
        created,
    )
    return replace(made, extra={"variant": platform.variant}) if platform.variant else made
