"""Builds an image: reads the Dockerfile, plans, and does each step from the cache or anew, telling how it goes.

It must not know how steps are carried out, nor how progress is shown.

Equal inputs give equal images on every machine: files that COPY, ADD and WORKDIR make, and the config, have the time SOURCE_DATE_EPOCH (a
build argument, or a variable of the environment), else a fixed one; what RUN made or touched is not newer than that. Of what RUN makes,
content, modes, owners and attributes are as it made them: a command that writes the time or chance into a file does so each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from labcontainers.build import rights
from labcontainers.build.base_images import BaseImages
from labcontainers.build.cache import BuildCache
from labcontainers.build.caching.document import INLINE, inline
from labcontainers.build.caching.exporting import of_image
from labcontainers.build.caching.importing import CacheSource
from labcontainers.build.calls import Call, CheckResult, Outline, Subject, Targets, answer, ignored_files
from labcontainers.build.cancelling import Cancel
from labcontainers.build.context import Context, HashCache, open_context
from labcontainers.build.dockerfile.instructions import From, Instruction, read_dockerfile
from labcontainers.build.dockerfile.lint import BuildWarning, check, check_options
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Faults, Place, Source, nearest
from labcontainers.build.execution import BuildRun, BuiltStage, timestamp
from labcontainers.build.failures import BuildSubject, Failures
from labcontainers.build.gathering import Gatherer
from labcontainers.build.outputs.inputs import BuildInputs, bases_of, confidential_ids, has_network
from labcontainers.build.plan import DEFAULT_PATH, BuildPlan, PlanOptions
from labcontainers.build.planner import plan_build
from labcontainers.build.progress import BuildEvent, BuildFinished, OnEvent
from labcontainers.build.remotes.addresses import Address, GitAddress, WebAddress
from labcontainers.build.remotes.elsewhere import Elsewhere, Means, names_on_paper
from labcontainers.build.remotes.main_context import DOCKERFILE, KEEP_GIT_DIR, MOST_BYTES, lower_name, open_remote, read_inside
from labcontainers.build.remotes.named import FolderContext
from labcontainers.build.request import BuildRequest
from labcontainers.build.result import Build
from labcontainers.build.source_dates import TimeOf
from labcontainers.build.squashing import Base, squashed
from labcontainers.build.stages import NamedOrigins
from labcontainers.build.steps import StepExecutor, StepRunner
from labcontainers.build.verifying import VerifyingExecutor, verify
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.catalog import Catalog
from labcontainers.images.host_root import WARNING as HOST_WARNING
from labcontainers.images.host_root import is_name as is_host_name
from labcontainers.images.host_root import make as make_host
from labcontainers.images.image import Image
from labcontainers.kernel.id_maps import is_root_of_host
from labcontainers.oci.descriptor import host_platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig
from labcontainers.oci.reference import parse_reference
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer, TreeWorker

_INLINE_ARGUMENT = "BUILDKIT_INLINE_CACHE"
_KEPT_KEYS = ("variant", "os.version", "os.features")


class Builder:
    """Builds images of one store. One instance may build in several threads at once. `failures` keeps steps that fail."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        runner: StepRunner,
        worker: TreeWorker,
        means: Means | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._runner = runner
        self._worker = worker
        self._means = means or Means()
        self._failures = failures

    def build(self, request: BuildRequest, on_event: OnEvent | None = None, cancel: Cancel | None = None) -> Build:
        """Build and return what was made; blocks. `on_event` is called in this thread; `cancel` stops it from any.

        Raises DockerfileError or Unsupported before anything is run, NotFound for a missing context, file or image, StepFailed for
        a command that failed, Cancelled. Steps that were finished stay cached, whatever ends the build.
        """
        stop = Cancel()
        with (cancel or Cancel()).stopping(stop.cancel), self._elsewhere(request, stop) as elsewhere:
            return self._build(request, on_event or _ignore, stop, elsewhere)

    def _elsewhere(self, request: BuildRequest, cancel: Cancel) -> Elsewhere:
        hashes = HashCache(self._store.paths.builds / "context-hashes.json")
        return Elsewhere(self._store, self._catalog, self._means, request.contexts, request.confidential, hashes, cancel)

    def _build(self, request: BuildRequest, on_event: OnEvent, cancel: Cancel, elsewhere: Elsewhere) -> Build:
        begun = time.monotonic()
        tags = tuple(parse_reference(tag) for tag in request.tags)
        if request.squash and _tells_steps(request):
            raise InvalidArgument("--squash: the image has no layers of steps for --cache-to type=inline", "leave one of them out")
        context, text, file, time_s = _opened(request, elsewhere)
        dockerfile, instructions = read_dockerfile(text, file)
        allowed = rights.HOST_ROOT in request.rights
        host = partial(make_host, self._store, rootless=not is_root_of_host(), allowed=allowed)
        images = BaseImages(self._catalog, host, cancel, request.pull)
        options = _options(request, request.rights, elsewhere.origin, partial(_time_of, time_s, elsewhere), rootless=not is_root_of_host())
        plan = plan_build(dockerfile, instructions, options, host_platform(), images.config, obtain=images.obtain)
        checks = check_options(dockerfile, request.build_args)
        warnings = check(dockerfile, instructions, (*plan.warnings, *ignored_files(plan, context.rules)), checks)
        warnings = (*warnings, *_no_such_stages(request.no_cache_stages, dockerfile, instructions))
        unused = ", ".join(plan.unused_build_args)
        if unused:
            place = Place(Source(file, ()), 1, 1)
            warnings = (*warnings, BuildWarning("UnusedBuildArg", f"build arguments were not consumed: {unused}", place))
        if checks.is_error:
            _refuse_warnings(warnings)
        if images.are_of_host():
            warnings = (*warnings, _of_host(plan))
        identity = f"{context.shown}|{file}|{' '.join(tag.canonical for tag in tags)}"
        subject = BuildSubject(identity, tuple(tag.familiar for tag in tags), request.context)
        keep = None if self._failures is None else partial(self._failures.keep, subject)
        tools = (self._store, self._worker, self._runner, plan.file_time_s, request.confidential, cancel)
        name, sources = tags[0].familiar if tags else "", request.caching.sources
        cache = BuildCache(self._store, anew=request.no_cache, anew_stages=request.no_cache_stages, sources=sources, name=name)
        files = Gatherer(context, elsewhere)

        def run_of(executor: StepExecutor, cache: BuildCache) -> BuildRun:
            return BuildRun(self._store, plan, files, images, executor, cache, cancel, identity, request.most_at_once)

        work = run_of(StepExecutor(*tools, keep), cache)
        try:
            final = work.build_all(on_event)
        finally:
            elsewhere.hashes.save()
        request.caching.seen += cache.seen
        warnings = (*warnings, *_of_sources(request.caching.sources, file))
        base = images.get(final.base[0]) if final.base[0] else None
        image = self._put(request, plan, final, work.layers(final), cache, base)
        if self._failures is not None:
            self._failures.forget(subject.key)
        verification = verify(self._store, plan, work, lambda before: VerifyingExecutor(before, *tools), run_of) if request.verify else None
        duration_s = time.monotonic() - begun
        on_event(BuildFinished(image.id, tuple(tag.familiar for tag in tags), duration_s))
        inputs = _inputs(request, plan, file, text, images, elsewhere)
        return Build(image, work.records, duration_s, warnings, work.edges, verification, inputs)

    def describe(self, request: BuildRequest, call: Call) -> CheckResult | Outline | Targets:
        """What is asked of a Dockerfile, without building; base images are not made nor pulled for it, and one that is not there may
        have any variable. Raises as build() does, but `check` tells what is wrong with the Dockerfile.
        """
        with self._elsewhere(request, Cancel()) as elsewhere:
            context, text, file, time_s = _opened(request, elsewhere)
        missing: list[str] = []

        def config(name: str) -> ImageConfig:
            image = self._catalog.find(name)
            if image is not None:
                return image.config
            missing.append(name)
            platform = host_platform()
            return ImageConfig(platform.architecture, platform.os, ProcessConfig(env=(f"PATH={DEFAULT_PATH}",)), ())

        names = names_on_paper(request.contexts)
        options = _options(request, frozenset(rights.ALL), names, partial(_time_of, time_s, None), rootless=False)
        found = answer(call, Subject(text, file, options, host_platform(), config, context.rules))
        if missing and isinstance(found, CheckResult):
            found = replace(found, warnings=tuple(warning for warning in found.warnings if warning.rule != "UndefinedVar"))
        return found

    def _put(
        self, request: BuildRequest, plan: BuildPlan, final: BuiltStage, layers: Sequence[Layer], cache: BuildCache, base: Base | None
    ) -> Image:
        platform = request.platform or host_platform()
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
            created=timestamp(plan.created_s),
            author=stage.author,
            extra={
                **{key: value for key, value in final.extra.items() if key in _KEPT_KEYS},
                **({"variant": platform.variant} if request.platform and platform.variant else {}),
                **(_inline(cache, final.diff_ids) if _tells_steps(request) else {}),
            },
        )
        if request.squash:
            config, layers = squashed(self._store, self._worker, config, layers, base)
        return self._catalog.put(config, layers, request.tags, request.annotations)


