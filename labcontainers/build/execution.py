"""One build in progress: does a plan's steps in order, from the cache or anew, and tells how each goes.

It must not know how a step is carried out, nor where the Dockerfile came from.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import assert_never

from labcontainers.build.cache import BuildCache, Inputs
from labcontainers.build.context import Context, Selection
from labcontainers.build.ignore import rules_from
from labcontainers.build.plan import BuildPlan, ConfigStep, CopyStep, FromStep, RunStep, StagePlan, Step, WorkdirStep
from labcontainers.build.progress import OnEvent, StepCached, StepFailedEvent, StepFinished, StepMissed, StepOutput, StepStarted
from labcontainers.build.result import StepRecord
from labcontainers.build.stages import Origin
from labcontainers.build.steps import OutputTail, StepExecutor, TreeFiles
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry, ImageConfig
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

_COMMENT = "buildkit.dockerfile.v0"


class BaseImages:
    """The images that a build starts from, each looked up once; the time that making one took is told to the first who asks."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[str, Image] = {}
        self._made_in_s: dict[str, float] = {}

    def get(self, name: str) -> Image:
        """The image; an embedded one is made when it is missing. Raises NotFound."""
        if name not in self._found:
            begun = time.monotonic()
            image = self._catalog.find(name)
            if image is None:
                image = self._catalog.get(name)
                self._made_in_s[name] = time.monotonic() - begun
            self._found[name] = image
        return self._found[name]

    def config(self, name: str) -> ImageConfig:
        """The config of an image; raises NotFound."""
        return self.get(name).config

    def take_duration_s(self, name: str) -> float | None:
        """How long it took to make the image, the first time; None when it was there."""
        return self._made_in_s.pop(name, None)


@dataclass(slots=True)
class BuiltStage:
    """A stage as far as it is built. `state_key` stands for all instructions so far that changed only the config."""

    diff_ids: list[str] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    extra: Mapping[str, object] = field(default_factory=dict)
    state_key: str = ""


@dataclass(slots=True)
class Done:
    """How one step went."""

    layer: Layer | None = None
    cached: bool = False
    reason: str = ""
    duration_s: float = 0.0


class BuildRun:
    """The steps of one plan."""

    def __init__(
        self,
        store: Store,
        plan: BuildPlan,
        context: Context,
        images: BaseImages,
        executor: StepExecutor,
        cache: BuildCache,
        on_event: OnEvent,
        identity: str,
    ) -> None:
        self._identity = identity
        self._store = store
        self._plan = plan
        self._context = context
        self._images = images
        self._executor = executor
        self._cache = cache
        self.tell = on_event
        self._stages: dict[int, BuiltStage] = {}
        self.records: list[StepRecord] = []

    def build_all(self) -> BuiltStage:
        """Do all steps; the last stage."""
        for stage in self._plan.stages:
            self._stages[stage.stage.number] = self._build_stage(stage)
        return self._stages[self._plan.stages[-1].stage.number]

    def layers(self, stage: BuiltStage) -> list[Layer]:
        """The layers of a stage with their sizes, from the bottom up."""
        found = []
        for count, diff_id in enumerate(stage.diff_ids, 1):
            chain = chain_id(stage.diff_ids[:count])
            row = self._store.records.find_layer(chain)
            if row is None:
                raise NotFound(f"layer {diff_id} was removed while the image was built", "build again")
            found.append(Layer(diff_id, chain, row.size_bytes))
        return found

    def _build_stage(self, plan: StagePlan) -> BuiltStage:
        state = BuiltStage()
        for number, step in enumerate(plan.steps, 1):
            index = len(self.records) + 1
            title = plan.stage.title
            self.tell(StepStarted(index, self._plan.total, title, step.text, step.place.first_line, number, len(plan.steps)))
            tail = OutputTail()
            begun = time.monotonic()
            try:
                done = self._do(step, state, index, f"{self._identity}|{title}|{number}", tail)
            except KeyboardInterrupt:
                self.tell(StepFailedEvent(index, "interrupted"))
                raise
            except LabError as error:
                located = _located(error, step)
                self.tell(StepFailedEvent(index, located.message))
                if located is error:
                    raise
                raise located from error
            duration_s = max(time.monotonic() - begun, done.duration_s)
            size = done.layer.size_bytes if done.layer else 0
            self.tell(StepCached(index, size) if done.cached else StepFinished(index, duration_s, size))
            line = step.place.first_line
            self.records.append(StepRecord(index, step.text, line, done.cached, duration_s, size, tail.text, title, done.reason))
        return state

    def _do(self, step: Step, state: BuiltStage, index: int, position: str, tail: OutputTail) -> Done:
        if isinstance(step, FromStep):
            return self._begin(step, state)
        if isinstance(step, ConfigStep):
            return self._configure(step, state)
        assert isinstance(step, RunStep | CopyStep | WorkdirStep)
        chosen = self._choose(step) if isinstance(step, CopyStep) else []
        inputs = _inputs(step, chosen, self._plan.source_date_epoch)
        parent, below = chain_id(state.diff_ids), tuple(state.diff_ids)
        key = self._cache.key(parent, inputs)
        hit = self._cache.find(key, below)
        reason = ""
        if hit is not None:
            layer = hit.layer
        else:
            reason = self._cache.why(position, parent, inputs)
            self.tell(StepMissed(index, reason))
            layer = self._make(step, below, chosen, index, tail)
            self._cache.put(key, layer)
        self._cache.remember(position, parent, inputs)
        if layer is not None:
            state.diff_ids.append(layer.diff_id)
        state.history.append(HistoryEntry(self._created, step.created_by, _COMMENT, layer is None))
        return Done(layer, hit is not None, reason)

    def _begin(self, step: FromStep, state: BuiltStage) -> Done:
        if step.origin.stage is not None:
            earlier = self._stages[step.origin.stage]
            state.diff_ids += earlier.diff_ids
            state.history += earlier.history
            state.extra, state.state_key = earlier.extra, earlier.state_key
            return Done(cached=True)
        if not step.origin.image:
            return Done(cached=True)
        image = self._images.get(step.origin.image)
        made_in_s = self._images.take_duration_s(step.origin.image)
        state.diff_ids += image.diff_ids
        state.history += image.config.history
        state.extra, state.state_key = image.config.extra, image.id
        return Done(cached=made_in_s is None, duration_s=made_in_s or 0.0)

    def _configure(self, step: ConfigStep, state: BuiltStage) -> Done:
        state.state_key = hashlib.sha256(f"{state.state_key}|{step.created_by}".encode()).hexdigest()
        key = self._cache.key(chain_id(state.diff_ids), {"config": state.state_key})
        cached = self._cache.find(key, tuple(state.diff_ids)) is not None
        if not cached:
            self._cache.put(key, None)
        state.history.append(HistoryEntry(self._created, step.created_by, _COMMENT, True))
        return Done(cached=cached)

    @property
    def _created(self) -> str:
        return timestamp(self._plan.source_date_epoch)

    def _choose(self, step: CopyStep) -> list[Selection] | TreeFiles:
        """What a COPY names: files of the context, read and hashed, or patterns in another tree."""
        if step.origin is not None:
            return TreeFiles(self._origin_layers(step.origin), step.sources)
        exclude = rules_from(step.exclude) if step.exclude else None
        return [selection for source in step.sources for selection in self._context.select(source, exclude)]

    def _origin_layers(self, origin: Origin) -> tuple[str, ...]:
        if origin.stage is not None:
            return tuple(self._stages[origin.stage].diff_ids)
        return self._images.get(origin.image).diff_ids

    def _make(
        self,
        step: RunStep | CopyStep | WorkdirStep,
        below: tuple[str, ...],
        chosen: list[Selection] | TreeFiles,
        index: int,
        tail: OutputTail,
    ) -> Layer | None:
        def on_output(stream: int, data: bytes) -> None:
            tail.add(data)
            self.tell(StepOutput(index, stream, data))

        match step:
            case RunStep():
                return self._executor.run(step, below, on_output, tail)
            case CopyStep():
                return self._executor.copy(step, below, chosen, self._context.root, on_output)
            case WorkdirStep():
                return self._executor.make_directory(step, below)
            case _:
                assert_never(step)


