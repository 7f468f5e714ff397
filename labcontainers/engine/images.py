"""`engine.images`: the catalog's verbs; building is in engine.building.

It must not know how an image shows itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.flags import about
from labcontainers.engine.building import Building, names_of
from labcontainers.engine.registries import LazyRegistries
from labcontainers.engine.transfers import Transfers
from labcontainers.errors import InvalidArgument, LabError
from labcontainers.images.catalog import Catalog
from labcontainers.images.history import History
from labcontainers.images.image import Image
from labcontainers.images.removal import PrunedImages, RemovedImage
from labcontainers.images.selection import Filters, list_filters, select
from labcontainers.images.transfer import OnProgress, is_address, nobody
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.platforms import parse_platform
from labcontainers.oci.reference import new_name
from labcontainers.store.layout import Store, while_making
from labcontainers.store.space import tells_full_disk

if TYPE_CHECKING:
    from labcontainers.images.archive.contents import Data
    from labcontainers.images.archive.loading import Loaded
    from labcontainers.images.archive.saving import Archive
    from labcontainers.images.push import Pushed
    from labcontainers.images.shared.sharing import Shared
    from labcontainers.images.verification import Verification


def _image_names(repository: str | None, tag: str | None) -> tuple[str, ...]:
    """At most one name; raises InvalidReference and InvalidArgument."""
    if not repository:
        if tag:
            raise InvalidArgument(f"import: a tag without a repository: {tag!r}", "name the repository, too")
        return ()
    name = f"{repository}:{tag}" if tag else repository
    new_name(name)
    return (name,)


def _folder(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _platform(text: str | None) -> Platform | None:
    if text is None:
        return None
    with about("--platform"):
        return parse_platform(text)


class Images(Building):
    """All images of the store."""

    def __init__(self, catalog: Catalog, store: Store, lifecycle: Lifecycle, registries: LazyRegistries) -> None:
        super().__init__(catalog, store, lifecycle, Transfers(catalog, store, lifecycle, registries))

    def get(self, name: str) -> Image:
        """By reference, id or the beginning of an id; raises NotFound."""
        return self._catalog.get(name).asked_for(name)

    def find(self, name: str) -> Image | None:
        """By reference, id or the beginning of an id, or None."""
        image = self._catalog.find(name)
        return image.asked_for(name) if image is not None else None

    def list(self, all: bool = False, *, filters: Filters | None = None) -> list[Image]:
        """Tagged images, or with `all` untagged ones too, newest first. Those that `filters` want, as `images --filter` has them, are both.

        Raises InvalidArgument for filters that are none.
        """
        if not filters:
            return self._catalog.list(all)
        return [image for image, _ in select(self._catalog.list(True), list_filters(filters), self.get)]

    def tag(self, name: str, reference: str) -> Image:
        """Give an image one more name."""
        return self._catalog.tag(self._catalog.get(name), reference)

    def remove(self, name: str, force: bool = False, *, no_prune: bool = False) -> RemovedImage:
        """Untag an image, and delete it with what no other image needs; raises Conflict when a container uses it.

        With `no_prune` its layers stay until the next prune, such as for the builds that know them.
        """
        return self._catalog.remove(name, force, no_prune=no_prune)

    def prune(self, filters: Filters | None = None, *, all: bool = False) -> PrunedImages:
        """Delete untagged images, or with `all` every one, that no container uses, and content that nobody needs any more.

        `filters` are Docker's: dangling, label, label!, until. Raises InvalidArgument.
        """
        return self._catalog.prune(filters, all=all)

    def history(self, name: str) -> History:
        """What made an image, oldest first; raises NotFound."""
        return self._catalog.get(name).history

    # --- registries

    def pull(
        self,
        repository: str,
        tag: str | None = None,
        *,
        all_tags: bool = False,
        platform: str | None = None,
        on_progress: OnProgress = nobody,
    ) -> Image | Sequence[Image]:
        """The image that a registry has under this name, or with `all_tags` every one of the repository; blocks.

        Raises InvalidReference, NotFound, Denied (log in first), Unavailable, DigestMismatch; an interrupted pull is gone on with.
        """
        if all_tags:
            return [pulled.image for pulled in self.transfers.pull_all(repository, platform=platform, on_progress=on_progress)]
        name = f"{repository}{'@' if ':' in tag else ':'}{tag}" if tag else repository
        return self.transfers.pull(name, platform=platform, on_progress=on_progress).image

    def push(self, repository: str, tag: str | None = None, *, on_progress: OnProgress = nobody) -> Pushed:
        """Send the image of this name to its registry, which knows it by the digest that is returned; blocks. Raises as pull() does."""
        return self.transfers.push(f"{repository}:{tag}" if tag else repository, on_progress=on_progress)

    def verify(self, name: str) -> Verification:
        """Read everything of an image again and compare it with its digests; falsy when something is wrong."""
        return self.transfers.verify(name)

    # --- archives

    def save(self, names: str | Sequence[str], *, platform: str | None = None) -> Archive:
        """One archive of these images, Docker's and an OCI layout at once: bytes piece by piece, and `write(file)`; close it at the end.

        A name without a tag means all tags, an id none. Raises NotFound, InvalidReference, InvalidArgument.
        """
        from labcontainers.images.archive.saving import Archive, choose_images

        return Archive(choose_images(names_of(names), self._catalog, _platform(platform)), self._store, self._lifecycle.launcher)

    @tells_full_disk(lambda self: self._store.paths.root)
    def load(self, data: Data, *, platform: str | None = None, on_progress: OnProgress | None = None) -> Loaded:
        """The images of an archive (bytes, a path, also of a folder where it is unpacked, an open file, or an iterable of bytes); blocks.

        They have their names then. Of an image for several platforms, that for `platform` or for this machine. Raises InvalidArgument,
        DigestMismatch, NotFound.
        """
        from labcontainers.images.archive.loading import load

        wanted = _platform(platform)
        return load(data, self._store, self._catalog, self._lifecycle.launcher, platform=wanted, on_progress=on_progress or nobody)

    @tells_full_disk(lambda self: self._store.paths.root)
    @while_making(lambda self: self._store)
    def import_image(
        self,
        data: Data,
        repository: str | None = None,
        tag: str | None = None,
        *,
        changes: str | Sequence[str] = (),
        message: str = "",
        platform: str | None = None,
        on_progress: OnProgress = nobody,
    ) -> Image:
        """An image of one layer, with the files of a tar archive (as in load(); also a compressed one), named `repository:tag`; blocks.

        A text that begins with http:// or https:// is an address from which the archive is fetched, which `on_progress` is told of.
        `changes` are Dockerfile instructions for its config. Raises InvalidArgument, InvalidReference, and for an address Denied,
        NotFound, Unavailable.
        """
        from labcontainers.images.archive.importing import import_image

        names = _image_names(repository, tag)
        wanted = _platform(platform)
        lifecycle = self._lifecycle
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(self.transfers.download(data, on_progress)) if is_address(data) else None
            return import_image(
                source or data, self._store, self._catalog, lifecycle.launcher, lifecycle.change_config,
                names=names, changes=names_of(changes), platform=wanted,
                message=message or (f"Imported from {source.address}" if source else ""),
            )  # fmt: skip

    # --- shared stores

    def problems(self) -> Sequence[LabError]:
        """What is wrong with the shared image stores that are to be read (`image_stores`); empty when nothing is."""
        return self._catalog.problems()

    def share(self, names: str | Sequence[str], store: str | Path, *, users: str | Sequence[str] = ()) -> Shared:
        """Put images into the shared image store at this path, made if it is not there, for all who read it (`image_stores`); blocks.

        A name without a tag means all its tags. To `users`, who need subordinate ids, root shows the store with their own ids until the
        machine ends, so that they need no copy of anything in it. Raises NotFound, Denied, Conflict, InvalidArgument, Unsupported.
        """
        from labcontainers.images.shared.sharing import share

        return share(names_of(names), _folder(store), self._store, self._catalog, self._lifecycle.launcher, names_of(users))

    def unshare(self, names: str | Sequence[str], store: str | Path, *, prune: bool = False, users: str | Sequence[str] = ()) -> Shared:
        """Take names out of a shared image store; by digest or id, images with all their names. Raises NotFound, Denied, Conflict.

        What they need stays for those who use it. With `prune` all goes that no image of the store needs, also under their feet. To `users`
        the store is shown no more with their ids.
        """
        from labcontainers.images.shared.sharing import unshare

        return unshare(names_of(names), _folder(store), self._lifecycle.launcher, prune=prune, users=names_of(users))

    # --- packages

    @tells_full_disk(lambda self: self._store.paths.root)
    @while_making(lambda self: self._store)
    def bootstrap(self, distribution: str, **options: Any) -> Image:
        """An image of a distribution's packages, such as debian:bookworm, from a package mirror; blocks.

        Options are those of engine.bootstrapping.bootstrap(): packages, variant, mirror, keyring, verify, configure, architecture, lock,
        tag, on_line. Raises InvalidArgument, NotFound, Conflict, Unsupported, Unavailable, Denied, DigestMismatch, StepFailed.
        """
        from labcontainers.engine.bootstrapping import bootstrap

        return bootstrap(self._store, self._catalog, self._lifecycle, distribution, **options)
