"""`diff`: what a container has changed, as Docker tells it; it must not know how that is found out."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from io import BufferedReader
from typing import Any

from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.state import read_start
from labcontainers.containers.trees import trees_of
from labcontainers.images.tree_stream import worker_stream

_LETTERS = "CAD"
# Operations of a plan that make what they mount on where it is missing.
_MOUNTING = ("mount", "bind", "tmpfs")


class Changes(list[dict[str, Any]]):
    """docker-py's list of {"Path", "Kind"} (0 modified, 1 added, 2 deleted), printed as `docker diff` prints it."""

    def __repr__(self) -> str:
        return "\n".join(f"{_LETTERS[change['Kind']]} {change['Path']}" for change in self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        colours = ("#b26a00", "#2e7d32", "#c62828")
        lines = (
            f'<span style="color:{colours[change["Kind"]]}">{_LETTERS[change["Kind"]]}</span> {html.escape(change["Path"])}'
            for change in self
        )
        return '<pre style="margin:0;font-size:90%">' + "\n".join(lines) + "</pre>" if self else "<i>nothing was changed</i>"


def layers_of(lifecycle: Lifecycle, record: Record, uppers: Sequence[str], lower: Sequence[str]) -> dict[str, Any]:
    """What a worker compares (files.changes): some of the container's own layers and those below, top first; and what was mounted."""
    plan = read_start(record.directory).get("plan", [])
    return {
        "uppers": list(uppers),
        "lower": list(lower),
        "mount": str(record.directory / "root"),
        "userxattr": lifecycle.launcher.rootless,
        "mount_points": [arguments["target"] for name, arguments in plan if name in _MOUNTING],
    }


def diff(lifecycle: Lifecycle, record: Record) -> Changes:
    """Every file that was added, changed or deleted, without what the runtime made to mount on. Raises NotFound."""
    lifecycle.state(record)
    trees = trees_of(lifecycle.store.snapshots, record)
    return compare(lifecycle, record, trees.own, trees.image)


def compare(lifecycle: Lifecycle, record: Record, uppers: Sequence[str], lower: Sequence[str]) -> Changes:
    """What layers of the container change in those below them, both top first."""
    function = "labcontainers.containers.files.changes:stream_changes"
    with worker_stream(lifecycle.launcher, function, **layers_of(lifecycle, record, uppers, lower)) as (pipe, errand):
        found = Changes({"Path": path, "Kind": kind} for path, kind in map(json.loads, BufferedReader(pipe)))
        errand.result()
    return found
