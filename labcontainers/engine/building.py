"""`engine.images.build`: the user's keywords, checked, to a request for the builder.

It must not know how a build shows itself, nor how a step is carried out.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec

from labcontainers.build.agents import open_agents
from labcontainers.build.builder import Builder
from labcontainers.build.calls import CALLS, Call, CheckResult, Outline, Targets
from labcontainers.build.cancelling import Cancel
from labcontainers.build.progress import BuildEvent, OnEvent
from labcontainers.build.remotes.addresses import Address, parse_context
from labcontainers.build.remotes.elsewhere import Means
from labcontainers.build.remotes.named import read_contexts
from labcontainers.build.request import BuildRequest
from labcontainers.build.result import Build
from labcontainers.build.rights import read_rights
from labcontainers.build.secrets import Confidential, read_secrets
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.options.container import ContainerOptions, converted
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.namespaces import owner_of
from labcontainers.engine.build_cache import BuildCaches
from labcontainers.engine.build_flags import KEYWORDS as CACHE_KEYWORDS
from labcontainers.engine.build_flags import take_caching
from labcontainers.engine.cache_moving import CacheMoving
from labcontainers.engine.cache_told import PrunedBuilds
from labcontainers.engine.exporting import Exporter
from labcontainers.engine.failed_step import FailedSteps, keeping_failed_steps
from labcontainers.engine.output_wishes import KEYWORDS as OUTPUT_KEYWORDS
from labcontainers.engine.output_wishes import take_wishes
from labcontainers.engine.step_limits import KEYWORDS as LIMIT_KEYWORDS
from labcontainers.engine.step_limits import NO_LIMITS, take_limits, with_time
from labcontainers.engine.step_runner import RuntimeStepRunner
from labcontainers.engine.transfers import Transfers
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.archive.contents import Data
from labcontainers.images.catalog import Catalog
from labcontainers.oci.reference import parse_reference
from labcontainers.store.layout import Store, while_making
from labcontainers.store.space import tells_full_disk

Parameters = ParamSpec("Parameters")

_BUILD_KEYWORDS = (
    "path", "dockerfile_text", "dockerfile", "tag", "tags", "build_args", "target", "no_cache", "network", "labels", "on_event",
    "archive", "build_contexts", "cancel", "verify", *OUTPUT_KEYWORDS, *CACHE_KEYWORDS, *LIMIT_KEYWORDS,
)  # fmt: skip
# docker-py's keywords that have another name here, and those that have no meaning yet.
_RENAMED = {"buildargs": "build_args", "nocache": "no_cache", "network_mode": "network", "fileobj": "dockerfile_text"}
_LATER = frozenset("custom_context encoding timeout use_config_proxy".split())


def names_of(value: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (value,) if isinstance(value, str) else tuple(value)


def _unknown(key: str) -> InvalidArgument | Unsupported:
    if key in _LATER:
        return Unsupported(f"build: the option {key!r} is not supported yet", "leave it out")
    near = [_RENAMED[key]] if key in _RENAMED else difflib.get_close_matches(key, _BUILD_KEYWORDS, n=1)
    return InvalidArgument(
        f"build: unknown option {key!r}", f"did you mean {near[0]}?" if near else f"options are {', '.join(_BUILD_KEYWORDS)}"
    )


def _ignore(event: BuildEvent) -> None:
    """Nobody looks on."""


@about("--tag")
def _checked_tags(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names; raises InvalidReference."""
    for name in names:
        parse_reference(name)
    return names


@contextlib.contextmanager
def _confidential(secrets: Sequence[str], ssh: Sequence[str], folder: Path) -> Iterator[Confidential]:
    """What --secret and --ssh name, as long as the context lasts; raises InvalidArgument, NotFound, Unsupported."""
    values = read_secrets(secrets, folder, os.environ)
    with open_agents(ssh, folder, os.environ) as sockets:
        yield Confidential(values, sockets)


def _checked_network(network: str) -> str:
    """The network of RUN; raises InvalidArgument, Unsupported."""
    wanted = str(converted({"network": network})["network"])
    if owner_of(wanted):
        raise Unsupported(f"--network: {wanted!r} is not supported: a build has no container to join", "use bridge, none or host")
    return wanted


