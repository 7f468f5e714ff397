"""`build --call`: what a Dockerfile's checks say, what a target takes, and which targets there are, without building.

It must not know the store: configs of base images are asked for through a function.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from labcontainers.build.context import clean
from labcontainers.build.dockerfile.checks import BY_NAME
from labcontainers.build.dockerfile.instructions import From, Instruction, Pairs, read_dockerfile, read_instruction
from labcontainers.build.dockerfile.lint import BuildWarning, check, check_options
from labcontainers.build.dockerfile.parser import Dockerfile, Node, parse
from labcontainers.build.dockerfile.source import Faults, Place, Source, faults_of
from labcontainers.build.globs import has_wildcard
from labcontainers.build.ignore import IgnoreRules
from labcontainers.build.marked_lines import marked_lines
from labcontainers.build.plan import BuildPlan, CopyStep, PlanOptions, RunStep
from labcontainers.build.planner import plan_build
from labcontainers.build.stages import group_stages
from labcontainers.errors import DockerfileError, LabError
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig

CALLS = ("check", "outline", "targets")
Call = Literal["check", "outline", "targets"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A Dockerfile that is asked about, and what its answers depend on."""

    text: str
    file: str
    options: PlanOptions
    platform: Platform
    image_config: Callable[[str], ImageConfig]
    ignored: IgnoreRules


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult:
    """The warnings of a Dockerfile in the order of lines, and the faults for which it cannot be built."""

    warnings: tuple[BuildWarning, ...]
    faults: tuple[LabError, ...]
    source: Source

    def __repr__(self) -> str:
        count = len(self.warnings)
        found = "no warnings found." if not count else f"{count} warning{' has' if count == 1 else 's have'} been found!"
        parts = [f"Check complete, {found}"]
        for warning in self.warnings:
            rule = BY_NAME.get(warning.rule)
            parts.append(f"WARNING: {warning.rule}{f' - {rule.url}' if rule else ''}\n{warning.message}\n{_shown(warning.place)}")
        for fault in self.faults:
            hint = f" ({fault.hint})" if fault.hint else ""
            place = Place(self.source, fault.first_line, fault.last_line) if isinstance(fault, DockerfileError) else None
            parts.append(f"ERROR: {fault.message}{hint}" + (f"\n{_shown(place)}" if place is not None and place.first_line else ""))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        return marked_lines(self.source, self.warnings, self.faults)

    def to_json(self) -> dict[str, Any]:
        """As Docker's `--call=check,format=json`."""
        found: dict[str, Any] = {"warnings": [_warning_json(warning) for warning in self.warnings]}
        if self.faults:
            fault = self.faults[0]
            found["buildError"] = {"message": fault.message}
            if isinstance(fault, DockerfileError) and fault.first_line:
                found["buildError"]["location"] = _location(fault.first_line, fault.last_line)
        return found


def _warning_json(warning: BuildWarning) -> dict[str, Any]:
    rule = BY_NAME.get(warning.rule)
    about = {"description": rule.description, "url": rule.url} if rule else {}
    location = _location(warning.place.first_line, warning.place.last_line)
    return {"ruleName": warning.rule, **about, "detail": warning.message, "location": location}


def _location(first_line: int, last_line: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first_line}, "end": {"line": last_line}}]}


def _shown(place: Place) -> str:
    """The lines at fault, marked, with two before and two after."""
    rule = "-" * 20
    first, last = max(place.first_line - 2, 1), min(place.last_line + 2, len(place.source.lines))
    lines = [
        f"{number:4} | {'>>>' if place.first_line <= number <= place.last_line else '   '} {place.source.lines[number - 1]}".rstrip()
        for number in range(first, last + 1)
    ]
    return "\n".join([f"{place.source.file}:{place.first_line}", rule, *lines, rule])


