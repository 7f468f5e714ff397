"""What a build was made of, as far as it is told afterwards; values of secrets are never among it. It must not know how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labcontainers.build.plan import BuildPlan, CopyStep, RunStep
from labcontainers.images.image import Image
from labcontainers.oci.reference import parse_reference


class Found(Protocol):
    """An image that a build stood on."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Base:
    """An image that the build used: its name there, the digest by which a registry has it, "" where none is known, and its id."""

    name: str
    registry_digest: str
    id: str


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """What the build took from elsewhere: its address without user and password, and its digest, or the commit, in hexadecimal digits."""

    uri: str
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """`file` is the Dockerfile's name, `text` what is in it, `epoch` SOURCE_DATE_EPOCH in seconds; `secrets` and `agents` are ids alone."""

    file: str
    text: str
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    network: str = ""
    epoch: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    bases: tuple[Base, ...] = ()
    remotes: tuple[Remote, ...] = ()


def bases_of(plan: BuildPlan, find: Callable[[str], Found]) -> tuple[Base, ...]:
    """The images that a plan stands on or copies from, in the order of their names; `find` gives the image of a name."""
    return tuple(_base(name, find(name)) for name in sorted(set(_names(plan))))


def _names(plan: BuildPlan) -> Iterator[str]:
    for stage in plan.stages:
        if stage.stage.base.image:
            yield stage.stage.base.image
        for step in stage.steps:
            origins = (
                [step.origin]
                if isinstance(step, CopyStep)
                else [mount.origin for mount in step.mounts]
                if isinstance(step, RunStep)
                else []
            )
            yield from (origin.image for origin in origins if origin is not None and origin.image)


def _base(name: str, image: Found) -> Base:
    digests: Sequence[str] = image.repo_digests if isinstance(image, Image) else ()
    if not digests or name.startswith("sha256:"):
        return Base(name, "", image.id)
    repository = parse_reference(name).repository
    known = [parse_reference(text) for text in digests]
    return Base(name, next((one.digest for one in known if one.repository == repository), ""), image.id)
