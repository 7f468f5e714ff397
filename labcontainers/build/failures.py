"""RUN steps that failed, kept as they were at that moment: of each build the last one, as an image without a name and a note on it.

It must not know how anything is run in it, nor who looks into it. What a build was trusted with, secrets and the values of proxy
arguments, is not in the note; what the step wrote of it to files is, as it would be in its layer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from labcontainers.build.mounting import Bound, cache_folder
from labcontainers.build.plan import RunMount, RunStep
from labcontainers.build.sources import TreeFiles
from labcontainers.errors import Conflict, LabError, NotFound, StepFailed
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.oci.reference import parse_reference
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

_FOLDER = "failures"
_MOST_KEPT = 20
_CREATED = "1970-01-01T00:00:00Z"
DEFAULT_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that failed. `image_id` is of the image with its files; `mounts` are objects of Docker's API, `missing` what is not mounted.

    `tags` and `context` are the build's, `file` and `line` the step's; `failed_at` is in seconds since the epoch.
    """

    key: str
    image_id: str
    tags: tuple[str, ...]
    context: str
    file: str
    line: int
    text: str
    exit_code: int
    failed_at: float
    shell: str
    network: str
    hosts: tuple[str, ...]
    privileged: bool
    mounts: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildSubject:
    """The build that a failure is of: what tells it from others, its tags in their short form, and its context folder."""

    identity: str
    tags: tuple[str, ...]
    context: Path

    @property
    def key(self) -> str:
        return hashlib.sha256(self.identity.encode("utf-8", "surrogateescape")).hexdigest()


class Failures:
    """All that are kept in a store. Thread-safe, and safe beside other processes: a note is there as a whole or not at all."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._folder = store.paths.builds / _FOLDER
        self._lock = threading.Lock()
        self._going: set[str] = set()

    def list(self) -> Sequence[Failure]:
        """Those whose files are still there, the last one first."""
        found = []
        for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
            failure = self._read(path)
            if failure is None or self._catalog.find_own(failure.image_id) is None:
                # a prune has taken the image away
                path.unlink(missing_ok=True)
            else:
                found.append(failure)
        return sorted(found, key=lambda one: -one.failed_at)

    def get(self, name: str | None = None) -> Failure:
        """The last one, or the last of a build with this tag or context folder; raises NotFound."""
        kept = self.list()
        wanted = [one for one in kept if name is None or _means(one, name)]
        if not wanted:
            about = f" of {name}" if name is not None else ""
            others = ", ".join(one.tags[0] if one.tags else one.context for one in kept[:3])
            hint = f"there are those of {others}" if others else "one is kept from when a build fails until it succeeds"
            raise NotFound(f"no failed step{about} is kept", hint)
        return wanted[0]

    @staticmethod
    def _read(path: Path) -> Failure | None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = {one.name: values[one.name] for one in fields(Failure)}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return Failure(**plain)

    def keep(
        self, subject: BuildSubject, scratch: Path, below: Sequence[str], step: RunStep, bound: Bound, root: Path, error: StepFailed
    ) -> bool:
        """Make an image of what the step left in its scratch directory, which is gone then; whether that was possible.

        `bound` are the mounts' sources, from the context folder `root`. The error gets the Failure, and a hint at it.
        """
        try:
            layer = self._store.snapshots.commit(scratch, below)
            shell = step.arguments[0] if step.arguments[:1] and step.arguments[0].endswith("sh") else DEFAULT_SHELL
            image = self._put(layer, below, step, shell)
            mounts, missing = _mounts(step.mounts, bound, root, lambda mount: str(cache_folder(self._store, mount, bound)))
            where = step.place.source.file, step.place.first_line, step.text
            told = (subject.key, image.id, subject.tags, str(subject.context.absolute()), *where, error.returncode, time.time())
            failure = Failure(*told, shell, step.network, step.hosts, step.privileged, mounts, missing)
            self._write(failure)
        except (LabError, OSError):
            return False
        error.failure = failure
        error.hint = f"look around in it by `build debug`; {error.hint}"
        return True

    def _put(self, layer: Layer, below: Sequence[str], step: RunStep, shell: str) -> Image:
        platform = host_platform()
        process = ProcessConfig(env=step.environment, cmd=(shell,), working_dir=step.working_dir, user=step.user)
        diff_ids = (*below, layer.diff_id)
        chains = [chain_id(diff_ids[: count + 1]) for count in range(len(diff_ids))]
        rows = [self._store.records.find_layer(chain) for chain in chains]
        layers = [Layer(diff_id, chain, row.size_bytes if row else 0) for diff_id, chain, row in zip(diff_ids, chains, rows, strict=True)]
        history = (*(HistoryEntry(_CREATED, "") for _ in below), HistoryEntry(_CREATED, f"failed: {step.text}"))
        config = ImageConfig(platform.architecture, platform.os, process, diff_ids, history, _CREATED)
        return self._catalog.put(config, layers, ())

    def _write(self, failure: Failure) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{failure.key}.json"
        before = self._read(path)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        temporary.write_text(json.dumps(asdict(failure)), encoding="utf-8")
        os.replace(temporary, path)
        if before is not None and before.image_id != failure.image_id:
            self._put_off(before.image_id)
        for old in self.list()[_MOST_KEPT:]:
            self.forget(old.key)

    def forget(self, key: str) -> None:
        """Keep no failure of this build any more; its image goes with remove_images(). Absent is fine."""
        path = self._folder / f"{key}.json"
        failure = self._read(path)
        path.unlink(missing_ok=True)
        if failure is not None:
            self._put_off(failure.image_id)

    def _put_off(self, image_id: str) -> None:
        with self._lock:
            self._going.add(image_id)

    def remove_images(self) -> None:
        """Remove the images that no failure has any more, unless a container uses one or it has got a name; when nothing is being made."""
        with self._lock:
            going, self._going = self._going, set()
        kept = {failure.image_id for failure in self.list()} if going else set()
        for image_id in going - kept:
            image = self._catalog.find_own(image_id)
            if image is not None and not image.tags:
                with contextlib.suppress(NotFound, Conflict):
                    self._catalog.remove(image_id)


def _means(failure: Failure, name: str) -> bool:
    if name in failure.tags or os.path.abspath(os.path.expanduser(name)) == failure.context:
        return True
    with contextlib.suppress(LabError):
        return parse_reference(name).familiar in failure.tags
    return False


def _mounts(
    mounts: Sequence[RunMount], bound: Bound, root: Path, cache_folder: Callable[[RunMount], str]
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """The step's mounts for a container, and in words those that it cannot have."""
    found: list[Mapping[str, Any]] = []
    missing: list[str] = []
    for mount in mounts:
        if mount.type == "tmpfs":
            options = {"Mode": 0o1777, **({"SizeBytes": mount.size_bytes} if mount.size_bytes else {})}
            found.append({"Type": "tmpfs", "Target": mount.target, "ReadOnly": mount.read_only, "TmpfsOptions": options})
        elif mount.type == "cache":
            found.append({"Type": "bind", "Source": cache_folder(mount), "Target": mount.target, "ReadOnly": mount.read_only})
        elif mount.type == "bind" and not isinstance(bound.get(mount.target), TreeFiles):
            source = os.path.normpath(root / mount.source.lstrip("/"))
            found.append({"Type": "bind", "Source": source, "Target": mount.target, "ReadOnly": True})
        elif mount.target:
            what = f"the files that were bound to {mount.target}" if mount.type == "bind" else f"the {mount.type} at {mount.target}"
            missing.append(what)
    return tuple(found), tuple(missing)
