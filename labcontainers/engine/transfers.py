"""Pull, push and verify, with the registries of this user; and what is pulled because it is not there.

It must not know who shows progress.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.engine.registries import LazyRegistries
from labcontainers.errors import Denied, InvalidArgument, InvalidReference, NotFound, Unavailable
from labcontainers.images import bases, host_root
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.images.transfer import LayerProgress, OnProgress, nobody
from labcontainers.oci.platforms import parse_platform
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.store.layout import Store
from labcontainers.store.space import tells_full_disk

if TYPE_CHECKING:
    from labcontainers.images.attestations import Attach
    from labcontainers.images.manifest_lists import ManifestLists
    from labcontainers.images.pull import Pulled, Puller
    from labcontainers.images.push import Pushed, Pusher
    from labcontainers.images.verification import Verification
    from labcontainers.registry.client import Registry
    from labcontainers.registry.download import Download

POLICIES = ("missing", "never", "always")


def default_policy() -> str:
    """Whether images that are missing are pulled: LABCONTAINERS_PULL, else "missing"; raises InvalidArgument."""
    said = os.environ.get("LABCONTAINERS_PULL") or "missing"
    if said not in POLICIES:
        raise InvalidArgument(f"LABCONTAINERS_PULL: invalid value {said!r}", f"use {', '.join(POLICIES)}")
    return said


class Transfers:
    """Between the store and registries. Thread-safe."""

    def __init__(self, catalog: Catalog, store: Store, lifecycle: Lifecycle, registries: LazyRegistries) -> None:
        self._catalog = catalog
        self._store = store
        self._launcher = lifecycle.launcher
        self._registries = registries

    def connect(self, reference: Reference) -> Registry:
        """The client of the registry that a name tells."""
        return self._registries.get().connect(reference)

    def _puller(self) -> Puller:
        from labcontainers.images.pull import Puller
        from labcontainers.registry.names import candidates

        search = self._registries.get().settings.search
        return Puller(self._store, self._catalog, self._launcher, self.connect, lambda name: candidates(name, search))

    def _pusher(self) -> Pusher:
        from labcontainers.images.push import Pusher

        return Pusher(self._store, self._catalog, self._launcher, self.connect)

    @tells_full_disk(lambda self: self._store.paths.root)
    def pull(self, name: str, *, platform: str | None = None, on_progress: OnProgress = nobody) -> Pulled:
        """The image that a registry has under `name`; raises as images.pull.Puller.pull() does."""
        wanted = None if platform is None else parse_platform(platform)
        return self._puller().pull(name, platform=wanted, on_progress=on_progress)

    @tells_full_disk(lambda self: self._store.paths.root)
    def pull_all(self, name: str, *, platform: str | None = None, on_progress: OnProgress = nobody) -> list[Pulled]:
        """Every tag of a repository."""
        wanted = None if platform is None else parse_platform(platform)
        return self._puller().pull_all(name, platform=wanted, on_progress=on_progress)

    @tells_full_disk(lambda self: self._store.paths.root)
    def push(self, name: str, *, on_progress: OnProgress = nobody, attach: Attach | None = None) -> Pushed:
        """Send an image to the registry that its name tells, with what `attach` makes; raises as images.push.Pusher.push() does."""
        return self._pusher().push(name, on_progress=on_progress, attach=attach)

    @tells_full_disk(lambda self: self._store.paths.root)
    def push_all(self, name: str, *, on_progress: OnProgress = nobody) -> list[Pushed]:
        """Every tag that the store has of a repository."""
        return self._pusher().push_all(name, on_progress=on_progress)

    def manifest_lists(self) -> ManifestLists:
        """Lists of manifests for several platforms, that are put together here."""
        from labcontainers.images.manifest_lists import ManifestLists

        return ManifestLists(self._store.paths.root / "manifest-lists", self.connect)

    def download(self, url: str, on_progress: OnProgress = nobody) -> Download:
        """The file at an address, read as it comes; raises Denied, NotFound, Unavailable, InvalidArgument."""

        def on_bytes(current: int, total: int | None) -> None:
            on_progress(LayerProgress("", "Importing", current, -1 if total is None else total))

        return self._registries.get().download(url, on_bytes)

    def fetch_file(self, url: str, *, conditions: Mapping[str, str], authorization: str) -> Download:
        """As download(), for a file that may be unchanged; `conditions` are headers by which the server can tell."""
        return self._registries.get().download(url, conditions=conditions, authorization=authorization)

    def verify(self, name: str) -> Verification:
        """Whether an image is what all its digests say."""
        from labcontainers.images.verification import verify

        return verify(self._catalog.get(name), self._store, self._launcher)

    def renew(self, name: str, *, platform: str | None = None, on_progress: OnProgress = nobody) -> Image | None:
        """The image that a registry has under this name now, whatever the store has and the policy says.

        None for one that is asked of nobody: made here (lab/base), this machine's root, an id, or a digest that is in the store.
        Raises NotFound, telling why it cannot be had.
        """
        try:
            reference = parse_reference(name)
        except InvalidReference:
            return None
        if name.startswith("sha256:") or reference.canonical in bases.NAMES or host_root.is_name(name):
            return None
        here = self._catalog.find(name)
        if here is not None and (reference.digest or here.id.removeprefix("sha256:").startswith(name)):
            return None
        try:
            return self.pull(name, platform=platform, on_progress=on_progress).image
        except (NotFound, Denied, Unavailable) as error:
            hint = "leave --pull out to build on the one in the store" if here is not None else error.hint
            raise NotFound(f"--pull: {name} cannot be had anew: {error.message}", hint) from None

    def fetch(self, name: str, *, policy: str | None = None, platform: str | None = None, on_progress: OnProgress = nobody) -> Image | None:
        """An image that is not there, if missing ones are pulled, else None; raises NotFound, telling why it could not be had.

        `policy` is that of whoever asks, in place of the default.
        """
        if (policy or default_policy()) == "never":
            return None
        try:
            parse_reference(name)
        except InvalidReference:
            return None
        try:
            return self.pull(name, platform=platform, on_progress=on_progress).image
        except (NotFound, Denied, Unavailable) as error:
            raise NotFound(f"no such image: {name}, and it cannot be pulled: {error.message}", error.hint) from None
