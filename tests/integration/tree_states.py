"""What the layer of a build's last step holds, for tests to compare."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.store.tar_writer import attributes_of


@dataclass(frozen=True, slots=True)
class Tree:
    """One file of it; `opaque` says that it hides what lower layers have there."""

    mode: int
    mtime_s: int
    opaque: bool


def state_of_top(engine: Engine, build: Build) -> dict[str, Tree]:
    """Each file of the last layer by its path."""
    top = Path(os.path.realpath(engine.store.snapshots.lower_paths(build.image.diff_ids)[0]))
    found = {}
    for path in sorted(top.rglob("*")):
        state = path.lstat()
        opaque = path.is_dir() and attributes_of(os.fsencode(path), b"").opaque
        found[str(path.relative_to(top))] = Tree(state.st_mode, int(state.st_mtime), opaque)
    return found
