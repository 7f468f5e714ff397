"""`Engine`: everything a program needs, made lazily, closed together.

It must not know who calls. Blocks; thread-safe; never forks this process.
"""

from __future__ import annotations

import os
import platform
import threading
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from labcontainers.containers.collection import Containers
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.spare_groups import SpareGroups
from labcontainers.containers.state import shim_alive
from labcontainers.engine.events import Events
from labcontainers.engine.images import Images
from labcontainers.engine.version import Version
from labcontainers.engine.workers import Workers
from labcontainers.images.catalog import Catalog
from labcontainers.kernel import cgroups, seccomp
from labcontainers.kernel.netlink import Netlink
from labcontainers.kernel.probe import Report, probe
from labcontainers.networks.network import Networks
from labcontainers.runtime.process import LauncherProcess
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths, default_paths
from labcontainers.version import __version__


class Engine:
    """A container engine in this process, over the store at `root`; run-time state is at `run_root`.

    Several engines, in one or in many processes, may use one store at the same time. Use it as a context manager or close it.
    """

    def __init__(self, root: Path | str | None = None, run_root: Path | str | None = None) -> None:
        paths = default_paths()
        chosen = Path(root).absolute() if root is not None else paths.root
        run = Path(run_root).absolute() if run_root is not None else (chosen / "run" if root is not None else paths.run)
        self.paths = StorePaths(root=chosen, run=run)
        self._workers = Workers()
        self._lock = threading.RLock()
        self._launcher = LauncherProcess(run)
        self.store = Store.open(self.paths, self._launcher)
        self._filters: dict[frozenset[str], bytes] = {}
        self._closed = False

    def warm_up(self) -> None:
        """Start the launcher in the background, so that the first container need not wait for it."""
        self._workers.start("warm-up", self._warm_up)

    def _warm_up(self) -> None:
        self._launcher.start()
        self._spare_groups.sweep()
        self._spare_groups.refill()

    # --- collections

    @cached_property
    def containers(self) -> Containers:
        """Run, create, find and list containers."""
        return Containers(self._lifecycle)

    @cached_property
    def images(self) -> Images:
        """Build, find, tag and remove images."""
        return Images(self._catalog, self.store, self._lifecycle)

    @cached_property
    def networks(self) -> Networks:
        """The networks that containers may join."""
        return Networks(self.store.records, self._netlink, self._bridge_socket, self._uses_network)

    @cached_property
    def events(self) -> Events:
        """What happens in the store, by whichever process."""
        return Events(self.store.events, lambda: self._closed)

    # --- the rooms below

    @cached_property
    def _catalog(self) -> Catalog:
        return Catalog(self.store, in_use=self._containers_of_image)

    @cached_property
    def _netlink(self) -> Netlink:
        return Netlink()

    @cached_property
    def _hierarchy(self) -> cgroups.Hierarchy:
        return cgroups.detect()

    @cached_property
    def _lifecycle(self) -> Lifecycle:
        made = Lifecycle(
            self.store, self._catalog, self.networks, self._launcher, lambda: self._hierarchy, self._spare_groups, self._filter_for
        )
        made.adopt()
        return made

    @cached_property
    def _spare_groups(self) -> SpareGroups:
        return SpareGroups(lambda: self._hierarchy, self._launcher, self._workers.start)

    def _filter_for(self, names: frozenset[str]) -> bytes:
        """The compiled default seccomp profile for these capabilities, kept in memory and on disk."""
        with self._lock:
            if names not in self._filters:
                self._filters[names] = seccomp.default_filter(names, self.paths.root / "seccomp")
            return self._filters[names]

    def _bridge_socket(self) -> int | None:
        return self._launcher.bridge_socket() if self._launcher.rootless else None

    def _uses_network(self, container_id: str) -> bool:
        """Whether the owner of an address may still need it; build steps, which have no record, give theirs back themselves."""
        directory = self.paths.containers / container_id
        return not directory.is_dir() or shim_alive(directory) or self.store.records.find_container(container_id) is None

    def _containers_of_image(self, image_id: str) -> list[str]:
        return [record.row.name for record in self._lifecycle.list() if record.row.image_id == image_id]

    # --- about itself

    def version(self) -> Version:
        """Versions of this engine, the interpreter and the kernel."""
        return Version(__version__, platform.python_version(), os.uname().release, os.uname().machine)

    def info(self) -> dict[str, Any]:
        """Where things are and what this host gives, as `docker info` tells it."""
        containers = self.containers.list(all=True)
        running = sum(container.status == "running" for container in containers)
        return {
            "Containers": len(containers),
            "ContainersRunning": running,
            "ContainersStopped": len(containers) - running,
            "Images": len(self.images.list()),
            "Driver": "overlay2",
            "CgroupDriver": "cgroupfs" if self._hierarchy.mode != "none" else "none",
            "CgroupVersion": {"v2": "2", "hybrid": "1", "v1": "1"}.get(self._hierarchy.mode, ""),
            "KernelVersion": os.uname().release,
            "Architecture": os.uname().machine,
            "NCPU": os.cpu_count(),
            "Rootless": self._launcher.rootless,
            "IDs": self._launcher.start(),
            "DockerRootDir": str(self.paths.root),
            "ServerVersion": __version__,
        }

    def doctor(self) -> Report:
        """Try everything that containers need on this host; what fails comes with its reason and fix."""
        return probe(self.paths.root)

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
        self._spare_groups.close()
        self._workers.close()
        if "_netlink" in self.__dict__:
            self._netlink.close()
        self._launcher.close()
        self.store.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Engine {__version__} at {self.paths.root}>"