def timestamp(seconds: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _located(error: LabError, step: Step) -> LabError:
    """The error with the lines of its step, where it is the Dockerfile or what it names that is at fault."""
    if isinstance(error, Unsupported):
        return Unsupported(f"{step.place.source.file}:{step.place.first_line}: {error.message}", error.hint)
    if isinstance(error, DockerfileError) or not isinstance(error, InvalidArgument | NotFound):
        return error
    return step.place.fault(error.message, error.hint)


def _inputs(step: RunStep | CopyStep | WorkdirStep, chosen: list[Selection] | TreeFiles, mtime_s: int) -> Inputs:
    """What a step depends on, under names that a reader understands."""
    match step:
        case RunStep():
            return {
                "the command": json.dumps([step.arguments, step.script]),
                "the environment": dict(entry.partition("=")[::2] for entry in step.environment),
                "the working directory": step.working_dir,
                "the user": step.user,
                "the network": step.network,
                "the host name": step.hostname,
            }
        case WorkdirStep():
            return {"the working directory": step.path, "the user": step.user, "the time": str(mtime_s)}
        case CopyStep():
            return {
                "the instruction": json.dumps([step.sources, step.destination, step.unpacks]),
                "the owner": step.chown,
                "the mode": step.chmod,
                "the exclusions": json.dumps(step.exclude),
                "the time": str(mtime_s),
                "here-documents": {
                    file.name: hashlib.sha256(file.content.encode(errors="surrogateescape")).hexdigest() for file in step.files
                },
                "the files": _file_digests(chosen),
            }
        case _:
            assert_never(step)


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _file_digests(chosen: list[Selection] | TreeFiles) -> Mapping[str, str] | str:
    if isinstance(chosen, TreeFiles):
        return chain_id(chosen.diff_ids)
    digests: dict[str, str] = {}
    for number, selection in enumerate(chosen):
        for entry in selection.entries:
            if selection.is_directory and not entry.path:
                # what a directory holds is copied, not the directory: its own mode does not count
                continue
            name = "/".join(part for part in (selection.name, entry.path) if part) or "."
            if name in digests:
                name = f"{name} ({number + 1})"
            digests[name] = f"{entry.mode:o} {entry.digest or entry.target}"
    return digests
