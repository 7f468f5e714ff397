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
    """An image that the build used: its name there, the digest by which a registry has it, "" where none is known, and its id.

    One of an OCI layout has the name of the context that this is, and the digest of its manifest there.
    """

    name: str
    registry_digest: str
    id: str
    is_of_layout: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """What the build took from elsewhere: its address without user and password, and its digest, or the commit, in hexadecimal digits."""

    uri: str
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """`file` is the Dockerfile's name, `text` what is in it, `epoch` SOURCE_DATE_EPOCH in seconds; `secrets` and `agents` are ids alone.

    `required` are those ids without which a step fails. `context` is the address of the context with the Dockerfile, where it has one;
    `is_complete` says that nothing came from folders of the machine, and `is_hermetic` that no step had a network either.
    """

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
    required: frozenset[str] = frozenset()
    context: Remote | None = None
    is_complete: bool = False
    is_hermetic: bool = False


def bases_of(plan: BuildPlan, find: Callable[[str], Found], layouts: Mapping[str, str] | None = None) -> tuple[Base, ...]:
    """The images that a plan stands on or copies from, in the order of their names; `find` gives the image of a name.

    `layouts` has the name of the context by the id of an image that came from an OCI layout.
    """
    return tuple(_base(name, find(name), (layouts or {}).get(name, "")) for name in sorted(set(_names(plan))))


def confidential_ids(plan: BuildPlan, kind: str) -> dict[str, bool]:
    """The ids of the secrets (`secret`) or agents (`ssh`) that the steps of a plan ask for, and whether one cannot do without it."""
    found: dict[str, bool] = {}
    for mount in [mount for step in _runs(plan) for mount in step.mounts if mount.type == kind]:
        found[mount.id] = mount.required or found.get(mount.id, False)
    return found


def has_network(plan: BuildPlan) -> bool:
    """Whether a step of a plan has a network."""
    return any(step.network != "none" for step in _runs(plan))


def _runs(plan: BuildPlan) -> Iterator[RunStep]:
    return (step for stage in plan.stages for step in stage.steps if isinstance(step, RunStep))


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


def _base(name: str, image: Found, layout: str) -> Base:
    if layout and isinstance(image, Image):
        return Base(layout, image.manifest_digest, image.id, is_of_layout=True)
    digests: Sequence[str] = image.repo_digests if isinstance(image, Image) else ()
    if not digests or name.startswith("sha256:"):
        return Base(name, "", image.id)
    repository = parse_reference(name).repository
    known = [parse_reference(text) for text in digests]
    return Base(name, next((one.digest for one in known if one.repository == repository), ""), image.id)
