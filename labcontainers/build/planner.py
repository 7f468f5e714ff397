"""Typed instructions to a plan: each instruction changes its stage's state on paper and becomes a step; faults are collected.

It must not run, copy, read or write anything: images' configs are asked for through a function.
"""

from __future__ import annotations

from collections.abc import Callable

from labcontainers.build import plan_config, plan_files
from labcontainers.build.dockerfile.instructions import Instruction
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Faults
from labcontainers.build.plan import BuildPlan, FromStep, PlanOptions, StagePlan, StageState, Step, begin_stage, describe
from labcontainers.build.scope import Scope
from labcontainers.build.stages import PROXY_ARGUMENTS, SANDBOX_HOSTNAME, SOURCE_DATE_EPOCH, Stages, group_stages
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, Unsupported
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig

_OWN_ARGUMENTS = {"BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_BUILD_NAME"}


def plan_build(
    dockerfile: Dockerfile,
    instructions: tuple[Instruction, ...],
    options: PlanOptions,
    platform: Platform,
    image_config: Callable[[str], ImageConfig],
) -> BuildPlan:
    """The plan of a build; raises once for all that is wrong in the needed stages (DockerfileError or Unsupported).

    `image_config` gives the config of a base image by name, and may make or load it.
    """
    _check_syntax(dockerfile)
    grouped, target = group_stages(instructions, options.build_args, platform, dockerfile.escape, options.target)
    faults = Faults()
    states: dict[int, StageState] = {}
    plans: list[StagePlan] = []
    for stage in grouped.needed(target):
        try:
            state = begin_stage(stage, states, image_config)
        except (DockerfileError, Unsupported):
            raise
        except LabError as error:
            raise stage.opening.place_of(stage.opening.image).fault(error.message, error.hint) from error
        states[stage.number] = state
        steps = _plan_stage(Scope(state, grouped, options, dockerfile.escape, faults, image_config))
        plans.append(StagePlan(stage, tuple(steps), state.config, state.author))
    faults.raise_any()
    known = grouped.used_build_args | PROXY_ARGUMENTS | _OWN_ARGUMENTS | {SANDBOX_HOSTNAME, SOURCE_DATE_EPOCH}
    unused = tuple(sorted(set(options.build_args) - known))
    return BuildPlan(tuple(plans), tuple(grouped.warnings), _source_date(grouped, options), unused)


def _check_syntax(dockerfile: Dockerfile) -> None:
    syntax = dockerfile.directives.get("syntax", "")
    name = syntax.split("@")[0].rsplit(":", 1)[0].removeprefix("docker.io/")
    if syntax and name not in ("docker/dockerfile", "docker/dockerfile-upstream", "moby/dockerfile"):
        raise Unsupported(f"{dockerfile.source.file}: the frontend {syntax} is not supported", "only docker/dockerfile is built in")


def _source_date(grouped: Stages, options: PlanOptions) -> int:
    text = options.build_args.get(SOURCE_DATE_EPOCH) or grouped.global_arguments.get(SOURCE_DATE_EPOCH) or "0"
    if not text.isdecimal():
        raise InvalidArgument(f"SOURCE_DATE_EPOCH is no number of seconds: {text!r}", "give the seconds since 1970")
    return int(text)


def _plan_stage(scope: Scope) -> list[Step]:
    opening = scope.stage.opening
    made: list[Step] = [FromStep(describe(opening), opening.node.place, "", scope.stage.base)]
    if scope.state.config.extra.get("OnBuild"):
        what = f"the base image {scope.stage.base_name} has ONBUILD triggers: building on it"
        scope.faults.add(opening.node.place.unsupported(what, "use a base image without triggers"))
    for instruction in scope.stage.instructions:
        try:
            made.append(_PLANNERS[instruction.node.keyword](scope, instruction))
        except LabError as fault:
            scope.faults.add(fault)
    return made


_HINTS = {
    "HEALTHCHECK": "leave it out: nothing checks health yet",
    "ONBUILD": "put the instruction into the Dockerfiles that use the image",
}


def _refuse(scope: Scope, instruction: Instruction) -> Step:
    keyword = instruction.node.keyword
    raise instruction.node.place_at(0).unsupported(keyword, _HINTS[keyword])


_PLANNERS: dict[str, Callable[[Scope, Instruction], Step]] = {
    "ADD": plan_files.transfer,
    "ARG": plan_config.arg,
    "CMD": plan_config.cmd,
    "COPY": plan_files.transfer,
    "ENTRYPOINT": plan_config.entrypoint,
    "ENV": plan_config.env,
    "EXPOSE": plan_config.expose,
    "HEALTHCHECK": _refuse,
    "LABEL": plan_config.label,
    "MAINTAINER": plan_config.maintainer,
    "ONBUILD": _refuse,
    "RUN": plan_files.run,
    "SHELL": plan_config.shell,
    "STOPSIGNAL": plan_config.stopsignal,
    "USER": plan_config.user,
    "VOLUME": plan_config.volume,
    "WORKDIR": plan_config.workdir,
}
