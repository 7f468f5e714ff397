"""Carries out single steps on the store: a scratch tree, a process or a worker that fills it, and the layer that comes of it.

It must not know the cache, the order of steps, or what a runtime is: a StepRunner runs commands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from labcontainers.build.cancelling import BoundWorker, Cancel
from labcontainers.build.context import Selection
from labcontainers.build.gathering import Chosen
from labcontainers.build.inflating import inflated
from labcontainers.build.mounting import Bound, MountMaker
from labcontainers.build.plan import CopyStep, RunStep, WorkdirStep
from labcontainers.build.secrets import Confidential
from labcontainers.build.source_dates import SOURCE_DATE_EPOCH
from labcontainers.build.sources import TreeFiles, described, fetched
from labcontainers.build.tree_contents import TreeContents
from labcontainers.errors import StartFailed, StepFailed
from labcontainers.kernel import id_maps
from labcontainers.runtime.spec import UserMount
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer, TreeWorker

_SCRIPT = ".labcontainers-heredoc"
_KEPT_OUTPUT = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A command to run in an image: `lower_paths` top first, `scratch` with `fs` (what it changes) and `work`.

    When `cancel` is said, the command is to be killed.
    """

    lower_paths: tuple[str, ...]
    scratch: Path
    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    working_dir: str
    user: str
    network: str
    hostname: str
    mounts: tuple[UserMount, ...] = ()
    cancel: Cancel = field(default_factory=Cancel)
    hosts: tuple[str, ...] = ()
    privileged: bool = False


# What keeps a step that failed, from its scratch directory, layers below, sources of mounts, context folder and error; whether it did.
Keep = Callable[[Path, Sequence[str], RunStep, Bound, Path, StepFailed], bool]


class StepRunner(Protocol):
    """Runs one command of a build in namespaces of its own."""

    def run(self, request: RunRequest, on_output: Callable[[int, bytes], None]) -> int:
        """Its exit code; blocks. `on_output` gets the stream (1 or 2) and bytes, in the calling thread. Raises StartFailed."""
        ...


