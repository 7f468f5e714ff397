"""Where everything of a store is on disk; it must not read or write there."""

from __future__ import annotations

import os
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
    def directories(self) -> tuple[Path, ...]:
        """All directories of a store, parents first."""
        return (
            self.root, self.root / "blobs", self.blobs, self.snapshots, self.snapshots / "l", self.containers, self.builds, self.locks,
            self.tmp, self.trash, self.run,
        )  # fmt: skip


def default_paths() -> StorePaths:
    """From LABCONTAINERS_ROOT and LABCONTAINERS_RUN, else where root's or the user's state belongs (FHS, XDG base directories)."""
    root, run = os.environ.get("LABCONTAINERS_ROOT"), os.environ.get("LABCONTAINERS_RUN")
    if root:
        chosen = Path(root).absolute()
        return StorePaths(chosen, Path(run).absolute() if run else chosen / "run")
    if os.geteuid() == 0:
        return StorePaths(Path("/var/lib/labcontainers"), Path(run or "/run/labcontainers"))
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    chosen = Path(data).absolute() / "labcontainers"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if run:
        return StorePaths(chosen, Path(run).absolute())
    usable = bool(runtime) and os.path.isdir(runtime) and os.stat(runtime).st_uid == os.geteuid()
    return StorePaths(chosen, Path(runtime) / "labcontainers" if usable else chosen / "run")