@dataclass(frozen=True, slots=True)
class Described:
    """An argument, secret, socket or target: its name, and what is told of it."""

    name: str
    line: int
    description: str = ""
    value: str | None = None
    is_required: bool = False
    is_default: bool = False
    base: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Outline:
    """What a target takes: build arguments with their values, secrets and SSH sockets, in the order of lines."""

    target: str
    description: str
    arguments: tuple[Described, ...]
    secrets: tuple[Described, ...]
    ssh: tuple[Described, ...]

    def __repr__(self) -> str:
        parts = [f"TARGET: {self.target}\n"] if self.target else []
        parts += [f"DESCRIPTION: {self.description}\n"] if self.description else []
        rows = [(one.name, one.value or "", one.description) for one in self.arguments]
        parts += [_table(("BUILD ARG", "VALUE", "DESCRIPTION"), rows, 3)] if rows else []
        for title, found in (("SECRET", self.secrets), ("SSH", self.ssh)):
            needed = [(one.name, "true" if one.is_required else "") for one in found]
            parts += [_table((title, "REQUIRED"), needed, 3)] if needed else []
        return "\n".join(parts).rstrip("\n")

    def to_json(self) -> dict[str, Any]:
        """As Docker's `--call=outline,format=json`."""
        found: dict[str, Any] = {"name": self.target} if self.target else {}
        found.update({"description": self.description} if self.description else {})
        for title, members in (("args", self.arguments), ("secrets", self.secrets), ("ssh", self.ssh)):
            if members:
                found[title] = [_described_json(one) for one in members]
        return found


@dataclass(frozen=True, slots=True, repr=False)
class Targets:
    """The stages that can be built."""

    targets: tuple[Described, ...]

    def __repr__(self) -> str:
        rows = [(one.name + (" " * bool(one.name) + "(default)" if one.is_default else ""), one.description) for one in self.targets]
        return _table(("TARGET", "DESCRIPTION"), rows, 1).rstrip("\n")

    def to_json(self) -> dict[str, Any]:
        """As Docker's `--call=targets,format=json`."""
        return {"targets": [_described_json(one) for one in self.targets]}