class OutputTail:
    """The last bytes that a step wrote, both streams together."""

    def __init__(self, limit: int = _KEPT_OUTPUT) -> None:
        self._limit = limit
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Append, and forget what is too old."""
        self._data += data
        if len(self._data) > 2 * self._limit:
            del self._data[: -self._limit]

    @property
    def text(self) -> str:
        """What is kept, as text."""
        return bytes(self._data[-self._limit :]).decode("utf-8", "replace")


class StepExecutor:
    """Makes layers. Every method leaves a committed layer or nothing."""

    def __init__(
        self,
        store: Store,
        worker: TreeWorker,
        runner: StepRunner,
        mtime_s: int,
        confidential: Confidential,
        cancel: Cancel,
        keep: Keep | None = None,
    ) -> None:
        self._worker = BoundWorker(worker, cancel)
        self._mounts = MountMaker(store, self._worker, confidential, mtime_s, cancel)
        self._cancel = cancel
        self._store = store
        self._runner = runner
        self._mtime_s = mtime_s
        self._keep = keep
        self.contents = TreeContents(store, self._worker)

    def run(
        self,
        step: RunStep,
        below: Sequence[str],
        bound: Bound,
        context_root: Path,
        on_output: Callable[[int, bytes], None],
        tail: OutputTail,
        waits: Callable[[str], object] = lambda what: None,
    ) -> Layer:
        """Run a command above the layers `below`, with `bound` mounted; raises StepFailed for an exit code other than 0.

        `waits` hears of a mount that it waits for, and "" when it has it.
        """
        arguments = step.arguments or (f"/{_SCRIPT}",)

        def fill(scratch: Path) -> bool:
            if step.script:
                _write_script(scratch / "fs" / _SCRIPT, step.script)
            request = RunRequest(
                lower_paths=self._store.snapshots.lower_paths(below),
                scratch=scratch,
                arguments=arguments,
                environment=(f"{SOURCE_DATE_EPOCH}={self._mtime_s}", *step.proxies, *step.environment),
                working_dir=step.working_dir,
                user=step.user,
                network=step.network,
                hostname=step.hostname,
                cancel=self._cancel,
                hosts=step.hosts,
                privileged=step.privileged,
            )
            where = f"{step.place.source.file}:{step.place.first_line}: {step.text}"
            try:
                with self._mounts.ready(step, bound, context_root, scratch, waits) as (mounts, variables):
                    environment = (*request.environment, *variables)
                    code = self._runner.run(replace(request, mounts=tuple(mounts), environment=environment), on_output)
            except StartFailed as error:
                hint = f"{error.message}; {error.hint or 'name a program that the image has'}"
                raise StepFailed(where, error.exit_code, error.message, hint) from error
            if code:
                raise StepFailed(where, code, tail.text, _failure_hint(arguments, code, tail.text))
            if step.script:
                self._worker.call("labcontainers.store.trees:remove", path=str(scratch / "fs" / _SCRIPT))
            return True

        def keep(scratch: Path, error: StepFailed) -> bool:
            # one that was killed because the build was stopped has not failed
            if self._keep is None or self._cancel.cancelled:
                return False
            return self._keep(scratch, below, step, bound, context_root, error)

        layer = self._make(step, below, fill, self._mtime_s, keep)
        assert layer is not None
        return layer

    def copy(
        self,
        step: CopyStep,
        below: Sequence[str],
        source: Sequence[Chosen] | TreeFiles,
        context_root: Path,
        on_output: Callable[[int, bytes], None],
    ) -> Layer:
        """Copy files above the layers `below`, those from elsewhere fetched now; raises NotFound, InvalidArgument, Failed."""

        def fill(scratch: Path) -> bool:
            chosen = source if isinstance(source, TreeFiles) else fetched(source)
            if step.unpacks and not isinstance(chosen, TreeFiles):
                chosen = inflated(chosen, context_root, scratch)
            request = {
                **self._root(scratch, below),
                "source": self._source(step, chosen, context_root, scratch),
                "files": [(file.name, file.content) for file in step.files],
                "destination": step.destination,
                "chown": step.chown,
                "chmod": step.chmod,
                "exclude": list(step.exclude),
                "unpacks": step.unpacks,
                "link": step.link,
                "parents": step.parents,
                "mtime_s": self._mtime_s,
            }
            path = scratch / "request.json"
            path.write_text(json.dumps(request))
            done = self._worker.call("labcontainers.build.copying:copy", request=str(path))
            for pattern in done["unmatched"]:
                on_output(2, f"no file matches {pattern}\n".encode())
            if done["disowned"]:
                on_output(2, f"{done['disowned']} files became root's: this user has no ids for their owners\n".encode())
            return True

        layer = self._make(step, below, fill)
        assert layer is not None
        return layer

    def _source(self, step: CopyStep, source: Sequence[Selection] | TreeFiles, context_root: Path, scratch: Path) -> Mapping[str, Any]:
        if isinstance(source, TreeFiles):
            lower = self._store.snapshots.lower_paths(source.diff_ids)
            return {"lower": lower, "mount": str(scratch / "source"), "patterns": list(source.patterns)}
        return {"context": str(context_root), "selections": described(source)}

    def make_directory(self, step: WorkdirStep, below: Sequence[str]) -> Layer | None:
        """Make a WORKDIR above the layers `below`; None when it was there already."""

        def fill(scratch: Path) -> bool:
            root = self._root(scratch, below)
            done = self._worker.call(
                "labcontainers.build.copying:make_directory", **root, path=step.path, user=step.user, mtime_s=self._mtime_s
            )
            return bool(done["made"])

        return self._make(step, below, fill)

    def _root(self, scratch: Path, below: Sequence[str]) -> dict[str, Any]:
        return {
            "lower": self._store.snapshots.lower_paths(below),
            "upper": str(scratch / "fs"),
            "work": str(scratch / "work"),
            "mount": str(scratch / "root"),
            "userxattr": not id_maps.is_root_of_host(),
        }

    def _make(
        self,
        step: RunStep | CopyStep | WorkdirStep,
        below: Sequence[str],
        fill: Callable[[Path], bool],
        newest_s: int | None = None,
        keep: Callable[[Path, StepFailed], bool] = lambda scratch, error: False,
    ) -> Layer | None:
        scratch = self._store.snapshots.new_tree(below)
        try:
            if fill(scratch):
                return self._store.snapshots.commit(scratch, below, newest_s)
        except BaseException as error:
            if not (isinstance(error, StepFailed) and keep(scratch, error)):
                self._store.snapshots.discard(scratch)
            raise
        self._store.snapshots.discard(scratch)
        return None


def _write_script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o755)


def _failure_hint(arguments: Sequence[str], code: int, output: str) -> str:
    was_to_be_json = arguments[-1].startswith(('["', "['"))
    prefix = "this is no JSON array of strings, so a shell ran it; " if was_to_be_json else ""
    last = [line.strip() for line in output.splitlines() if line.strip()][-1:]
    said = f"it said: {last[0][:200]}" if last else "it said nothing"
    return (
        prefix
        + {126: "permission denied, or not a program; ", 127: "the command was not found; ", 137: "it was killed; "}.get(code, "")
        + said
    )
