"""An image of a distribution from its packages: sources, index, choice, layers, config. It must not know who asks, nor how a step runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.debs import frame, index, sources, verify
from labcontainers.images.debs.configure import Runner, configure
from labcontainers.images.debs.fetching import Fetcher
from labcontainers.images.debs.layers import PackageLayers, group
from labcontainers.images.debs.lock import Lock, LockedPackage, read_lock, write_lock
from labcontainers.images.debs.resolve import VARIANTS, Resolver, variant_names
from labcontainers.images.rootfs_tree import RootTree
from labcontainers.oci.descriptor import Platform, host_platform
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.store.snapshots import Layer

if TYPE_CHECKING:
    from labcontainers.images.catalog import Catalog
    from labcontainers.images.image import Image
    from labcontainers.runtime.process import LauncherProcess
    from labcontainers.store.layout import Store

ARCHITECTURES = ("amd64", "arm64")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HISTORY_WORDS = 1000
_EPOCH_DIGITS = 11


def _nothing(line: str) -> None:
    """For who does not listen."""


@dataclass(frozen=True, slots=True)
class BootstrapRequest:
    """What is wanted. `root` is where the host's apt configuration is; `lock` a file that is read if it is there, and else written."""

    distribution: str
    packages: tuple[str, ...] = ()
    variant: str = "minbase"
    mirrors: tuple[str, ...] = ()
    keyring: str | None = None
    verifies: bool = True
    architecture: str = field(default_factory=lambda: host_platform().architecture)
    lock: Path | None = None
    tags: tuple[str, ...] = ()
    root: Path = Path("/")


class Bootstrap:
    """Makes images of packages in a store."""

    def __init__(self, store: Store, catalog: Catalog, launcher: LauncherProcess, tell: Callable[[str], None] = _nothing) -> None:
        """`tell` gets a line for each thing that is done, in any thread."""
        self._store = store
        self._catalog = catalog
        self._launcher = launcher
        self._tell = tell

    def make(self, request: BootstrapRequest, runner: Runner | None = None) -> Image:
        """The image; blocks. With a runner, the maintainer scripts run in it at the end.

        Raises InvalidArgument, NotFound, Conflict, Unsupported, Unavailable, Denied, DigestMismatch, StepFailed.
        """
        _check(request, runner)
        fetcher = Fetcher(self._store.paths.root / "debs", sources.apt_settings(request.root))
        try:
            lock = self._lock(request, fetcher)
            image = self._make(lock, request, fetcher, runner)
            if request.lock is not None and not request.lock.exists():
                write_lock(request.lock, lock)
            fetcher.sweep()
            return image
        finally:
            fetcher.close()

    def _lock(self, request: BootstrapRequest, fetcher: Fetcher) -> Lock:
        locked = read_lock(request.lock) if request.lock is not None else None
        if locked is not None:
            locked.check(request.distribution, request.architecture, request.variant, request.packages, str(request.lock))
            return locked
        wanted = sources.parse_distribution(request.distribution)
        found = sources.find_sources(wanted, request.mirrors, request.keyring, request.root)
        if request.verifies and verify.find_verifier() is None:
            raise Unsupported("bootstrap: neither gpgv nor sqv is there to verify the mirror", "apt install gpgv, or say --no-verify")
        keys = sources.shared_keyrings(request.root)
        packages = index.load(found, request.architecture, fetcher, shared_keys=keys, verifies=request.verifies, tell=self._tell)
        resolver = Resolver(packages, request.architecture)
        base = [LockedPackage.of(package, base=True) for package in resolver.add(variant_names(packages, request.variant))]
        more = [LockedPackage.of(package, base=False) for package in resolver.add(request.packages)]
        resolver.check()
        self._tell(f"{len(base) + len(more)} packages, {sum(package.size for package in (*base, *more)) / 1e6:.1f} MB")
        return Lock(request.distribution, request.architecture, request.variant, request.packages, (*base, *more))

    def _make(self, lock: Lock, request: BootstrapRequest, fetcher: Fetcher, runner: Runner | None) -> Image:
        skeleton = frame.commit(self._store, (), lambda tree: frame.add_skeleton(tree, lock.architecture))
        groups = group(lock.packages)
        merged = [len(packages) for packages in groups if len(packages) > 1]
        if merged:
            self._tell(f"{' and '.join(map(str, merged))} packages share a layer: overlay has room for some dozens of layers only")
        made = PackageLayers(self._store, self._launcher, fetcher).make(groups, [skeleton.diff_id], self._tell)
        layers = [skeleton, *(one.layer for one in made)]
        diff_ids = [layer.diff_id for layer in layers]
        records = [record for one in made for record in one.records]

        def add_records(tree: RootTree) -> None:
            read = frame.layer_file(self._store, diff_ids)

            def has(path: str) -> bool:
                return frame.has_path(self._store, diff_ids, path)

            frame.add_records(tree, records, lock.architecture, read, has)
            if any(package.name == "apt" for package in lock.packages):
                frame.add_sources(tree, sources.parse_distribution(lock.distribution), lock.architecture, has)

        layers.append(frame.commit(self._store, diff_ids, add_records))
        newest_s = max(0, max((one.newest_ns for one in made), default=0)) // 10**9
        created = _date(newest_s)
        history = [
            HistoryEntry(created, f"labcontainers bootstrap {lock.distribution}: directories and links"),
            *(HistoryEntry(created, _title(packages)) for packages in groups),
            HistoryEntry(created, "labcontainers bootstrap: records of packages, users and groups"),
        ]
        if runner is not None:
            names = [record.name for record in records]
            epoch_s = _source_date_epoch(newest_s)
            layers.append(configure(self._store, layers, names, runner, self._launcher, epoch_s))
            history.append(HistoryEntry(_date(epoch_s), "labcontainers bootstrap: maintainer scripts"))
        return self._catalog.put(_config(lock, layers, history), layers, request.tags or (lock.distribution,))


