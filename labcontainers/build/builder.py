"""Builds an image: reads the Dockerfile, plans, and does each step from the cache or anew, telling how it goes.

It must not know how steps are carried out, nor how progress is shown.

Equal inputs give equal images on every machine: files that COPY, ADD and WORKDIR make have the time SOURCE_DATE_EPOCH (a build
argument) or 0, and so have the times in the config. What RUN makes is as it made it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from labcontainers.build.cache import BuildCache
from labcontainers.build.context import HashCache, open_context
from labcontainers.build.dockerfile.instructions import read_dockerfile
from labcontainers.build.dockerfile.lint import BuildWarning, check, directive
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Faults, Place, Source
from labcontainers.build.execution import BaseImages, BuildRun, BuiltStage, timestamp
from labcontainers.build.plan import BuildPlan, PlanOptions
from labcontainers.build.planner import plan_build
from labcontainers.build.progress import BuildEvent, BuildFinished, OnEvent
from labcontainers.build.result import Build
from labcontainers.build.steps import StepExecutor, StepRunner
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.image import Image
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.reference import parse_reference
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer, TreeWorker

_KEPT_KEYS = ("variant", "os.version", "os.features")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build: a context folder, and the Dockerfile's text, or its path (in the context unless absolute).

    `network` is what RUN steps get: bridge, none or host.
    """

    context: Path
    dockerfile_text: str | None = None
    dockerfile: str | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    no_cache: bool = False
    network: str = "bridge"
    labels: Mapping[str, str] = field(default_factory=dict)


class Builder:
    """Builds images of one store. One instance may build in several threads at once."""

    def __init__(self, store: Store, catalog: Catalog, runner: StepRunner, worker: TreeWorker) -> None:
        self._store = store
        self._catalog = catalog
        self._runner = runner
        self._worker = worker

    def build(self, request: BuildRequest, on_event: OnEvent | None = None) -> Build:
        """Build and return what was made; blocks. `on_event` is called in this thread.

        Raises DockerfileError or Unsupported before anything is run, NotFound for a missing context, file or image, StepFailed for
        a command that failed. Steps that were finished stay cached, whatever ends the build.
        """
        begun = time.monotonic()
        tags = tuple(parse_reference(tag) for tag in request.tags)
        hashes = HashCache(self._store.paths.builds / "context-hashes.json")
        context = open_context(request.context, request.dockerfile, hashes)
        text, file = _read(request)
        dockerfile, instructions = read_dockerfile(text, file)
        images = BaseImages(self._catalog)
        options = PlanOptions(request.build_args, request.target, request.network)
        plan = plan_build(dockerfile, instructions, options, host_platform(), images.config)
        warnings = check(dockerfile, instructions, plan.warnings)
        unused = ", ".join(plan.unused_build_args)
        if unused:
            place = Place(Source(file, ()), 1, 1)
            warnings = (*warnings, BuildWarning("UnusedBuildArg", f"build arguments were not consumed: {unused}", place))
        _refuse_warnings(dockerfile, warnings)
        executor = StepExecutor(self._store, self._worker, self._runner, plan.source_date_epoch)
        cache = BuildCache(self._store, enabled=not request.no_cache)
        identity = f"{request.context.absolute()}|{file}|{' '.join(tag.canonical for tag in tags)}"
        work = BuildRun(self._store, plan, context, images, executor, cache, on_event or _ignore, identity)
        try:
            final = work.build_all()
        finally:
            hashes.save()
        image = self._put(request, plan, final, work.layers(final))
        duration_s = time.monotonic() - begun
        work.tell(BuildFinished(image.id, tuple(tag.familiar for tag in tags), duration_s))
        return Build(image, tuple(work.records), duration_s, warnings)

    def _put(self, request: BuildRequest, plan: BuildPlan, final: BuiltStage, layers: list[Layer]) -> Image:
        platform = host_platform()
        stage = plan.stages[-1]
        process = stage.config
        if request.labels:
            process = replace(process, labels={**process.labels, **request.labels})
        config = ImageConfig(
            architecture=platform.architecture,
            os=platform.os,
            config=process,
            diff_ids=tuple(final.diff_ids),
            history=tuple(final.history),
            created=timestamp(plan.source_date_epoch),
            author=stage.author,
            extra={key: value for key, value in final.extra.items() if key in _KEPT_KEYS},
        )
        return self._catalog.put(config, layers, request.tags)


def _ignore(event: BuildEvent) -> None:
    """Nobody looks on."""


def _read(request: BuildRequest) -> tuple[str, str]:
    """The Dockerfile's text and the name for messages; raises NotFound."""
    name = request.dockerfile or "Dockerfile"
    if request.dockerfile_text is not None:
        return request.dockerfile_text, name
    path = request.context / name
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape"), name
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such Dockerfile: {path}", "name it by -f, or write it in a %%dockerfile cell") from None
    except OSError as error:
        raise InvalidArgument(f"cannot read the Dockerfile {path}: {(error.strerror or '').lower()}") from error


def _refuse_warnings(dockerfile: Dockerfile, warnings: Sequence[BuildWarning]) -> None:
    """Raise for warnings when the file's `check` directive says that they are errors."""
    if not directive(dockerfile)[1]:
        return
    faults = Faults()
    for warning in warnings:
        faults.add(warning.place.fault(f"{warning.rule}: {warning.message}", "or leave out error=true in the check directive"))
    faults.raise_any()
