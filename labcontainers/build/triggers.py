"""Triggers of ONBUILD: instructions that a base keeps, done first in each stage that is built on it.

It must not know what an instruction does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labcontainers.build.dockerfile.instructions import From, Instruction, Onbuild, read_instruction
from labcontainers.build.dockerfile.parser import parse
from labcontainers.build.dockerfile.source import Faults
from labcontainers.build.plan import triggers_of
from labcontainers.build.stages import Stage, Stages
from labcontainers.oci.image_config import ImageConfig


def with_triggers(grouped: Stages, target: Stage, base_config: Callable[[Stage], ImageConfig]) -> tuple[Stage, ...]:
    """The stages that `target` needs, each with the triggers of its base before its own instructions; `grouped` gets them, too.

    Triggers may copy from further stages, which are needed then. `base_config` is asked for stages that begin with an image.
    Raises DockerfileError for triggers that are no instructions, and what `base_config` raises.
    """
    seen: set[int] = set()
    faults = Faults()
    while waiting := [stage for stage in grouped.needed(target) if stage.number not in seen]:
        for stage in waiting:
            seen.add(stage.number)
            texts = _triggers(grouped, stage, base_config)
            if texts:
                found = tuple(_read(text, stage, faults) for text in texts)
                read = tuple(instruction for instruction in found if instruction is not None)
                changed = replace(stage, instructions=(*read, *stage.instructions))
                grouped.stages = tuple(changed if one.number == stage.number else one for one in grouped.stages)
        faults.raise_any()
    return grouped.needed(target)


def _triggers(grouped: Stages, stage: Stage, base_config: Callable[[Stage], ImageConfig]) -> tuple[str, ...]:
    if stage.base.stage is not None:
        kept = [one for one in grouped.stages[stage.base.stage].instructions if isinstance(one, Onbuild)]
        return tuple(one.text for one in kept)
    return triggers_of(base_config(stage).config) if stage.base.image else ()


def _read(text: str, stage: Stage, faults: Faults) -> Instruction | None:
    """One trigger; what is wrong with it is shown in a file of its own, at the line of FROM."""
    opening = stage.opening.node
    file = f"{opening.source.file} (ONBUILD of {stage.base_name})"
    found = parse("\n" * (opening.first_line - 1) + text, file, faults)
    if len(found.nodes) != 1:
        faults.add(opening.place.fault(f"a trigger of {stage.base_name} is not one instruction: {text[:100]!r}", "use another base image"))
        return None
    instruction = read_instruction(found.nodes[0], found.escape, faults)
    if isinstance(instruction, From | Onbuild) or (instruction is not None and instruction.node.keyword == "MAINTAINER"):
        faults.add(opening.place.fault(f"{instruction.node.keyword} is not allowed as an ONBUILD trigger of {stage.base_name}"))
        return None
    return instruction