def _check(request: BootstrapRequest, runner: Runner | None) -> None:
    sources.parse_distribution(request.distribution)
    if request.architecture not in ARCHITECTURES:
        raise Unsupported(f"bootstrap: packages for {request.architecture} are not supported", f"use {' or '.join(ARCHITECTURES)}")
    if request.variant not in VARIANTS:
        raise InvalidArgument(f"--variant: unknown variant {request.variant!r}", f"variants are {', '.join(VARIANTS)}")
    if runner is not None and request.architecture != host_platform().architecture:
        raise Unsupported(f"--configure: this machine does not run programs for {request.architecture}", "leave --configure out")
    if runner is not None:
        _source_date_epoch(0)


def _config(lock: Lock, layers: Sequence[Layer], history: Sequence[HistoryEntry]) -> ImageConfig:
    shell = "bash" if any(package.name == "bash" for package in lock.packages) else "sh"
    process = ProcessConfig(env=(_PATH,), cmd=(shell,))
    platform = Platform("linux", lock.architecture, "v8" if lock.architecture == "arm64" else "")
    diff_ids = tuple(layer.diff_id for layer in layers)
    return ImageConfig(platform.architecture, platform.os, process, diff_ids, tuple(history), history[-1].created)


def _title(packages: Sequence[LockedPackage]) -> str:
    text = ", ".join(package.title for package in packages)
    return f"deb {text}" if len(text) <= _HISTORY_WORDS else f"deb {text[:_HISTORY_WORDS]}… ({len(packages)} packages)"


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _source_date_epoch(otherwise_s: int) -> int:
    """The time of what maintainer scripts make: SOURCE_DATE_EPOCH of the environment; raises InvalidArgument when it is none.

    Else that of the newest file in any package, which is the same everywhere.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH") or str(otherwise_s)
    if not (text.isascii() and text.isdigit() and len(text) <= _EPOCH_DIGITS):
        raise InvalidArgument(f"SOURCE_DATE_EPOCH is no number of seconds: {text!r}", "give the seconds since 1970")
    return int(text)
