"""`commit --change`: single Dockerfile instructions applied to a config, by the same parser and the same planner as a build's.

It must not know containers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labcontainers.build.dockerfile.instructions import Onbuild, read_dockerfile
from labcontainers.build.plan import DEFAULT_PATH, PlanOptions
from labcontainers.build.planner import plan_build
from labcontainers.errors import DockerfileError, InvalidArgument, Unsupported
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig

# Source: moby's daemon/builder/dockerfile, validCommitCommands.
ALLOWED = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
_STAGE = "FROM container\n"


def apply_changes(config: ProcessConfig, changes: Sequence[str]) -> ProcessConfig:
    """The config after these instructions, in order; raises InvalidArgument and Unsupported, naming the change that is wrong.

    Variables of the config's environment are filled in, as in a Dockerfile. WORKDIR makes no directory, as in Docker.
    """
    kept, triggers = [], []
    for change in changes:
        trigger = _check(change)
        if trigger is None:
            kept.append(change)
        else:
            triggers.append(trigger)
    if kept:
        config = _planned(config, kept)
    if not triggers:
        return config
    extra: Mapping[str, Any] = {**config.extra, "OnBuild": [*(config.extra.get("OnBuild") or ()), *triggers]}
    return replace(config, extra=extra)


def _check(change: str) -> str | None:
    """Refuse what is not one of the allowed instructions; the instruction that an ONBUILD keeps for later, else None."""
    try:
        _, (_, *instructions) = read_dockerfile(_STAGE + change, "--change")
    except DockerfileError as error:
        raise _refused(change, error) from None
    if len(instructions) != 1:
        raise InvalidArgument(f"--change: invalid change {change!r}: it is not one instruction", "give one instruction with each --change")
    (instruction,) = instructions
    keyword = instruction.node.keyword
    if keyword not in ALLOWED:
        problem = f"--change: invalid change {change!r}: {keyword} is not a valid change command"
        raise InvalidArgument(problem, f"use one of {', '.join(ALLOWED)}")
    return instruction.node.text.split(None, 1)[1].strip() if isinstance(instruction, Onbuild) else None


def _planned(config: ProcessConfig, changes: Sequence[str]) -> ProcessConfig:
    platform = host_platform()
    image = ImageConfig(platform.architecture, platform.os, replace(config, extra={**config.extra, "OnBuild": None}), ())
    dockerfile, instructions = read_dockerfile(_STAGE + "\n".join(changes), "--change")
    try:
        plan = plan_build(dockerfile, instructions, PlanOptions(), platform, lambda name: image)
    except DockerfileError as error:
        raise _refused("; ".join(changes), error) from None
    except Unsupported as error:
        raise Unsupported(f"--change: {error.message}", error.hint) from None
    planned = plan.stages[-1].config
    extra = {key: value for key, value in planned.extra.items() if key != "OnBuild"}
    if "OnBuild" in config.extra:
        extra["OnBuild"] = config.extra["OnBuild"]
    env = planned.env
    if not any(entry.startswith("PATH=") for entry in config.env):
        # a stage of a build has this one, which no change asks for
        env = tuple(entry for entry in env if entry != f"PATH={DEFAULT_PATH}")
    return replace(planned, extra=extra, env=env)


def _refused(change: str, error: DockerfileError) -> InvalidArgument:
    return InvalidArgument(f"--change: invalid change {change!r}: {error.message}", error.hint)
