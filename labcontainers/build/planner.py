"""Typed instructions to a plan: each instruction changes its stage's state on paper and becomes a step; faults are collected.

It must not run, copy, read or write anything: images' configs are asked for through a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from labcontainers.build import plan_config, plan_files
from labcontainers.build.dockerfile.instructions import Instruction
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Faults
from labcontainers.build.plan import BuildPlan, FromStep, PlanOptions, StagePlan, StageState, Step, begin_stage, describe
from labcontainers.build.run_mounts import CACHE_MOUNT_NAMESPACE
from labcontainers.build.scope import Scope
from labcontainers.build.source_dates import SOURCE_DATE_EPOCH, with_date
from labcontainers.build.stages import PROXY_ARGUMENTS, SANDBOX_HOSTNAME, Origin, Stage, Stages, group_stages
from labcontainers.build.triggers import with_triggers
from labcontainers.errors import DockerfileError, LabError, Unsupported
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig

SYNTAX = "BUILDKIT_SYNTAX"
_BUILT_IN = "dockerfile.v0"
_OWN_ARGUMENTS = {
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_DOCKERFILE_CHECK",
    SYNTAX,
    CACHE_MOUNT_NAMESPACE,
    "BUILDKIT_GIT_ADVICE",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_BUILD_NAME",
}


def plan_build(
    dockerfile: Dockerfile,
    instructions: tuple[Instruction, ...],
    options: PlanOptions,
    platform: Platform,
    image_config: Callable[[str], ImageConfig],
    noticed: list[BuildWarning] | None = None,
    obtain: Callable[[Sequence[str]], object] = lambda names: None,
) -> BuildPlan:
    """The plan of a build; raises once for all that is wrong in the needed stages (DockerfileError or Unsupported).

    `image_config` gives the config of a base image by name, and may make or load it; `obtain` hears first of all the names that are
    known from the beginning. `noticed` gets the warnings also when it raises.
    """
    _check_syntax(dockerfile, options.build_args.get(SYNTAX, ""))
    said = (options.target, noticed, options.contexts, options.platform, options.time_of)
    grouped, target = group_stages(instructions, options.build_args, platform, dockerfile.escape, *said)
    options = replace(options, build_args=with_date(options.build_args, grouped.date_s))
    obtain(grouped.images(target))
    faults = Faults()
    states: dict[int, StageState] = {}
    plans: list[StagePlan] = []
    for stage in with_triggers(grouped, target, lambda stage: _base_config(image_config, stage, stage.base.image)):
        state = begin_stage(stage, states, partial(_base_config, image_config, stage))
        _check_platform(stage, grouped, state, platform)
        states[stage.number] = state
        steps = _plan_stage(Scope(state, grouped, options, dockerfile.escape, faults, image_config))
        plans.append(StagePlan(stage, tuple(steps), state.config, state.author, state.arguments))
    faults.raise_any()
    known = grouped.used_build_args | PROXY_ARGUMENTS | _OWN_ARGUMENTS | {SANDBOX_HOSTNAME, SOURCE_DATE_EPOCH}
    unused = tuple(sorted(set(options.build_args) - known))
    return BuildPlan(tuple(plans), tuple(grouped.warnings), grouped.date_s, unused, grouped.global_arguments)


def _base_config(image_config: Callable[[str], ImageConfig], stage: Stage, name: str) -> ImageConfig:
    try:
        return image_config(name)
    except (DockerfileError, Unsupported):
        raise
    except LabError as error:
        raise stage.opening.place_of(stage.opening.image).fault(error.message, error.hint) from error


def _check_platform(stage: Stage, grouped: Stages, state: StageState, platform: Platform) -> None:
    found = state.base_platform
    if stage.base.image and found and found != f"{platform.os}/{platform.architecture}":
        expected = f"{platform.os}/{platform.architecture}"
        message = f'Base image {stage.base_name} was pulled with platform "{found}", expected "{expected}" for current build'
        grouped.warnings.append(BuildWarning("InvalidBaseImagePlatform", message, stage.opening.place_of(stage.opening.image)))


def _check_syntax(dockerfile: Dockerfile, instead: str) -> None:
    syntax = (instead or dockerfile.directives.get("syntax", "")).split(" ")[0]
    name = syntax.split("@")[0].rsplit(":", 1)[0].removeprefix("docker.io/")
    if syntax and name not in ("docker/dockerfile", "docker/dockerfile-upstream", "moby/dockerfile", _BUILT_IN):
        raise Unsupported(f"{dockerfile.source.file}: the frontend {syntax} is not supported", "only docker/dockerfile is built in")


def _plan_stage(scope: Scope) -> list[Step]:
    opening = scope.stage.opening
    base = scope.stage.base
    made: list[Step] = [FromStep(describe(opening), opening.node.place, "", Origin() if base.context else base)]
    if base.context:
        made.append(plan_files.whole_context(scope))
    for instruction in scope.stage.instructions:
        try:
            made.append(_PLANNERS[instruction.node.keyword](scope, instruction))
        except LabError as fault:
            scope.faults.add(fault)
    return made


_PLANNERS: dict[str, Callable[[Scope, Instruction], Step]] = {
    "ADD": plan_files.transfer,
    "ARG": plan_config.arg,
    "CMD": plan_config.cmd,
    "COPY": plan_files.transfer,
    "ENTRYPOINT": plan_config.entrypoint,
    "ENV": plan_config.env,
    "EXPOSE": plan_config.expose,
    "HEALTHCHECK": plan_config.healthcheck,
    "LABEL": plan_config.label,
    "MAINTAINER": plan_config.maintainer,
    "ONBUILD": plan_config.onbuild,
    "RUN": plan_files.run,
    "SHELL": plan_config.shell,
    "STOPSIGNAL": plan_config.stopsignal,
    "USER": plan_config.user,
    "VOLUME": plan_config.volume,
    "WORKDIR": plan_config.workdir,
}
