"""Typed instructions to a plan: for every needed stage the steps with all words expanded, and the config that results.

It must not run, copy, read or write anything: images' configs are asked for through a function.

Source: docs.docker.com "Dockerfile reference"; the texts of the history are BuildKit's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from labcontainers.build.dockerfile.instructions import Instruction
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.source import Place
from labcontainers.build.stages import Origin, Stage
from labcontainers.oci.image_config import ImageConfig, ProcessConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, ready: `text` as a reader knows it, `created_by` for the history, `place` in the file."""

    text: str
    place: Place
    created_by: str


@dataclass(frozen=True, slots=True)
class FromStep(Step):
    """The beginning of a stage."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class ConfigStep(Step):
    """An instruction that changes the config only."""


@dataclass(frozen=True, slots=True)
class WorkdirStep(Step):
    """A directory to be made where it is missing, owned by `user`."""

    path: str
    user: str


@dataclass(frozen=True, slots=True)
class RunStep(Step):
    """A command. `arguments` is what is executed; `script` is the body of a here-document with a `#!` line, which is executed instead.

    `environment` counts for the cache, `proxies` (the predefined proxy arguments) do not.
    """

    arguments: tuple[str, ...]
    script: str
    environment: tuple[str, ...]
    proxies: tuple[str, ...]
    working_dir: str
    user: str
    network: str
    hostname: str


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A here-document of COPY or ADD: a file of this name with this content."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class CopyStep(Step):
    """Files to copy into the image. `origin` None is the build context; `destination` is absolute and keeps a final slash.

    `chown` is "" or `user[:group]`, `chmod` is "" or a mode; `unpacks` says that local tar archives are unpacked.
    """

    origin: Origin | None
    sources: tuple[str, ...]
    files: tuple[InlineFile, ...]
    destination: str
    chown: str
    chmod: str
    exclude: tuple[str, ...]
    unpacks: bool


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage's steps, and the config and author that its image gets."""

    stage: Stage
    steps: tuple[Step, ...]
    config: ProcessConfig
    author: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The needed stages in order, the one to build last."""

    stages: tuple[StagePlan, ...]
    warnings: tuple[BuildWarning, ...]
    source_date_epoch: int
    unused_build_args: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many steps there are."""
        return sum(len(stage.steps) for stage in self.stages)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the caller of a build decides beside the Dockerfile; `network` is for RUN."""

    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    network: str = "bridge"


@dataclass(slots=True)
class StageState:
    """What a stage knows at one line: the config so far, the ARGs in scope (None: declared without value), and the author."""

    stage: Stage
    config: ProcessConfig
    arguments: dict[str, str | None] = field(default_factory=dict)
    author: str = ""
    command_is_set: bool = False

    def environment(self) -> dict[str, str]:
        """Variables of RUN and of expansion: ENV before ARG."""
        values = {name: value for name, value in self.arguments.items() if value is not None}
        return {**values, **self.image_environment()}

    def image_environment(self) -> dict[str, str]:
        """Variables that the image keeps."""
        return dict(entry.partition("=")[::2] for entry in self.config.env)

    def set_environment(self, values: Mapping[str, str]) -> None:
        """Add or replace variables that the image keeps, in place."""
        merged = {**self.image_environment(), **values}
        self.config = replace(self.config, env=tuple(f"{key}={value}" for key, value in merged.items()))

    @property
    def shell(self) -> tuple[str, ...]:
        """What runs the shell form."""
        return self.config.shell or DEFAULT_SHELL

    @property
    def working_dir(self) -> str:
        """Absolute."""
        return self.config.working_dir or "/"


def begin_stage(stage: Stage, earlier: Mapping[int, StageState], image_config: Callable[[str], ImageConfig]) -> StageState:
    """The state at a stage's FROM; raises what `image_config` raises."""
    if stage.base.stage is not None:
        parent = earlier[stage.base.stage]
        return StageState(stage, parent.config, dict(parent.arguments), parent.author)
    if not stage.base.image:
        return StageState(stage, ProcessConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"))
    config = image_config(stage.base.image)
    state = StageState(stage, config.config, {}, config.author)
    if "PATH" not in state.image_environment():
        state.set_environment({"PATH": DEFAULT_PATH})
    return state


def describe(instruction: Instruction) -> str:
    """An instruction on one line, as progress shows it: white space of continuation lines joined."""
    return " ".join(instruction.node.text.split())
