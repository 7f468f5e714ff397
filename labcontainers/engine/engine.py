"""`Engine`: everything a program needs, made lazily, closed together.

It must not know who calls. Blocks; thread-safe; never forks this process.
"""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from labcontainers.build.config_changes import apply_changes
from labcontainers.containers import looking
from labcontainers.containers.collection import Containers
from labcontainers.containers.isolation.sharing import current_map
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.recovery import Recovery
from labcontainers.containers.sessions.kept import Sessions
from labcontainers.containers.spare_groups import SpareGroups
from labcontainers.containers.state import shim_alive
from labcontainers.containers.upkeep import upkeep
from labcontainers.engine.events import Events
from labcontainers.engine.image_stores import ImageStores
from labcontainers.engine.images import Images
from labcontainers.engine.registries import LazyRegistries
from labcontainers.engine.version import Version
from labcontainers.engine.workers import Workers
from labcontainers.errors import Unavailable
from labcontainers.images.catalog import Catalog
from labcontainers.kernel import block_counts, cgroup_devices, cgroups, levels, seccomp
from labcontainers.kernel.netlink import Netlink
from labcontainers.kernel.probe import Report, probe
from labcontainers.kernel.seccomp_fake_root import FAKE_ROOT, fake_root
from labcontainers.networks.network import Networks
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths, default_paths
from labcontainers.version import __version__
from labcontainers.volumes.volumes import Volumes

if TYPE_CHECKING:
    from labcontainers.containers.container import Container
    from labcontainers.containers.isolation.comparison import Comparison
    from labcontainers.containers.isolation.namespace_map import NamespaceMap
    from labcontainers.engine.dashboard.dashboard import Dashboard
    from labcontainers.engine.space import DiskUsage, PrunedSystem, Space