def tidied(build: Callable[Parameters, Build]) -> Callable[Parameters, Build]:
    """Decorates the method that builds: after one that did something anew, what is too old or too much of the cache goes."""

    @functools.wraps(build)
    def wrapped(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> Build:
        built = build(*arguments, **keywords)
        owner = arguments[0]
        if built.cached_steps < len(built.steps) and isinstance(owner, Building):
            owner.build_cache.tidy()
        return built

    return wrapped


def _address(path: str | Path) -> Address | None:
    """What a context means that is no folder; None for a folder. Raises InvalidArgument."""
    if not isinstance(path, str) or os.path.isdir(path):
        return None
    return parse_context(path)


class Building:
    """Builds images of one store."""

    def __init__(self, catalog: Catalog, store: Store, lifecycle: Lifecycle, transfers: Transfers) -> None:
        self.transfers = transfers
        self._catalog = catalog
        self._store = store
        self._lifecycle = lifecycle
        self.transfers = transfers

    @cached_property
    def failed_steps(self) -> FailedSteps:
        """The steps of builds that failed, to look around in: of each build the last one, until it succeeds or a prune takes it away."""
        return FailedSteps(self._store, self._catalog, self._lifecycle)

    @property
    def build_cache(self) -> BuildCaches:
        """What builds keep for the next ones: usage() tells, and prune() removes."""
        return BuildCaches(self._store, self._catalog)

    def prune_builds(
        self, filters: Mapping[str, Any] | None = None, keep_storage: int | str | None = None, all: bool = False
    ) -> PrunedBuilds:
        """As build_cache.prune(), by docker-py's words: `keep_storage` is what may stay, in bytes or such as "2gb"."""
        return self.build_cache.prune(filters, all=all, reserved_space=keep_storage)

    @tidied
    @tells_full_disk(lambda self: self._store.paths.root)
    @keeping_failed_steps(lambda self: self.failed_steps)
    @while_making(lambda self: self._store)
    def build(
        self,
        path: str | Path = ".",
        *,
        dockerfile_text: str | None = None,
        dockerfile: str | None = None,
        tag: str | Sequence[str] = (),
        tags: str | Sequence[str] = (),
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        no_cache: bool = False,
        network: str = "bridge",
        allow: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        secrets: str | Sequence[str] = (),
        ssh: str | Sequence[str] = (),
        folder: str | Path = ".",
        archive: Data | None = None,
        build_contexts: Mapping[str, str | Path] | None = None,
        verify: bool = False,
        on_event: OnEvent | None = None,
        cancel: Cancel | None = None,
        **more: Any,
    ) -> Build:
        """Build an image from a context and a Dockerfile (`dockerfile_text`, or the file's name in the context).

        The context is a folder, the address of an archive or of a git repository, or an `archive` as load() takes it. `build_contexts`
        are others by their names: folders, addresses, docker-image://REFERENCE or oci-layout://FOLDER. `tag` and `tags` mean the same.
        `secrets` are such as "id=NAME,src=FILE" or "id=NAME,env=VARIABLE", `ssh` such as "default", "ID=SOCKET" or "ID=KEY"; files are
        found from `folder`. `allow` gives rights: "host", "network.host", "security.insecure" (build.rights). With `verify` every step is
        done twice, for Build.verification. `on_event` is told of each step, in this thread; `cancel.cancel()` stops it at once. `more`
        are keywords of engine.output_wishes, .build_flags and .step_limits. Raises as Builder.build() and Exporter.export() do; blocks.
        """
        names, wanted = _checked_tags((*names_of(tag), *names_of(tags))), _checked_network(network)
        limits = self._limits(more, wanted)
        wishes, moving = take_wishes(more, names, Path(folder)), self._caching(more, Path(folder))
        if more:
            raise _unknown(next(iter(more)))
        request = BuildRequest(
            context=Path(path),
            remote=archive if archive is not None else _address(path),
            contexts=read_contexts({name: str(value) for name, value in (build_contexts or {}).items()}, Path(folder)),
            dockerfile_text=dockerfile_text,
            dockerfile=dockerfile,
            **wishes.request_keywords,
            build_args=with_time(build_args or {}),
            target=target,
            no_cache=no_cache,
            **moving.request_keywords,
            network=wanted,
            hosts=limits.extra_hosts,
            rights=read_rights(names_of(allow)),
            verify=verify,
            labels=dict(labels or {}),
        )
        exporter = Exporter(self._store, self._catalog, self._lifecycle.launcher, self.transfers, on_event or _ignore)
        with _confidential(names_of(secrets), names_of(ssh), Path(folder)) as told:
            trusted = replace(request, confidential=told)
            return moving.after(exporter.exported(lambda tell: self._builder(limits).build(trusted, tell, cancel), wishes))

    def _caching(self, keywords: dict[str, Any], folder: Path) -> CacheMoving:
        """What is said of caches and the platform, taken out of the keywords."""
        wishes = take_caching(keywords, self.transfers.renew, folder)
        return CacheMoving(wishes, self._store, self._lifecycle.launcher, self.transfers.connect)

    def _limits(self, keywords: dict[str, Any], network: str) -> ContainerOptions:
        """What each RUN may use, taken out of the keywords; raises Unsupported for what this host cannot give."""
        limits = take_limits(keywords, network)
        self._lifecycle.check(limits)
        return limits

    def _builder(self, limits: ContainerOptions = NO_LIMITS) -> Builder:
        runner = RuntimeStepRunner(self._lifecycle, limits)
        launcher = self._lifecycle.launcher
        return Builder(self._store, self._catalog, runner, launcher, Means(self.transfers.fetch_file, launcher), self.failed_steps.kept)

    def describe_build(
        self,
        call: Call,
        path: str | Path = ".",
        *,
        dockerfile_text: str | None = None,
        dockerfile: str | None = None,
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        archive: Data | None = None,
        build_contexts: Mapping[str, str | Path] | None = None,
        folder: str | Path = ".",
    ) -> CheckResult | Outline | Targets:
        """What BuildKit's checks say of a Dockerfile (`check`), what a target takes (`outline`), or the targets; builds nothing.

        The rest is as for build(). Raises DockerfileError, Unsupported and NotFound; `check` tells faults of the Dockerfile in its result.
        """
        if call not in CALLS:
            raise InvalidArgument(f"--call: unknown: {call!r}", f"use one of {', '.join(CALLS)}")
        request = BuildRequest(
            Path(path),
            dockerfile_text,
            dockerfile,
            build_args=dict(build_args or {}),
            target=target,
            remote=archive if archive is not None else _address(path),
            contexts=read_contexts({name: str(value) for name, value in (build_contexts or {}).items()}, Path(folder)),
        )
        return self._builder().describe(request, call)
