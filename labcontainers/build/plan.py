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
from labcontainers.build.remotes.addresses import Address
from labcontainers.build.source_dates import TimeOf, no_time
from labcontainers.build.stages import NamedOrigins, Origin, Stage, no_names
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
# 2 January 1980: a zip archive, such as a Python wheel, holds no earlier time, in any time zone
_OLDEST_IN_ZIP_S = 315_619_200


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
class RunMount:
    """A mount of one RUN: `type` is bind, cache, tmpfs, secret or ssh; `origin` None is the context, for a bind, or nothing.

    `target` is absolute, or "" for a secret that is the variable `env` only. `id` names a cache, a secret or an agent.
    """

    type: str
    target: str
    source: str
    origin: Origin | None
    read_only: bool
    id: str
    sharing: str
    size_bytes: int
    mode: int | None
    uid: int
    gid: int
    required: bool
    env: str


@dataclass(frozen=True, slots=True)
class RunStep(Step):
    """A command. `arguments` is what is executed; `script` is the body of a here-document with a `#!` line, which is executed instead.

    `environment` counts for the cache, `proxies` (the predefined proxy arguments) do not. `declared` are the names of its ARGs.
    `hosts` are lines of /etc/hosts as NAME:ADDRESS.
    """

    arguments: tuple[str, ...]
    script: str
    environment: tuple[str, ...]
    proxies: tuple[str, ...]
    working_dir: str
    user: str
    network: str
    hostname: str
    mounts: tuple[RunMount, ...] = ()
    declared: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A here-document of COPY or ADD: a file of this name with this content."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class CopyStep(Step):
    """Files to copy into the image. `origin` None is the build context; `destination` is absolute and keeps a final slash.

    `chown` is "" or `user[:group]`, `chmod` is "" or a mode; `unpacks` says that local tar archives are unpacked, `unpacks_remote` that
    those from elsewhere are. `remotes` has the address of each source that is one, and None for others; then `sources` has what is shown.
    With `link` the files go into a tree of their own, whatever is below; with `parents` the directories on the way to them come along.
    """

    origin: Origin | None
    sources: tuple[str, ...]
    files: tuple[InlineFile, ...]
    destination: str
    chown: str
    chmod: str
    exclude: tuple[str, ...]
    unpacks: bool
    link: bool = False
    parents: bool = False
    remotes: tuple[Address | None, ...] = ()
    unpacks_remote: bool = False


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage's steps, the config and author that its image gets, and the ARGs that it declares or inherits."""

    stage: Stage
    steps: tuple[Step, ...]
    config: ProcessConfig
    author: str
    arguments: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The needed stages in order, the one to build last. `source_date_epoch` is in seconds since 1970, None where nobody asks for one."""

    stages: tuple[StagePlan, ...]
    warnings: tuple[BuildWarning, ...]
    source_date_epoch: int | None
    unused_build_args: tuple[str, ...]
    global_arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many steps there are."""
        return sum(len(stage.steps) for stage in self.stages)

    @property
    def file_time_s(self) -> int:
        """The time of files that the build makes, in seconds since 1970."""
        return _OLDEST_IN_ZIP_S if self.source_date_epoch is None else self.source_date_epoch

    @property
    def created_s(self) -> int:
        """The time in the config and in its history, in seconds since 1970; 0 stands for none."""
        return self.source_date_epoch or 0


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the caller of a build decides beside the Dockerfile; `network` and `hosts` (NAME:ADDRESS) are for RUN.

    `contexts` is what names mean (remotes.named); `platform` is the image's, by default this machine's; `rights` are of build.rights;
    `rootless` says that no step can get the rights of this machine's root. `time_of` knows the times of what comes from elsewhere.
    """

    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    network: str = "bridge"
    contexts: NamedOrigins = no_names
    platform: Platform | None = None
    hosts: tuple[str, ...] = ()
    rights: frozenset[str] = frozenset()
    rootless: bool = False
    time_of: TimeOf = no_time


@dataclass(slots=True)
class StageState:
    """What a stage knows at one line: the config so far, the ARGs in scope (None: declared without value), and the author.

    `variables` are what RUN and expansion see: of ENV and ARG, the later one counts.
    """

    stage: Stage
    config: ProcessConfig
    arguments: dict[str, str | None] = field(default_factory=dict)
    author: str = ""
    command_is_set: bool = False
    workdir_is_set: bool = False
    base_platform: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variables.update(self.image_environment())

    def environment(self) -> dict[str, str]:
        """Variables of RUN and of expansion."""
        return dict(self.variables)

    def declare(self, name: str, value: str | None) -> None:
        """An ARG; without a value it leaves the variable as it is."""
        self.arguments[name] = value
        if value is not None:
            self.variables[name] = value

    def image_environment(self) -> dict[str, str]:
        """Variables that the image keeps."""
        return dict(entry.partition("=")[::2] for entry in self.config.env)

    def set_environment(self, values: Mapping[str, str]) -> None:
        """Add or replace variables that the image keeps, in place."""
        merged = {**self.image_environment(), **values}
        self.config = replace(self.config, env=tuple(f"{key}={value}" for key, value in merged.items()))
        self.variables.update(values)

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
        return StageState(
            stage,
            without_triggers(parent.config),
            dict(parent.arguments),
            parent.author,
            False,
            parent.workdir_is_set,
            "",
            dict(parent.variables),
        )
    if not stage.base.image:
        return StageState(stage, ProcessConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"))
    config = image_config(stage.base.image)
    state = StageState(stage, without_triggers(config.config), {}, config.author, base_platform=f"{config.os}/{config.architecture}")
    if "PATH" not in state.image_environment():
        state.set_environment({"PATH": DEFAULT_PATH})
    return state


def triggers_of(config: ProcessConfig) -> tuple[str, ...]:
    """The instructions that an image keeps for those that are built on it, as by ONBUILD."""
    return tuple(config.extra.get("OnBuild") or ())


def without_triggers(config: ProcessConfig) -> ProcessConfig:
    """The config of an image that is built on it: triggers do not go on to grandchildren."""
    return replace(config, extra={key: value for key, value in config.extra.items() if key != "OnBuild"})


def describe(instruction: Instruction) -> str:
    """An instruction on one line, as progress shows it: white space of continuation lines joined."""
    return " ".join(instruction.node.text.split())
