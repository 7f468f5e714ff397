"""`load`: the images of an archive become images of the store, under the names that the archive gives them.

It must not know who asks. Whatever is wrong with the documents is found before anything is stored, and a layer before it is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import overload

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.archive.archived import Archived
from labcontainers.images.archive.contents import Contents, Data, open_contents
from labcontainers.images.archive.docker_archive import ids_by_name, is_docker_archive, read_docker_archive
from labcontainers.images.archive.folder import open_folder
from labcontainers.images.archive.layout import NotWhole, is_layout, read_layout
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.images.install import Installer
from labcontainers.images.transfer import LayerProgress, OnProgress, nobody
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.reference import parse_reference
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.events import Event
from labcontainers.store.layout import Store


class Loaded(Sequence[Image]):
    """The images that an archive held; as text, what Docker tells of them."""

    def __init__(self, images: Sequence[Image], lines: Sequence[str]) -> None:
        self.images = tuple(images)
        self.lines = tuple(lines)

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        return self.images[index]

    def __repr__(self) -> str:
        return "\n".join(self.lines)


def load(
    data: Data,
    store: Store,
    catalog: Catalog,
    launcher: LauncherProcess,
    *,
    platform: Platform | None = None,
    on_progress: OnProgress = nobody,
) -> Loaded:
    """Bring all images of an archive, or of a folder with what an archive has, into the store; blocks.

    Of several platforms, that for `platform` or for this machine is taken.

    Raises InvalidArgument and DigestMismatch for an archive that is not what it says, NotFound for what it lacks.
    """
    images: list[Image] = []
    lines: list[str] = []
    with _opened(data, store.paths.tmp) as contents:
        installer = Installer(store, catalog, launcher)
        for archived in read_images(contents, platform):
            former = {name: _id_of(catalog, name) for name in archived.names}
            image = installer.install(
                archived.manifest, archived.config, archived.layers, archived.names, on_progress=_as_loading(on_progress)
            )
            labels = {**image.config.config.labels, "name": image.id}
            store.events.append(Event("image", "load", image.id, image.name, labels, time.time_ns()))
            images.append(image)
            lines += _told(image, archived, former)
    return Loaded(images, lines)


def _opened(data: Data, scratch: Path) -> AbstractContextManager[Contents]:
    if isinstance(data, str | Path) and os.path.isdir(data):
        return open_folder(data)
    return open_contents(data, scratch)


def read_images(contents: Contents, wanted: Platform | None) -> list[Archived]:
    """The images of an archive in whichever form; in both forms, those of the OCI layout if that is whole.

    Raises InvalidArgument, also where the two forms tell of different images, and as load() does.
    """
    if is_layout(contents):
        try:
            found = read_layout(contents, wanted)
        except NotWhole:
            if not is_docker_archive(contents):
                raise
        else:
            if is_docker_archive(contents):
                _agree(found, ids_by_name(contents))
            return found
    if not is_docker_archive(contents):
        if contents.has("repositories"):
            raise Unsupported("the archive is one of Docker before 1.10", "load it into a Docker of today, and save it there")
        raise InvalidArgument(
            "not an image's archive: it has neither index.json nor manifest.json", "use import for the tar of a root file system"
        )
    return read_docker_archive(contents, wanted)


def _agree(found: Sequence[Archived], ids: dict[str, str]) -> None:
    """Who reads the one form and who reads the other must not see different images."""
    for image in found:
        for name in image.names:
            if ids.get(name, image.id) not in image.alternatives and "" not in image.alternatives:
                problem = f"the archive is ambiguous: its index.json and its manifest.json name different images {name}"
                raise InvalidArgument(problem, "do not trust whoever made it")


def _id_of(catalog: Catalog, name: str) -> str:
    image = catalog.find_own(name)
    return "" if image is None else image.id


def _told(image: Image, archived: Archived, former: dict[str, str]) -> list[str]:
    """Docker's lines, which tell of who lost a name, too."""
    lines = []
    for name in archived.names:
        if former[name] not in ("", image.id):
            lines.append(f"The image {name} already exists, renaming the old one with ID {former[name]} to empty string")
        lines.append(f"Loaded image: {parse_reference(name).familiar}")
    return lines or [f"Loaded image ID: {image.id}"]


def _as_loading(on_progress: OnProgress) -> Callable[[LayerProgress], None]:
    """In Docker's words for a load: what is there already is not told of."""

    def tell(progress: LayerProgress) -> None:
        if progress.status in ("Downloading", "Pull complete"):
            on_progress(replace(progress, status="Loading layer"))

    return tell
