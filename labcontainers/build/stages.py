"""Instructions grouped into stages: what each stage is built from, and which stages an image needs.

It must not know what the instructions in a stage do, nor images beyond their names.

Source: docs.docker.com "Dockerfile reference", FROM, ARG (scope, predefined platform arguments); "Multi-stage builds".
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from labcontainers.build.dockerfile.instructions import From, Instruction, Pairs, Transfer
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.shellwords import ExpansionFault, expand
from labcontainers.build.dockerfile.source import Faults, nearest
from labcontainers.build.source_dates import Dates, TimeOf, with_date
from labcontainers.errors import InvalidArgument, InvalidReference, LabError
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.reference import parse_reference

PROXY_ARGUMENTS = frozenset(
    name for base in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY") for name in (base, base.lower())
)
SANDBOX_HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where files come from: an earlier stage by number, an image or a context by name, or neither (`scratch`, or the main context)."""

    stage: int | None = None
    image: str = ""
    context: str = ""


# What a name means for which the caller of the build has another meaning; None for all others. Raises LabError.
NamedOrigins = Callable[[str], Origin | None]


def no_names(name: str) -> Origin | None:
    """No name means anything else."""
    return None


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it. `name` is "" when it has none; `base_name` is the expanded image name."""

    number: int
    name: str
    opening: From
    base: Origin
    base_name: str
    instructions: tuple[Instruction, ...]

    @property
    def title(self) -> str:
        """The name, or `stage-N`."""
        return self.name or f"stage-{self.number}"


@dataclass(slots=True)
class Stages:
    """All stages of a file, the ARGs before the first FROM with their values, what SOURCE_DATE_EPOCH means, and what was noticed."""

    stages: tuple[Stage, ...]
    global_arguments: Mapping[str, str]
    used_build_args: set[str] = field(default_factory=set)
    warnings: list[BuildWarning] = field(default_factory=list)
    contexts: NamedOrigins = no_names
    date_s: int | None = None

    def needed(self, target: Stage) -> tuple[Stage, ...]:
        """The stages that `target` is made from, itself last, in the order of the file."""
        numbers, waiting = set(), [target.number]
        while waiting:
            number = waiting.pop()
            if number in numbers:
                continue
            numbers.add(number)
            stage = self.stages[number]
            waiting += [origin.stage for origin in (stage.base, *self._sources(stage)) if origin.stage is not None]
        return tuple(self.stages[number] for number in sorted(numbers))

    def images(self, target: Stage) -> tuple[str, ...]:
        """The images that the stages of `target` name, as far as their words have no variables in them."""
        origins = [origin for stage in self.needed(target) for origin in (stage.base, *self._sources(stage))]
        return tuple(dict.fromkeys(one.image for one in origins if one.image and not one.image.isdecimal() and "$" not in one.image))

    def _sources(self, stage: Stage) -> list[Origin]:
        transfers = [instruction for instruction in stage.instructions if isinstance(instruction, Transfer)]
        words = [transfer.flag("from") for transfer in transfers]
        names = [word.text for word in words if word is not None]
        for instruction in stage.instructions:
            names += [name for word in instruction.flags.get("mount", ()) if (name := mount_origin(word.text))]
        return [self.find_origin(name, stage.number) for name in names]

    def find_origin(self, text: str, before: int) -> Origin:
        """What `COPY --from=text` means in stage number `before`: a stage by number or name, else an image."""
        if text.isdecimal() and int(text) < len(self.stages):
            return Origin(stage=int(text))
        found = [stage.number for stage in self.stages if stage.name and stage.name == text.lower()]
        earlier = [number for number in found if number < before]
        if found:
            return Origin(stage=(earlier or found)[-1])
        return self.contexts(text) or Origin(image=text)


def mount_origin(text: str) -> str:
    """The value of `from` in the text of a RUN --mount; "" where there is none, or where the text cannot be read."""
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error:
        return ""
    return next((value for key, _, value in (field.partition("=") for field in fields) if key.lower() == "from"), "")


def group_stages(
    instructions: Sequence[Instruction],
    build_args: Mapping[str, str],
    platform: Platform,
    escape: str,
    target: str | None,
    noticed: list[BuildWarning] | None = None,
    contexts: NamedOrigins = no_names,
    image_platform: Platform | None = None,
    time_of: TimeOf | None = None,
) -> tuple[Stages, Stage]:
    """The stages and the one to build: `target` by name or number, else the last. Raises once for all that is wrong.

    A stage whose name is one of `contexts` is that context, and nothing of what the file says of it.
    `platform` is this machine's, `image_platform` what the image is for, if that is said. `time_of` knows the times of sources; without
    it nobody asks what SOURCE_DATE_EPOCH means.
    """
    faults = Faults()
    head, bodies = _split(instructions, faults)
    faults.raise_any()
    result = Stages((), {}, warnings=[] if noticed is None else noticed, contexts=contexts)
    stage_name = target or (bodies[-1][0].stage_name if bodies else "") or "default"
    arguments = {**_platform_arguments(platform, image_platform or platform), "TARGETSTAGE": stage_name}
    defaults = dict(arguments)
    for instruction in head:
        if isinstance(instruction, Pairs):
            _declare(instruction, arguments, build_args, escape, faults, result.used_build_args)
            _declare(instruction, defaults, {}, escape, Faults(), set())
    declared = {*arguments, *(pair.key.text for instruction in head if isinstance(instruction, Pairs) for pair in instruction.pairs)}
    if time_of is not None:
        dates = Dates(bodies, build_args, escape, lambda name: _is_context(name, contexts), time_of)
        result.date_s = dates.find(arguments)
    arguments = with_date(arguments, result.date_s)
    stages: list[Stage] = []
    for opening, body in bodies:
        _check_default(opening, defaults, escape, result.warnings)
        stage = _open_stage(opening, body, stages, arguments, declared, platform, escape, faults, result.warnings)
        stages.append(_with_context(stage, contexts, faults))
    faults.raise_any()
    result.stages = tuple(stages)
    result.global_arguments = arguments
    chosen = _find_target(result.stages, target)
    return result, chosen


def _is_context(name: str, contexts: NamedOrigins) -> bool:
    try:
        return contexts(name) is not None
    except InvalidReference:
        return False


def _split(instructions: Sequence[Instruction], faults: Faults) -> tuple[list[Instruction], list[tuple[From, list[Instruction]]]]:
    head: list[Instruction] = []
    bodies: list[tuple[From, list[Instruction]]] = []
    for instruction in instructions:
        if isinstance(instruction, From):
            bodies.append((instruction, []))
        elif bodies:
            bodies[-1][1].append(instruction)
        elif instruction.node.keyword == "ARG":
            head.append(instruction)
        else:
            place = instruction.node.place_at(0)
            faults.add(place.fault(f"{instruction.node.keyword} before the first FROM", "only ARG may come before FROM"))
    if not bodies and instructions:
        faults.add(instructions[-1].node.place.fault("no build stage: the file has no FROM", "begin with FROM image"))
    return head, bodies


def _platform_arguments(build: Platform, target: Platform) -> dict[str, str]:
    found: dict[str, str] = {}
    for side, platform in (("BUILD", build), ("TARGET", target)):
        parts = {"PLATFORM": str(platform), "OS": platform.os, "OSVERSION": "", "ARCH": platform.architecture, "VARIANT": platform.variant}
        found |= {f"{side}{key}": value for key, value in parts.items()}
    return found


def _declare(
    instruction: Pairs, arguments: dict[str, str], build_args: Mapping[str, str], escape: str, faults: Faults, used: set[str]
) -> None:
    for pair in instruction.pairs:
        name = pair.key.text
        if name in build_args:
            used.add(name)
            arguments[name] = build_args[name]
        elif pair.value is not None:
            try:
                arguments[name] = expand(pair.value.text, arguments.get, escape)
            except ExpansionFault as fault:
                offset = instruction.node.arguments_offset + pair.value.offset + fault.offset
                faults.add(instruction.node.place_at(offset).fault(fault.message, fault.hint))


def _check_default(opening: From, defaults: Mapping[str, str], escape: str, warnings: list[BuildWarning]) -> None:
    if "$" not in opening.image.text:
        return
    try:
        name = expand(opening.image.text, defaults.get, escape)
        if name:
            parse_reference(name)
            return
    except (ExpansionFault, LabError):
        pass  # that is what is warned of
    message = f"Default value for ARG {opening.image.text} results in empty or invalid base image name"
    warnings.append(BuildWarning("InvalidDefaultArgInFrom", message, opening.place_of(opening.image)))


def _open_stage(
    opening: From,
    body: Sequence[Instruction],
    earlier: Sequence[Stage],
    arguments: Mapping[str, str],
    declared: Collection[str],
    platform: Platform,
    escape: str,
    faults: Faults,
    warnings: list[BuildWarning],
) -> Stage:
    number = len(earlier)
    place = opening.place_of(opening.image)

    def lookup(name: str) -> str | None:
        if name not in declared:
            hint = nearest(name, declared)
            message = f"FROM argument '{name}' is not declared" + (f" ({hint})" if hint else "")
            warnings.append(BuildWarning("UndefinedArgInFrom", message, place))
        return arguments.get(name)

    name = ""
    try:
        name = expand(opening.image.text, lookup, escape)
        wanted = opening.flag("platform")
        if wanted is not None:
            _check_platform(opening, expand(wanted.text, lookup, escape), platform, faults)
    except ExpansionFault as fault:
        faults.add(opening.place_of(opening.image).fault(fault.message, fault.hint))
        return Stage(number, opening.stage_name, opening, Origin(), "scratch", tuple(body))
    if not name:
        message = f"base name ({opening.image.text}) should not be blank"
        faults.add(place.fault(message, "give the ARG a default, or a value by --build-arg"))
    same = [stage for stage in earlier if stage.name and stage.name == name.lower()]
    base = Origin() if name == "scratch" else Origin(stage=same[-1].number) if same else Origin(image=name)
    return Stage(number, opening.stage_name, opening, base, name, tuple(body))


def _with_context(stage: Stage, contexts: NamedOrigins, faults: Faults) -> Stage:
    """The stage, as far as its name or that of its base is one of a context."""
    try:
        whole = contexts(stage.name) if stage.name else None
        if whole is not None:
            return replace(stage, base=whole, base_name=stage.name, instructions=())
        base = contexts(stage.base.image) if stage.base.image else None
        return stage if base is None else replace(stage, base=base)
    except InvalidReference:
        return stage  # it is told when the image is looked for
    except LabError as error:
        faults.add(stage.opening.place_of(stage.opening.image).fault(error.message, error.hint))
        return stage


def _check_platform(opening: From, wanted: str, platform: Platform, faults: Faults) -> None:
    parts = wanted.lower().split("/")
    same = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
    os_name, architecture = (parts[0], parts[1]) if len(parts) > 1 else (platform.os, parts[0])
    if len(parts) == 1 and parts[0] == platform.os:
        architecture = platform.architecture
    place = opening.place_of_flag("platform")
    if not wanted:
        faults.add(place.fault("empty value for --platform"))
    elif (os_name, same.get(architecture, architecture)) != (platform.os, platform.architecture):
        host = f"{platform.os}/{platform.architecture}"
        faults.add(place.unsupported(f"FROM --platform={wanted}", f"this host builds {host} only"))


def _find_target(stages: Sequence[Stage], target: str | None) -> Stage:
    if not target:
        return stages[-1]
    if target.isdecimal() and int(target) < len(stages):
        return stages[int(target)]
    found = [stage for stage in stages if stage.name == target.lower()]
    if not found:
        names = [stage.name for stage in stages if stage.name]
        hint = nearest(target, names) or ("stages are " + ", ".join(names) if names else "no stage of the file has a name")
        raise InvalidArgument(f"--target: target stage {target!r} could not be found", hint)
    return found[-1]
