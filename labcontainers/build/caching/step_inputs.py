"""What each kind of step depends on, for the build cache, and what misses tell of it.

It must not know the cache, nor how a step is carried out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import assert_never

from labcontainers.build.caching.reasons import COMMAND, ENVIRONMENT, FILES, FILES_OF_MOUNT, HERE_DOCUMENTS, TIME, Inputs, Subject
from labcontainers.build.gathering import Chosen, file_digests
from labcontainers.build.mounting import Bound
from labcontainers.build.plan import CopyStep, RunStep, Step, WorkdirStep
from labcontainers.build.sources import TreeFiles


def step_inputs(step: RunStep | CopyStep | WorkdirStep, chosen: list[Chosen] | TreeFiles, bound: Bound, mtime_s: int) -> Inputs:
    """All that a step depends on beside what it builds on; `chosen` is what a COPY names, `bound` what the mounts of a RUN show."""
    return {**_own_inputs(step, chosen, mtime_s), **_mount_inputs(step, bound)}


def subject_of(step: Step, stages: Mapping[int, str], base: tuple[str, str], changed_by: str) -> Subject:
    """A step as misses tell of it; `stages` are the names of stages by their numbers, the rest is the Subject's."""
    origin, arguments = "", frozenset[str]()
    if isinstance(step, CopyStep) and step.origin is not None:
        number = step.origin.stage
        origin = f"stage {stages[number]}" if number is not None else f"image {step.origin.image}"
        origin = f"context {step.origin.context}" if step.origin.context else origin
    if isinstance(step, RunStep):
        arguments = frozenset(step.declared)
    return Subject(step.text.partition(" ")[0].upper(), step.text, arguments, origin, base, changed_by)


def _own_inputs(step: RunStep | CopyStep | WorkdirStep, chosen: list[Chosen] | TreeFiles, mtime_s: int) -> Inputs:
    """What a step depends on, under names that a reader understands."""
    match step:
        case RunStep():
            return {
                COMMAND: json.dumps([step.arguments, step.script]),
                ENVIRONMENT: dict(entry.partition("=")[::2] for entry in step.environment),
                "the working directory": step.working_dir,
                "the user": step.user,
                "the network": step.network,
                "the host name": step.hostname,
                TIME: str(mtime_s),
                **({"the added hosts": json.dumps(step.hosts)} if step.hosts else {}),
                **({"the security mode": "insecure"} if step.privileged else {}),
            }
        case WorkdirStep():
            return {"the working directory": step.path, "the user": step.user, TIME: str(mtime_s)}
        case CopyStep():
            return {
                "the instruction": json.dumps([step.sources, step.destination, step.unpacks, *_kinds_of_copy(step)]),
                "the owner": step.chown,
                "the mode": step.chmod,
                "the exclusions": json.dumps(step.exclude),
                TIME: str(mtime_s),
                HERE_DOCUMENTS: {file.name: _text_digest(file.content) for file in step.files},
                FILES: _file_digests(chosen),
            }
        case _:
            assert_never(step)


def _kinds_of_copy(step: CopyStep) -> list[str]:
    return [name for name, is_set in (("link", step.link), ("parents", step.parents), ("unpack", step.unpacks_remote)) if is_set]


def _mount_inputs(step: Step, bound: Bound) -> Inputs:
    """What the mounts of a RUN depend on: how they are asked for, and what is bound, but neither what a cache holds nor secrets."""
    if not isinstance(step, RunStep) or not step.mounts:
        return {}
    asked = [asdict(replace(mount, origin=None)) for mount in step.mounts]
    files = {f"{FILES_OF_MOUNT}{mount.target}": _file_digests(bound[mount.target]) for mount in step.mounts if mount.target in bound}
    return {"the mounts": json.dumps(asked), **files}


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _file_digests(chosen: Sequence[Chosen] | TreeFiles) -> Mapping[str, str] | str:
    return chosen.content if isinstance(chosen, TreeFiles) else file_digests(chosen)
