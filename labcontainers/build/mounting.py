"""What a RUN step's mounts are made of: copies of the context, trees of stages and images, kept folders, secrets and sockets.

It must not know Dockerfiles, nor mount anything: it gives the runtime values, and takes away afterwards what it made.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labcontainers.build.agent_socket import forwarded
from labcontainers.build.cancelling import Cancel
from labcontainers.build.context import Selection
from labcontainers.build.folders import CONTENT
from labcontainers.build.globs import literal
from labcontainers.build.plan import RunMount, RunStep
from labcontainers.build.secrets import Confidential
from labcontainers.build.sources import TreeFiles, described
from labcontainers.build.waiting import Waiting
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.kernel import id_maps
from labcontainers.kernel.mounts import MS_NOSUID, MS_RDONLY
from labcontainers.runtime.spec import BindMount, ImageMount, SecretMount, TemporaryMount, UserMount
from labcontainers.store.cache_mounts import CacheMounts
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import TreeWorker

# What is mounted from where: by the mount's target.
Bound = Mapping[str, Sequence[Selection] | TreeFiles]


class MountMaker:
    """Makes the mounts of steps ready. `context_root` is the folder that Selections are from."""

    def __init__(self, store: Store, worker: TreeWorker, confidential: Confidential, mtime_s: int, cancel: Cancel) -> None:
        self._store = store
        self._worker = worker
        self._confidential = confidential
        self._mtime_s = mtime_s
        self._caches = CacheMounts(store)
        self._cancel = cancel

    @contextlib.contextmanager
    def ready(
        self, step: RunStep, bound: Bound, context_root: Path, scratch: Path, waits: Callable[[str], object]
    ) -> Iterator[tuple[list[UserMount], list[str]]]:
        """The mounts and the variables of a step, in effect until the context ends. Raises NotFound, InvalidArgument.

        `waits` hears what is waited for, and "" when that is over.
        """
        with contextlib.ExitStack() as stack:
            held: dict[str, Path] = {}
            # in one order, so that two steps never wait for each other
            for mount in sorted((one for one in step.mounts if one.type == "cache"), key=_cache_key(bound)):
                key = _cache_key(bound)(mount)
                if key not in held:
                    held[key] = stack.enter_context(self._cache(key, mount, self._filler(mount, bound, context_root), waits))
            mounts: list[UserMount] = []
            variables: list[str] = []
            for number, mount in enumerate(step.mounts):
                place = scratch / "mounts" / str(number)
                match mount.type:
                    case "bind":
                        mounts.append(self._bind(mount, bound[mount.target], context_root, place))
                    case "cache":
                        folder = held[_cache_key(bound)(mount)] / CONTENT
                        mounts.append(BindMount(str(folder), mount.target, mount.read_only, recursive=False))
                    case "tmpfs":
                        size = f",size={mount.size_bytes}" if mount.size_bytes else ""
                        flags = MS_NOSUID | (MS_RDONLY if mount.read_only else 0)
                        mounts.append(TemporaryMount(mount.target, f"mode=1777{size}", flags))
                    case "secret":
                        self._secret(mount, place, mounts, variables)
                    case _:
                        self._socket(mount, place, mounts, variables, stack)
            yield mounts, variables

    @contextlib.contextmanager
    def _cache(self, key: str, mount: RunMount, fill: Callable[[Path], None], waits: Callable[[str], object]) -> Iterator[Path]:
        waiting = Waiting(self._cancel.check, lambda: waits(f"the cache {mount.id}, which {_whose(self._caches.holder(key))}"))
        with self._caches.hold(key, mount.id, mount.sharing, fill, waiting) as folder:
            if waiting.told:
                waits("")
            yield folder

    def _bind(self, mount: RunMount, source: Sequence[Selection] | TreeFiles, context_root: Path, place: Path) -> UserMount:
        place.mkdir(parents=True)
        if isinstance(source, TreeFiles):
            lower = self._store.snapshots.lower_paths(source.diff_ids)
            if not lower:
                raise NotFound(f"cannot mount from an empty stage at {mount.target}", "mount from a stage that has files")
            for name in ("at", "fs", "work"):
                (place / name).mkdir()
                (place / name).chmod(0o755)
            upper, work = ("", "") if mount.read_only else (str(place / "fs"), str(place / "work"))
            return ImageMount(lower, str(place / "at"), mount.target, source.patterns[0].strip("/"), upper, work, follows=True)
        tree = place / "fs"
        tree.mkdir()
        tree.chmod(0o755)
        self._copy({"context": str(context_root), "selections": described(source)}, tree, place, is_directory=source[0].is_directory)
        return BindMount(str(tree / CONTENT), mount.target, mount.read_only, recursive=False)

    def _copy(self, source: Mapping[str, Any], upper: Path, place: Path, *, is_directory: bool) -> None:
        """Copy a directory's content or a file to the content of a tree; the place gets a request, and a mount point for the worker."""
        request = {
            "lower": [], "upper": str(upper), "work": "", "mount": str(place / "root"), "userxattr": not id_maps.is_root_of_host(),
            "source": source, "files": [], "destination": f"/{CONTENT}/" if is_directory else f"/{CONTENT}", "chown": "", "chmod": "",
            "exclude": [], "unpacks": False, "link": False, "parents": False, "mtime_s": self._mtime_s,
        }  # fmt: skip
        path = place / "request.json"
        path.write_text(json.dumps(request))
        self._worker.call("labcontainers.build.copying:copy", request=str(path))

    def _filler(self, mount: RunMount, bound: Bound, context_root: Path) -> Callable[[Path], None]:
        def fill(scratch: Path) -> None:
            source = bound.get(mount.target)
            if isinstance(source, TreeFiles):
                lower = self._store.snapshots.lower_paths(source.diff_ids)
                tree = {"lower": lower, "mount": str(scratch / "source"), "patterns": [literal(source.patterns[0]) or "/"]}
                self._copy(tree, scratch / "fs", scratch, is_directory=True)
            elif source:
                files = {"context": str(context_root), "selections": described(source)}
                self._copy(files, scratch / "fs", scratch, is_directory=source[0].is_directory)
            self._worker.call("labcontainers.build.folders:settle", tree=str(scratch / "fs"), mode=mount.mode, uid=mount.uid, gid=mount.gid)

        return fill

    def _secret(self, mount: RunMount, place: Path, mounts: list[UserMount], variables: list[str]) -> None:
        value = self._confidential.secrets.get(mount.id)
        if value is None:
            if mount.required:
                raise NotFound(f"secret {mount.id}: not found", f"give it by --secret id={mount.id},src=FILE or env=VARIABLE")
            return
        if mount.env:
            if b"\0" in value:
                raise InvalidArgument(f"secret {mount.id} has a zero byte: it cannot be a variable", "mount it as a file")
            variables.append(f"{mount.env}={os.fsdecode(value)}")
        if mount.target:
            place.mkdir(parents=True)
            mode = mount.mode if mount.mode is not None else 0o400
            mounts.append(SecretMount(value.decode("latin-1"), str(place), mount.target, mode, mount.uid, mount.gid))

    def _socket(self, mount: RunMount, place: Path, mounts: list[UserMount], variables: list[str], stack: contextlib.ExitStack) -> None:
        agent = self._confidential.sockets.get(mount.id)
        if agent is None:
            if mount.required:
                raise NotFound(f"no SSH agent {mount.id} is forwarded to the build", f"give it by --ssh {mount.id}=SOCKET")
            return
        place.mkdir(parents=True)
        socket = stack.enter_context(forwarded(agent, place, mount.mode if mount.mode is not None else 0o600))
        if mount.uid or mount.gid:
            self._worker.call("labcontainers.build.folders:give", path=str(socket), uid=mount.uid, gid=mount.gid)
        mounts.append(BindMount(str(socket), mount.target, recursive=False))
        if not any(variable.startswith("SSH_AUTH_SOCK=") for variable in variables):
            variables.append(f"SSH_AUTH_SOCK={mount.target}")


def _whose(pid: int | None) -> str:
    if pid is None:
        return "other steps share"
    return "another step in this process has locked" if pid == os.getpid() else f"a step in process {pid} has locked"


def cache_folder(store: Store, mount: RunMount, bound: Bound) -> Path:
    """Where the content of a cache mount is kept, whether it is there or not."""
    return CacheMounts(store).place(_cache_key(bound)(mount)) / CONTENT


def _cache_key(bound: Bound) -> Callable[[RunMount], str]:
    """What tells one kept folder from another."""

    def key(mount: RunMount) -> str:
        source = bound.get(mount.target)
        origin = [list(source.diff_ids), list(source.patterns)] if isinstance(source, TreeFiles) else [one.digest() for one in source or ()]
        return json.dumps([mount.id, origin, mount.mode, mount.uid, mount.gid])

    return key
