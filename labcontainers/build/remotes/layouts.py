"""Images in OCI layouts that a build is given as contexts: brought into the store without a name; it must not know Dockerfiles."""

from __future__ import annotations

from labcontainers.build.remotes.named import LayoutContext
from labcontainers.errors import Unsupported
from labcontainers.images.archive.folder import open_folder
from labcontainers.images.archive.layout import read_one
from labcontainers.images.catalog import Catalog
from labcontainers.images.install import Installer
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store


def load_layout(context: LayoutContext, store: Store, catalog: Catalog, launcher: LauncherProcess | None) -> str:
    """The id of the image, which is in the store then. Raises NotFound, InvalidArgument, DigestMismatch."""
    if launcher is None:
        raise Unsupported(f"{context.shown}: no image is unpacked by this builder", "use an Engine")
    with open_folder(context.path) as contents:
        found = read_one(contents, tag=context.tag, digest=context.digest)
        if catalog.find_own(found.id) is None:
            Installer(store, catalog, launcher).install(found.manifest, found.config, found.layers, [])
    return found.id
