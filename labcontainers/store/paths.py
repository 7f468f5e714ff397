"""Where everything of a store is on disk; it must not read or write there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StorePaths:
    """`root` survives reboots, `run` need not."""

    root: Path
    run: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def containers(self) -> Path:
        return self.root / "containers"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def database(self) -> Path:
        return self.root / "records.sqlite"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    @property
    def run_containers(self) -> Path:
        return self.run / "containers"

    @property
    def directories(self) -> tuple[Path, ...]:
        """All directories of a store, parents first."""
        return (
            self.root, self.root / "blobs", self.blobs, self.snapshots, self.snapshots / "l", self.containers, self.builds, self.locks,
            self.tmp, self.trash, self.run, self.run_containers,
        )  # fmt: skip


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