class Engine:
    """A container engine in this process, over the store at `root`; run-time state is at `run_root`.

    Several engines, in one or in many processes, may use one store at the same time. Use it as a context manager or close it.
    `image_stores` are folders of shared images that are only read, those of LABCONTAINERS_IMAGE_STORES unless they are said.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        run_root: Path | str | None = None,
        *,
        image_stores: Sequence[Path | str] | None = None,
    ) -> None:
        paths = default_paths()
        chosen = Path(root).absolute() if root is not None else paths.root
        run = Path(run_root).absolute() if run_root is not None else (chosen / "run" if root is not None else paths.run)
        self.paths = StorePaths(root=chosen, run=run)
        self._workers = Workers()
        self._lock = threading.RLock()
        self._launcher = LauncherProcess(run)
        self.store = Store.open(self.paths, self._launcher)
        self._image_stores = ImageStores(image_stores)
        self._filters: dict[tuple[frozenset[str], str], bytes] = {}
        self._closed = False
        self._dashboard: Dashboard | None = None

    def warm_up(self) -> None:
        """Start the launcher in the background, so that the first container need not wait for it."""
        self._workers.start("warm-up", self._warm_up)

    def _warm_up(self) -> None:
        self._launcher.start()
        self._spare_groups.refill()
        # So that what was to be restarted with the machine is.
        self._lifecycle  # noqa: B018  # it is made by being asked for

    # --- collections

    @cached_property
    def containers(self) -> Containers:
        """Run, create, find and list containers."""
        return Containers(self._lifecycle)

    @cached_property
    def images(self) -> Images:
        """Build, find, tag and remove images."""
        return Images(self._catalog, self.store, self._lifecycle, self.registries)

    @cached_property
    def networks(self) -> Networks:
        """The networks that containers may join."""
        return Networks(self.store.records, self._netlink, self._bridge_socket, self._uses_network)

    @cached_property
    def volumes(self) -> Volumes:
        """Create, find, list and remove volumes."""
        return self._lifecycle.volumes

    @cached_property
    def events(self) -> Events:
        """What happens in the store, by whichever process."""
        return Events(self.store.events, lambda: self._closed)

    @cached_property
    def registries(self) -> LazyRegistries:
        """Who this user is to registries, and the clients that speak to them."""
        return LazyRegistries()

    # --- the rooms below

    @cached_property
    def _catalog(self) -> Catalog:
        made = Catalog(self.store, self._containers_of_image, self._running_containers_of_image)
        self._image_stores.give_to(made, self.store, self._launcher)
        return made

    @cached_property
    def _netlink(self) -> Netlink:
        return Netlink()

    @cached_property
    def _hierarchy(self) -> cgroups.Hierarchy:
        found = cgroups.detect()
        if "blkio" in found.v1:
            block_counts.start(found.v1["blkio"])
        return found

    @cached_property
    def _lifecycle(self) -> Lifecycle:
        made = Lifecycle(
            self.store,
            self._catalog,
            self.networks,
            self._launcher,
            lambda: self._hierarchy,
            self._spare_groups,
            self._filter_for,
            apply_changes,
        )
        recovery = Recovery(made, self._workers.start)
        made.on_unattended = recovery.look_at
        self._catalog.fetch = lambda name, on_progress: self.images.transfers.fetch(name, on_progress=on_progress)
        made.upkeep = lambda record: upkeep(made, record)
        made.sessions = Sessions(made)
        recovery.adopt()
        self._spare_groups.sweep()
        return made

    @cached_property
    def _spare_groups(self) -> SpareGroups:
        return SpareGroups(lambda: self._hierarchy, self._launcher, self._workers.start)

    def _filter_for(self, names: frozenset[str], profile: str = "") -> bytes:
        """The compiled seccomp profile (JSON, FAKE_ROOT, or the default one) for these capabilities, kept in memory and on disk."""
        with self._lock:
            if (names, profile) not in self._filters:
                chosen = seccomp.default_profile()
                if profile:
                    chosen = fake_root(chosen) if profile == FAKE_ROOT else seccomp.parse_profile(json.loads(profile))
                self._filters[names, profile] = seccomp.cached_filter(chosen, names, self.paths.root / "seccomp")
            return self._filters[names, profile]

    def _bridge_socket(self) -> int | None:
        return self._launcher.bridge_socket() if self._launcher.rootless else None

    def _uses_network(self, container_id: str) -> bool:
        """Whether the owner of an address may still need it; build steps, which have no record, give theirs back themselves."""
        directory = self.paths.containers / container_id
        return not directory.is_dir() or shim_alive(directory) or self.store.records.find_container(container_id) is None

    def _containers_of_image(self, image_id: str) -> list[str]:
        return [record.row.name for record in self._lifecycle.list() if image_id in record.image_ids]

    def _running_containers_of_image(self, image_id: str) -> list[str]:
        records = [record for record in self._lifecycle.list() if image_id in record.image_ids]
        return [record.row.name for record in records if self._lifecycle.state(record).running]

    # --- about itself

    def version(self) -> Version:
        """Versions of this engine, the interpreter and the kernel."""
        return Version(__version__, platform.python_version(), os.uname().release, os.uname().machine)

    def info(self) -> dict[str, Any]:
        """Where things are and what this host gives, as `docker info` tells it."""
        containers = self.containers.list(all=True)
        running, paused = (sum(container.status == status for container in containers) for status in ("running", "paused"))
        host = os.uname()
        level = self.containers.level
        return {
            "Containers": len(containers),
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": len(containers) - running - paused,
            "Images": len(self.images.list()),
            "Driver": "overlay2",
            "CgroupDriver": "cgroupfs" if self._hierarchy.mode != "none" else "none",
            "CgroupVersion": {"v2": "2", "hybrid": "1", "v1": "1"}.get(self._hierarchy.mode, ""),
            "LoggingDriver": "local",
            "KernelVersion": host.release,
            "OSType": "linux",
            "Architecture": host.machine,
            "NCPU": os.cpu_count(),
            "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "Name": host.nodename,
            "Rootless": self._launcher.rootless,
            "IDs": "none" if level == levels.NO_NAMESPACES else self._launcher.start(),
            "Level": level,
            "DockerRootDir": str(self.paths.root),
            **({"ImageStores": [str(path) for path in self._image_stores.paths]} if self._image_stores.paths else {}),
            "ServerVersion": __version__,
        }

    @property
    def _space(self) -> Space:
        from labcontainers.engine.space import Space

        return Space(self.store, self._catalog, self.images, self.containers, self.volumes)

    def disk_usage(self) -> DiskUsage:
        """What images, containers, volumes and the build cache take on disk; blocks while files are counted."""
        return self._space.usage()

    def prune(self, filters: Mapping[str, Any] | None = None, *, all: bool = False, volumes: bool = False) -> PrunedSystem:
        """Remove ended containers, unused images (with `all` named ones, too), what builds remember, with `volumes` anonymous volumes.

        `filters` are Docker's: until, label, label!. Raises InvalidArgument.
        """
        return self._space.prune(filters, all=all, volumes=volumes)

    def dashboard(self) -> Dashboard:
        """All containers at a glance, with an hour of history from the first call on: the same one until it or the engine is closed.

        Raises Unavailable once the engine is closed.
        """
        from labcontainers.engine.dashboard.dashboard import Dashboard

        with self._lock:
            if self._closed:
                raise Unavailable("the engine is closed", "make another one")
            if self._dashboard is None or self._dashboard.recorder.closed:
                self._dashboard = Dashboard(self)
            return self._dashboard

    def doctor(self) -> Report:
        """Try everything that containers need on this host; what fails comes with its reason and fix."""
        report = probe(self.paths.root)
        self._catalog  # noqa: B018  # with it the image stores are known
        return replace(report, checks=(*report.checks, *self._image_stores.checks())) if self._image_stores.paths and report.ok else report

    def compare(self, first: Container | str, second: Container | str) -> Comparison:
        """Two running containers side by side, or one and "host", which is this process: namespaces, ids, capabilities, filters, mounts.

        Raises NotFound, and Conflict for a container that does not run.
        """
        return looking.compare(first, second, self.containers.get)

    def namespace_map(self) -> NamespaceMap:
        """Which containers and processes share which namespaces with each other and with this process."""
        return current_map(self._lifecycle)

    def verify(self) -> list[str]:
        """What is wrong with the store; empty when nothing is."""
        return [*self.store.verify(), *self._catalog.verify()]

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def close(self) -> None:
        """End the launcher, the threads and the database connections. Detached containers go on. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._dashboard is not None:
            self._dashboard.close()
        if "_lifecycle" in self.__dict__:
            self._lifecycle.sessions.close()
            for end in list(self._lifecycle.half_made.values()):
                end()
        self._spare_groups.close()
        self._workers.close()
        if "registries" in self.__dict__:
            self.registries.close()
        if "_netlink" in self.__dict__:
            self._netlink.close()
        self._launcher.close()
        if "_hierarchy" in self.__dict__:
            self._hierarchy.tidy()
            cgroup_devices.tidy()
        self.store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Engine {__version__} at {self.paths.root}>"