def _described_json(one: Described) -> dict[str, Any]:
    values = {
        "name": one.name, "default": one.is_default, "description": one.description, "base": one.base, "required": one.is_required,
        "value": one.value,
    }  # fmt: skip
    return {**{key: value for key, value in values.items() if value}, "location": _location(one.line, one.line)}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], gap: int) -> str:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) + gap for column in range(len(head))]
    return "".join("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in table)


def answer(call: Call, subject: Subject) -> CheckResult | Outline | Targets:
    """What is asked; raises what a plan raises, save for `check`, which tells it."""
    if call == "check":
        return _check(subject)
    dockerfile, instructions = read_dockerfile(subject.text, subject.file)
    return _targets(subject, dockerfile, instructions) if call == "targets" else _outline(subject, dockerfile, instructions)


def ignored_files(plan: BuildPlan, rules: IgnoreRules) -> list[BuildWarning]:
    """A warning for each plain name that COPY or ADD takes from the context and .dockerignore leaves out."""
    found = []
    for step in (step for stage in plan.stages for step in stage.steps):
        if isinstance(step, CopyStep) and step.origin is None:
            verb = step.created_by.partition(" ")[0].capitalize()
            for source in (source for source in step.sources if not has_wildcard(source) and rules.leaves_all_out(clean(source))):
                message = f'Attempting to {verb} file "{source}" that is excluded by .dockerignore'
                found.append(BuildWarning("CopyIgnoredFile", message, step.place))
    return found


def _check(subject: Subject) -> CheckResult:
    faults = Faults()
    dockerfile = parse(subject.text, subject.file, faults)
    instructions: list[Instruction] = []
    found: list[BuildWarning] = []
    error: LabError | None = None
    warnings: tuple[BuildWarning, ...] = ()
    try:
        for node in dockerfile.nodes:
            instruction = read_instruction(node, dockerfile.escape, faults)
            instructions += [] if instruction is None else [instruction]
        faults.raise_any()
        plan = plan_build(dockerfile, tuple(instructions), subject.options, subject.platform, subject.image_config, found)
        found += ignored_files(plan, subject.ignored)
        if not subject.options.target:
            found += _of_other_stages(subject, dockerfile, tuple(instructions), plan)
    except LabError as fault:
        error = fault
    try:
        warnings = check(dockerfile, instructions, found, check_options(dockerfile, subject.options.build_args))
    except LabError as fault:
        error = error or fault
    return CheckResult(warnings, () if error is None else faults_of(error), dockerfile.source)


def _of_other_stages(
    subject: Subject, dockerfile: Dockerfile, instructions: tuple[Instruction, ...], plan: BuildPlan
) -> Iterator[BuildWarning]:
    """What is found in stages that the last one does not need: they are built by --target. What is wrong with them is not told."""
    count = sum(isinstance(instruction, From) for instruction in instructions)
    for number in set(range(count)) - {stage.stage.number for stage in plan.stages}:
        options, found = replace(subject.options, target=str(number)), list[BuildWarning]()
        with contextlib.suppress(LabError):
            other = plan_build(dockerfile, instructions, options, subject.platform, subject.image_config, found)
            found += ignored_files(other, subject.ignored)
        yield from found


def _description(node: Node, name: str) -> str:
    return next((comment[len(name) + 1 :].strip() for comment in node.comments if name and comment.startswith(name + " ")), "")


def _targets(subject: Subject, dockerfile: Dockerfile, instructions: Sequence[Instruction]) -> Targets:
    options = subject.options
    grouped, chosen = group_stages(
        instructions,
        options.build_args,
        subject.platform,
        dockerfile.escape,
        options.target,
        contexts=options.contexts,
        image_platform=options.platform,
    )
    return Targets(
        tuple(
            Described(
                stage.name,
                stage.opening.node.first_line,
                _description(stage.opening.node, stage.name),
                is_default=stage.number == chosen.number,
                base=stage.base_name,
            )
            for stage in grouped.stages
        )
    )


def _outline(subject: Subject, dockerfile: Dockerfile, instructions: tuple[Instruction, ...]) -> Outline:
    plan = plan_build(dockerfile, instructions, subject.options, subject.platform, subject.image_config)
    arguments: dict[str, Described] = {}
    secrets: dict[str, Described] = {}
    ssh: dict[str, Described] = {}
    declared = {
        pair.key.text: one
        for one in reversed([one for one in instructions if isinstance(one, Pairs) and one.node.keyword == "ARG"])
        for pair in one.pairs
    }
    for stage in plan.stages:
        opening = stage.stage.opening
        for name in [*stage.arguments, *_global_names(f"{opening.image.text} {opening.node.text}", plan.global_arguments, declared)]:
            one = declared.get(name)
            if one is not None:
                value = stage.arguments.get(name, plan.global_arguments.get(name))
                arguments.setdefault(name, Described(name, one.node.first_line, _description(one.node, name), value))
        for step in (step for step in stage.steps if isinstance(step, RunStep)):
            for mount in step.mounts:
                found = secrets if mount.type == "secret" else ssh if mount.type == "ssh" else {}
                found.setdefault(mount.id, Described(mount.id, step.place.first_line, is_required=mount.required))
    last = plan.stages[-1].stage
    ordered = [tuple(sorted(found.values(), key=lambda one: one.line)) for found in (arguments, secrets, ssh)]
    return Outline(last.name, _description(last.opening.node, last.name), *ordered)


def _global_names(text: str, known: Mapping[str, str], declared: Mapping[str, Pairs]) -> list[str]:
    """The arguments of before the first FROM that a text uses, or the default of one of these."""
    names: list[str] = []
    texts = [text]
    while texts:
        used = texts.pop()
        for name in known:
            if name not in names and re.search(rf"\$(?:{{{name}\b|{name}\b)", used):
                names.append(name)
                texts += [declared[name].node.text] if name in declared else []
    return names
