"""One build in progress: does a plan's steps, from the cache or anew, each as soon as what it needs is there, and tells how each goes.

It must not know how a step is carried out, nor where the Dockerfile came from. What comes of it is the same whatever the timing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NoReturn, assert_never

from labcontainers.build.base_images import BaseImages
from labcontainers.build.cache import Asked, BuildCache, StageCache
from labcontainers.build.caching.step_inputs import step_inputs, subject_of
from labcontainers.build.cancelling import Cancel
from labcontainers.build.context import Selection
from labcontainers.build.gathering import Chosen, Gatherer
from labcontainers.build.globs import literal
from labcontainers.build.graph import Edge
from labcontainers.build.lanes import lanes_of
from labcontainers.build.mounting import Bound
from labcontainers.build.once import Made, Once
from labcontainers.build.plan import BuildPlan, ConfigStep, CopyStep, FromStep, RunStep, Step, WorkdirStep
from labcontainers.build.plan_graph import PlannedStep, plan_graph
from labcontainers.build.progress import (
    BuildEvent,
    BuildPlanned,
    OnEvent,
    PlannedRow,
    StepCached,
    StepCancelled,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    StepWaiting,
)
from labcontainers.build.result import StepRecord
from labcontainers.build.solver import INTERRUPTED, OTHER_FAILED, Solver
from labcontainers.build.sources import TreeFiles
from labcontainers.build.stages import Origin
from labcontainers.build.steps import OutputTail, StepExecutor
from labcontainers.errors import Cancelled, DockerfileError, InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

_COMMENT = "buildkit.dockerfile.v0"


@dataclass(slots=True)
class BuiltStage:
    """A stage as far as it is built. `state_key` stands for all instructions so far that changed only the config.

    `base` is the image that it stands on, by name and id, `changed_by` the last step so far that was not cached.
    """

    diff_ids: list[str] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    extra: Mapping[str, object] = field(default_factory=dict)
    state_key: str = ""
    base: tuple[str, str] = ("", "")
    changed_by: str = ""


@dataclass(slots=True)
class Done:
    """How one step went. `key` is that of the cache, if any; `anew` says that this step, or an equal one, was done in this build."""

    layer: Layer | None = None
    cached: bool = False
    reason: str = ""
    duration_s: float = 0.0
    key: str = ""
    anew: bool = False


class BuildRun:
    """The steps of one plan."""

    def __init__(
        self,
        store: Store,
        plan: BuildPlan,
        gatherer: Gatherer,
        images: BaseImages,
        executor: StepExecutor,
        cache: BuildCache,
        cancel: Cancel,
        identity: str,
        most_at_once: int,
    ) -> None:
        self._identity = identity
        self._store = store
        self._plan = plan
        self._gatherer = gatherer
        self._images = images
        self._executor = executor
        self._cache = cache
        self._cancel = cancel
        self._once = Once()
        self._stages = {stage.stage.number: BuiltStage() for stage in plan.stages}
        self._steps = {planned.index: planned for planned in plan_graph(plan)}
        froms = [planned for planned in self._steps.values() if isinstance(planned.step, FromStep) and planned.step.origin.image]
        # the step that tells how long its image took: the first that asks for it
        self._first_from = {planned.step.origin.image: planned.index for planned in reversed(froms) if isinstance(planned.step, FromStep)}
        self._went: dict[int, tuple[Done, StepRecord]] = {}
        needs = {index: [need.index for need in planned.needs] for index, planned in self._steps.items()}
        self._solver: Solver[BuildEvent] = Solver(needs, most_at_once, lambda index: self._attempt(self._steps[index]), cancel)

    def build_all(self, on_event: OnEvent) -> BuiltStage:
        """Do all steps; the last stage. `on_event` is called in this thread.

        Raises what the step that failed first raised, KeyboardInterrupt, or Cancelled; what was finished stays cached.
        """
        on_event(self._planned())
        self._solver.run(on_event)
        return self._stages[self._plan.stages[-1].stage.number]

    def _planned(self) -> BuildPlanned:
        needs = {index: [need.index for need in one.needs if need.kind != "next"] for index, one in self._steps.items()}
        lanes = lanes_of([(one.number, len(one.stage.steps)) for one in self._steps.values()], needs)
        rows = [
            PlannedRow(
                one.index, one.stage.stage.title, one.step.text, one.step.place.first_line, one.number, len(one.stage.steps), lane
            )
            for one, lane in zip(self._steps.values(), lanes, strict=True)
        ]  # fmt: skip
        return BuildPlanned(tuple(rows))

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """The steps that are done, in the order of the plan. Of equal ones the first is told as the one that was done."""
        told: dict[int, StepRecord] = {index: record for index, (_, record) in sorted(self._went.items())}
        doer: dict[str, int] = {}
        for index, (done, record) in sorted(self._went.items()):
            if not done.anew:
                continue
            first = doer.setdefault(done.key, index)
            if first == index:
                continue
            before = told[first]
            if not done.cached:
                went = {"cached": False, "duration_s": record.duration_s, "output": record.output}
                told[first] = replace(before, **went)  # type: ignore[arg-type]  # the names of the fields are those above
            told[index] = replace(record, cached=True, duration_s=min(record.duration_s, before.duration_s), output="", reason="")
        return tuple(told.values())

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Which steps had to be done before which."""
        return tuple(Edge(need.index, index, need.kind) for index, planned in self._steps.items() for need in planned.needs)

    def _tell(self, event: BuildEvent) -> None:
        self._solver.tell(event)

    @property
    def stages(self) -> Mapping[int, BuiltStage]:
        """The stages by their numbers, as far as they are built."""
        return self._stages

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

    def _attempt(self, planned: PlannedStep) -> None:
        """Do one step, and tell how it went."""
        index, step, stage = planned.index, planned.step, planned.stage
        title, count = stage.stage.title, len(stage.steps)
        self._tell(StepStarted(index, self._plan.total, title, step.text, step.place.first_line, planned.number, count))
        tail = OutputTail()
        begun = time.monotonic()
        try:
            done = self._do(planned, self._stages[stage.stage.number], tail)
        except BaseException as error:
            self._fail(planned, error)
        duration_s = max(time.monotonic() - begun, done.duration_s)
        size = done.layer.size_bytes if done.layer else 0
        line, output = step.place.first_line, tail.text
        self._went[index] = (
            done,
            StepRecord(index, step.text, line, done.cached, duration_s, size, output, title, done.reason, planned.number, count),
        )
        self._tell(StepCached(index, size) if done.cached else StepFinished(index, duration_s, size))

    def _fail(self, planned: PlannedStep, error: BaseException) -> NoReturn:
        """Raise the error of the step that failed first, with its place; whatever ends a step after that is no failure of its own."""
        interrupted = isinstance(error, KeyboardInterrupt)
        first = not isinstance(error, Cancelled) and self._cancel.cancel(INTERRUPTED if interrupted else OTHER_FAILED)
        if interrupted or not first:
            self._tell(StepCancelled(planned.index, self._cancel.reason))
            if interrupted:
                raise error
            raise Cancelled("the step was stopped", "build again: what was finished is kept") from error
        located = _located(error, planned.step) if isinstance(error, LabError) else error
        self._tell(StepFailedEvent(planned.index, str(getattr(located, "message", located))))
        if located is error:
            raise error
        raise located from error

    def _do(self, planned: PlannedStep, state: BuiltStage, tail: OutputTail) -> Done:
        step, index = planned.step, planned.index
        if isinstance(step, FromStep):
            return self._begin(step, state, index)
        cache = self._cache.of_stage(planned.stage.stage.title)
        position = f"{self._identity}|{planned.stage.stage.title}|{planned.number}"
        titles = {stage.stage.number: stage.stage.title for stage in self._plan.stages}
        asked = Asked(position, tuple(state.diff_ids), {}, subject_of(step, titles, state.base, state.changed_by))
        if isinstance(step, ConfigStep):
            return self._configure(step, state, asked, cache)
        assert isinstance(step, RunStep | CopyStep | WorkdirStep)
        chosen = self._choose(step) if isinstance(step, CopyStep) else []
        bound = self._bound(step) if isinstance(step, RunStep) else {}
        asked = replace(asked, inputs=step_inputs(step, chosen, bound, self._plan.file_time_s))
        reason = ""

        def make() -> Made:
            nonlocal reason
            with cache.turn(asked, self._cancel.check, lambda holder: self._tell(StepWaiting(index, holder))) as hit:
                if hit is not None:
                    return Made(hit.layer, anew=False)
                reason = cache.why(asked)
                self._tell(StepMissed(index, reason))
                layer = self._make(step, asked.below, chosen, bound, index, tail)
                cache.put(asked, layer)
                return Made(layer, anew=True)

        made, here = self._once.do(asked.key, make)
        if made.anew and not here:
            reason = cache.why(asked)
        cache.remember(asked)
        if made.anew:
            state.changed_by = f"step {planned.number} before it changed: {step.text[:80]}"
        if made.layer is not None:
            state.diff_ids.append(made.layer.diff_id)
        state.history.append(HistoryEntry(self._created, step.created_by, _COMMENT, made.layer is None))
        return Done(made.layer, not (here and made.anew), reason, key=asked.key, anew=made.anew)

    def _begin(self, step: FromStep, state: BuiltStage, index: int) -> Done:
        if step.origin.stage is not None:
            earlier = self._stages[step.origin.stage]
            state.diff_ids += earlier.diff_ids
            state.history += earlier.history
            state.extra, state.state_key, state.base = earlier.extra, earlier.state_key, earlier.base
            state.changed_by = earlier.changed_by and f"the stage that it begins from changed: {earlier.changed_by}"
            return Done(cached=True)
        if not step.origin.image:
            return Done(cached=True)
        image = self._images.get(step.origin.image)
        first = self._first_from[step.origin.image] == index
        made_in_s = self._images.duration_s(step.origin.image) if first else None
        state.diff_ids += image.diff_ids
        state.history += image.config.history
        state.extra, state.state_key, state.base = image.config.extra, image.id, (step.origin.image, image.id)
        return Done(cached=made_in_s is None, duration_s=made_in_s or 0.0)

    def _configure(self, step: ConfigStep, state: BuiltStage, asked: Asked, cache: StageCache) -> Done:
        before, text = state.state_key, step.created_by or step.text
        state.state_key = hashlib.sha256(f"{before}|{text}".encode()).hexdigest()
        own = replace(asked, inputs={"the instruction": text, "the config before it": "" if state.base[1] == before else before})
        asked = replace(asked, inputs={"config": state.state_key})

        def make() -> Made:
            with cache.turn(asked, self._cancel.check) as hit:
                if hit is None:
                    cache.put(asked, None)
                return Made(None, anew=hit is None)

        made, here = self._once.do(asked.key, make)
        reason = cache.why(own) if made.anew else ""
        cache.remember(own)
        if step.created_by:
            state.history.append(HistoryEntry(self._created, step.created_by, _COMMENT, True))
        return Done(cached=not (here and made.anew), reason=reason, key=asked.key, anew=made.anew)

    @property
    def _created(self) -> str:
        return timestamp(self._plan.created_s)

    def _choose(self, step: CopyStep) -> list[Chosen] | TreeFiles:
        """What a COPY or ADD names: files that are read and hashed, or patterns in another tree."""
        if step.origin is not None and not step.origin.context:
            layers = self._origin_layers(step.origin)
            # images are told apart by their layers well enough; of a stage all is to be read anyhow, for the copy
            whole = step.origin.stage is not None
            content = self._executor.contents.of(layers, step.sources, whole=whole, exclude=step.exclude, parents=step.parents)
            return TreeFiles(layers, step.sources, content)
        return self._gatherer.choose(step)

    def _bound(self, step: RunStep) -> Bound:
        """What the mounts of a RUN take from contexts, stages and images, by their targets."""
        bound: dict[str, list[Selection] | TreeFiles] = {}
        for mount in step.mounts:
            if mount.origin is not None and not mount.origin.context:
                layers = self._origin_layers(mount.origin)
                content = self._executor.contents.of(layers, (literal(mount.source),), tops=True)
                bound[mount.target] = TreeFiles(layers, (mount.source,), content)
            elif mount.type == "bind" or mount.origin is not None:
                bound[mount.target] = self._gatherer.bind(mount)
        return bound

    def _origin_layers(self, origin: Origin) -> tuple[str, ...]:
        if origin.stage is not None:
            return tuple(self._stages[origin.stage].diff_ids)
        return self._images.get(origin.image).diff_ids

    def _make(
        self,
        step: RunStep | CopyStep | WorkdirStep,
        below: tuple[str, ...],
        chosen: list[Chosen] | TreeFiles,
        bound: Bound,
        index: int,
        tail: OutputTail,
    ) -> Layer | None:
        def on_output(stream: int, data: bytes) -> None:
            tail.add(data)
            self._tell(StepOutput(index, stream, data))

        def waits(what: str) -> None:
            self._tell(StepWaiting(index, what))

        match step:
            case RunStep():
                return self._executor.run(step, below, bound, self._gatherer.root, on_output, tail, waits)
            case CopyStep():
                return self._executor.copy(step, below, chosen, self._gatherer.root, on_output)
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
