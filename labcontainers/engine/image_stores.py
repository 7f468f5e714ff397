"""Which shared image stores are read, and what `doctor` tells of them; it must not know how they are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainers.errors import LabError
from labcontainers.images.catalog import Catalog
from labcontainers.kernel.probe import Check
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store

if TYPE_CHECKING:
    from labcontainers.images.shared.borrowing import SharedImages


class ImageStores:
    """The shared image stores of an engine, those of the first one first."""

    def __init__(self, said: Sequence[Path | str] | None) -> None:
        """Those that were said, else those of LABCONTAINERS_IMAGE_STORES, separated by `:` as in PATH."""
        parts = (os.environ.get("LABCONTAINERS_IMAGE_STORES") or "").split(":") if said is None else said
        self.paths = tuple(Path(part).expanduser().absolute() for part in parts if part)
        self._images: SharedImages | None = None
        self._launcher: LauncherProcess | None = None

    def give_to(self, catalog: Catalog, store: Store, launcher: LauncherProcess) -> None:
        """Let the catalog know their images; nothing is read now, nor imported where there are none."""
        if self.paths:
            from labcontainers.images.shared.borrowing import SharedImages

            self._launcher = launcher
            catalog.shared = self._images = SharedImages(self.paths, store, catalog, launcher)

    def checks(self) -> list[Check]:
        """One for each: whether it can be used, and whether its trees are read where they are or their layers unpacked."""
        if self._images is None or self._launcher is None:
            return []
        return [_check(self._images, place, self._launcher) for place in self.paths]


def _check(images: SharedImages, place: Path, launcher: LauncherProcess) -> Check:
    name = f"image store {place}"
    store = next(store for store in images.stores if store.path == place)
    try:
        count, ids = len(store.images()), store.ids
        own = ids == images.ids
        here = own or store.trees(images.ids) is not None
    except LabError as error:
        return Check(name, False, reason=error.message, fix=error.hint)
    if here:
        told = f"images: {count}, read where they are{'' if own else ', shown with your ids'}"
        if launcher.rootless:
            return Check(name, True, told)
        barred = launcher.call("labcontainers.kernel.idmapped:can_show", source=str(place))
        return Check(name, True, f"{told}; {barred or 'can be shown to users with their own ids'}")
    detail = f"images: {count}, unpacked from its bytes into your own store, since it has {ids} and you have {images.ids}"
    if ids.kind == "host" and images.ids.kind == "subordinate":
        detail += "; root can show it with your ids"
        return Check(name, None, detail, fix=f"sudo labcontainers image share --store {place} --for-user {os.getuid()}")
    return Check(name, None, detail)
