"""Where everything of a store is on disk; it must not read or write there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class StorePaths:
    """`root` survives reboots, `run` need not; each place is made out once, since every start asks for most of them."""

    root: Path
    run: Path

    @cached_property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    @cached_property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @cached_property
    def mount_points(self) -> Path:
        return self.root / "mount-points"

    @cached_property
    def containers(self) -> Path:
        return self.root / "containers"

    @cached_property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @cached_property
    def builds(self) -> Path:
        return self.root / "builds"

    @cached_property
    def caches(self) -> Path:
        return self.root / "caches"

    @cached_property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @cached_property
    def database(self) -> Path:
        return self.root / "records.sqlite"

    @cached_property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @cached_property
    def locks(self) -> Path:
        return self.root / "locks"

    @cached_property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @cached_property
    def trash(self) -> Path:
        return self.root / "trash"

    @cached_property
    def directories(self) -> tuple[Path, ...]:
        """All directories of a store, parents first."""
        return (
            self.root, self.root / "blobs", self.blobs, self.snapshots, self.snapshots / "l", self.containers, self.volumes, self.builds,
            self.caches, self.downloads, self.locks, self.tmp, self.trash, self.run,
        )  # fmt: skip

    @cached_property
    def of_strangers(self) -> tuple[Path, ...]:
        """The directories whose folders have nothing to do with each other: containers, volumes, trees that are being made."""
        return self.containers, self.volumes, self.tmp


def default_paths(environment: Mapping[str, str] | None = None, uid: int | None = None) -> StorePaths:
    """Where the state of root or of a user belongs (FHS, XDG base directories), unless LABCONTAINERS_ROOT and LABCONTAINERS_RUN say it.

    Of this process, or of another environment and user id.
    """
    environment = os.environ if environment is None else environment
    uid = os.geteuid() if uid is None else uid
    root, run = environment.get("LABCONTAINERS_ROOT"), environment.get("LABCONTAINERS_RUN")
    if root:
        chosen = Path(root).absolute()
        return StorePaths(chosen, Path(run).absolute() if run else chosen / "run")
    if uid == 0:
        return StorePaths(Path("/var/lib/labcontainers"), Path(run or "/run/labcontainers").absolute())
    data = environment.get("XDG_DATA_HOME", "")
    # "All paths must be absolute; one that is not is to be ignored." (XDG base directory specification)
    home = environment.get("HOME") or os.path.expanduser("~")
    chosen = Path(data if os.path.isabs(data) else f"{home}/.local/share") / "labcontainers"
    if run:
        return StorePaths(chosen, Path(run).absolute())
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    usable = os.path.isabs(runtime) and os.path.isdir(runtime) and os.stat(runtime).st_uid == uid
    return StorePaths(chosen, Path(runtime) / "labcontainers" if usable else chosen / "run")