def _options(request: BuildRequest, given: frozenset[str], names: NamedOrigins, time_of: TimeOf, *, rootless: bool) -> PlanOptions:
    said = (request.build_args, request.target, request.network, names, request.platform)
    return PlanOptions(*said, request.hosts, given, rootless, time_of)


def _time_of(time_s: int | None, elsewhere: Elsewhere | None, what: Address | str) -> int | None:
    """The time of the main context is known already; without `elsewhere` nobody is asked for another."""
    return time_s if what == "" else None if elsewhere is None else elsewhere.changed_s(what)


def _inputs(request: BuildRequest, plan: BuildPlan, file: str, text: str, images: BaseImages, elsewhere: Elsewhere) -> BuildInputs:
    """What is told of a build afterwards; of secrets their ids alone."""
    secrets, agents = confidential_ids(plan, "secret"), confidential_ids(plan, "ssh")
    given = request.confidential
    address = request.remote.shown if isinstance(request.remote, WebAddress | GitAddress) and request.dockerfile_text is None else ""
    complete = bool(address) and not any(isinstance(one, FolderContext) for one in request.contexts.values())
    return BuildInputs(
        file, text, dict(request.build_args), request.target or "", request.network, plan.source_date_epoch or 0, dict(request.labels),
        tuple(sorted({*secrets, *given.secrets})), tuple(sorted({*agents, *given.sockets})),
        bases_of(plan, images.get, elsewhere.layouts), elsewhere.used,
        required=frozenset(name for name, needed in (secrets | agents).items() if needed),
        context=next((one for one in elsewhere.used if one.uri == address), None),
        is_complete=complete, is_hermetic=complete and not has_network(plan),
    )  # fmt: skip


