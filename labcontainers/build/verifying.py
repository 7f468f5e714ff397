"""Builds a second time and compares: each step is done again on the files that it was done on, and what it makes is thrown away.

It must not know how a step is carried out, nor how an answer is shown. Since every step begins where the first build's did, a step that
differs is told as itself, and not as all that come after it; if none differs, the whole build gives the same image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.build.cache import Asked, BuildCache, StageCache
from labcontainers.build.execution import BuildRun
from labcontainers.build.plan import BuildPlan, ConfigStep, CopyStep, FromStep, RunStep, Step, WorkdirStep
from labcontainers.build.steps import StepExecutor
from labcontainers.build.verification import BuildVerification, FileDifference, VerifiedStep
from labcontainers.oci.digest import chain_id
from labcontainers.oci.image_config import HistoryEntry
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer


@dataclass(frozen=True, slots=True)
class Before:
    """A step as the first build did it: its number among all steps, and the layer that it made, if it made one."""

    index: int
    stage: str
    step: Step
    layer: Layer | None


class Forgetful(BuildCache):
    """A cache that has nothing and keeps nothing."""

    def of_stage(self, title: str) -> StageCache:
        return _ForgetfulStage(self._store, "it is verified", (), {})


class _ForgetfulStage(StageCache):
    def put(self, asked: Asked, layer: Layer | None) -> None:
        """Nothing is kept."""

    def remember(self, asked: Asked) -> None:
        """Nothing is kept."""


def steps_before(store: Store, plan: BuildPlan, built: Mapping[int, tuple[Sequence[str], Sequence[HistoryEntry]]]) -> Iterator[Before]:
    """Each step of a finished build that can make a layer, with what it made; `built` has each stage's diff_ids and history."""
    index = 0
    for stage in plan.stages:
        diff_ids, history = built[stage.stage.number]
        told = [step for step in stage.steps if not isinstance(step, FromStep | ConfigStep) or step.created_by]
        entries = dict(zip(map(id, told), history[len(history) - len(told) :], strict=True))
        count = len(diff_ids) - sum(not entry.empty_layer for entry in entries.values())
        for step in stage.steps:
            index += 1
            entry = entries.get(id(step))
            layer = None
            if entry is not None and not entry.empty_layer:
                count += 1
                chain = chain_id(diff_ids[:count])
                layer = Layer(diff_ids[count - 1], chain, 0)
            if isinstance(step, RunStep | CopyStep | WorkdirStep):
                yield Before(index, stage.stage.title, step, layer)


def verify(
    store: Store,
    plan: BuildPlan,
    work: BuildRun,
    make_executor: Callable[[Sequence[Before]], VerifyingExecutor],
    run_again: Callable[[StepExecutor, BuildCache], BuildRun],
) -> BuildVerification:
    """Do all steps of the finished build `work` again; blocks. Raises as the build did."""
    built = {number: (stage.diff_ids, stage.history) for number, stage in work.stages.items()}
    executor = make_executor(tuple(steps_before(store, plan, built)))
    run_again(executor, Forgetful(store)).build_all(lambda event: None)
    return BuildVerification(tuple(sorted(executor.answers, key=lambda step: step.index)))


class VerifyingExecutor(StepExecutor):
    """Does steps again, and leaves the layers of the first time. `answers` has what came of it, in the order in which it was found out."""

    def __init__(self, before: Sequence[Before], *tools: Any) -> None:
        """`tools` are what a StepExecutor needs; `before` is how the steps went the first time."""
        super().__init__(*tools)
        self._before = {id(one.step): one for one in before}
        self.answers: list[VerifiedStep] = []

    def _make(
        self,
        step: RunStep | CopyStep | WorkdirStep,
        below: Sequence[str],
        fill: Callable[[Path], bool],
        newest_s: int | None = None,
        keep: object = None,
    ) -> Layer | None:
        before = self._before[id(step)]
        scratch = self._store.snapshots.new_tree(below)
        try:
            made = fill(scratch)
            self.answers.append(self._compare(before, scratch if made else None, newest_s))
        finally:
            self._store.snapshots.discard(scratch)
        return before.layer

    def _compare(self, before: Before, scratch: Path | None, newest_s: int | None) -> VerifiedStep:
        step, layer = before.step, before.layer
        told = (before.index, step.text, step.place.first_line, before.stage)
        if layer is None or scratch is None:
            same = layer is None and scratch is None
            difference = FileDifference("/", "only in one", f"only the {'first' if layer else 'second'} time files were made")
            return VerifiedStep(*told, ("", "") if same else ("first", "second"), () if same else (difference,), int(not same))
        first = str(self._store.snapshots.tree(layer.chain_id))
        found = self._worker.call(
            "labcontainers.store.tree_comparison:compare_with", tree=str(scratch / "fs"), newest_s=newest_s, expected=first
        )
        differences = tuple(FileDifference(**one) for one in found["differences"])
        return VerifiedStep(*told, (layer.diff_id, found["diff_id"]), differences, found["count"])
