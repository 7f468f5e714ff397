"""A plan as a graph: every step by its number, with the steps that must be done before it and why.

It must not know how steps are done, nor whether they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labcontainers.build.plan import BuildPlan, CopyStep, FromStep, RunStep, StagePlan, Step
from labcontainers.build.stages import Origin


@dataclass(frozen=True, slots=True)
class Need:
    """A step that comes before another: `kind` is "next" in a stage, or what for another stage is needed: "base", "files" or "mount"."""

    index: int
    kind: str


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step in its place: `index` counts from 1 in the whole plan, `number` from 1 in its stage."""

    index: int
    number: int
    stage: StagePlan
    step: Step
    needs: tuple[Need, ...]


def plan_graph(plan: BuildPlan) -> tuple[PlannedStep, ...]:
    """The steps in the order of the plan; what a step needs has a lower number."""
    steps: list[PlannedStep] = []
    last: dict[int, int] = {}
    for stage in plan.stages:
        for number, step in enumerate(stage.steps, 1):
            before = [Need(len(steps), "next")] if number > 1 else []
            others = [Need(last[origin.stage], kind) for origin, kind in _origins(step) if origin.stage is not None]
            steps.append(PlannedStep(len(steps) + 1, number, stage, step, (*before, *dict.fromkeys(others))))
        last[stage.stage.number] = len(steps)
    return tuple(steps)


def _origins(step: Step) -> Iterator[tuple[Origin, str]]:
    match step:
        case FromStep():
            yield step.origin, "base"
        case CopyStep():
            if step.origin is not None:
                yield step.origin, "files"
        case RunStep():
            yield from ((mount.origin, "mount") for mount in step.mounts if mount.origin is not None)