def _of_host(plan: BuildPlan) -> BuildWarning:
    stages = [stage.stage for stage in plan.stages]
    opening = next((stage.opening for stage in stages if stage.base.image and is_host_name(stage.base.image)), stages[-1].opening)
    return BuildWarning("HostRoot", f"FROM host: {HOST_WARNING}", opening.place_of(opening.image))


def _no_such_stages(names: Sequence[str], dockerfile: Dockerfile, instructions: Sequence[Instruction]) -> Iterator[BuildWarning]:
    """Warnings for stages of --no-cache-filter that are not in the file; Docker lets them pass in silence."""
    openings = [instruction for instruction in instructions if isinstance(instruction, From)]
    known = {opening.stage_name or f"stage-{number}" for number, opening in enumerate(openings)}
    for name in names:
        if name.lower() not in known:
            hint = nearest(name, known)
            text = f"--no-cache-filter: no stage is named {name}" + (f" ({hint})" if hint else "")
            yield BuildWarning("NoSuchStage", text, Place(dockerfile.source, 1, 1))


def _tells_steps(request: BuildRequest) -> bool:
    """Whether the image is to have its own steps in its config."""
    return request.caching.inline or request.build_args.get(_INLINE_ARGUMENT) == "1"


def _inline(cache: BuildCache, diff_ids: Sequence[str]) -> dict[str, object]:
    """What the image's config tells of the steps that made it, for the builds of others."""
    steps = {step.key: step.layer.chain_id if step.layer else "" for step in of_image(cache.seen, diff_ids)}
    return {INLINE: inline(steps, diff_ids)}


def _of_sources(sources: Sequence[CacheSource], file: str) -> list[BuildWarning]:
    place = Place(Source(file, ()), 1, 1)
    return [BuildWarning("CacheSource", text, place) for source in sources for text in source.warnings]


def _ignore(event: BuildEvent) -> None:
    """Nobody looks on."""


def _opened(request: BuildRequest, elsewhere: Elsewhere) -> tuple[Context, str, str, int | None]:
    """The context, the text and the name of its Dockerfile, and the context's time where it has one. Raises LabError."""
    found = _open(request, elsewhere)
    if len(found[1]) > MOST_BYTES:
        raise InvalidArgument(f"the Dockerfile {found[2]} has more than {MOST_BYTES} bytes", "is it another file?")
    return found


def _open(request: BuildRequest, elsewhere: Elsewhere) -> tuple[Context, str, str, int | None]:
    if request.remote is None:
        name = _name_of_file(request)
        context = open_context(request.context, name if request.dockerfile_text is None else request.dockerfile, elsewhere.hashes)
        return context, _read(request, name), name, None
    found = open_remote(elsewhere, request.remote, keep_git_dir=request.build_args.get(KEEP_GIT_DIR))
    name = request.dockerfile or DOCKERFILE
    inside = request.dockerfile_text if request.dockerfile_text is not None else found.text
    context = Context(found.folder, shown=found.shown)
    return context, read_inside(found, name) if inside is None else inside, name, found.time_s


def _name_of_file(request: BuildRequest) -> str:
    """The Dockerfile's name, as it is in the folder."""
    name = request.dockerfile or DOCKERFILE
    lower = lower_name(name) if request.dockerfile_text is None and not (request.context / name).exists() else ""
    return lower if lower and (request.context / lower).exists() else name


def _read(request: BuildRequest, name: str) -> str:
    """The Dockerfile's text; raises NotFound."""
    if request.dockerfile_text is not None:
        return request.dockerfile_text
    path = request.context / name
    flag = "--file: " if request.dockerfile else ""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{flag}no such Dockerfile: {path}", "name it by -f, or write it in a %%dockerfile cell") from None
    except OSError as error:
        problem = f"{flag}cannot read the Dockerfile {path}: {(error.strerror or '').lower()}"
        raise InvalidArgument(problem, "name a file that can be read, or write it in a %%dockerfile cell") from error


def _refuse_warnings(warnings: Sequence[BuildWarning]) -> None:
    """Raise for warnings: the file's `check` directive says that they are errors."""
    faults = Faults()
    for warning in warnings:
        faults.add(warning.place.fault(f"{warning.rule}: {warning.message}", "or leave out error=true in the check directive"))
    faults.raise_any()
