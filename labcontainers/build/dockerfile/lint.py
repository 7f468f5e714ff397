"""What works but is probably not meant: BuildKit's checks by their names, each with an example that it likes and one that it does not.

It must not know images or values of variables.

Source: docs.docker.com "Build checks"; the `check` parser directive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labcontainers.build.dockerfile.argument_forms import split_spaces
from labcontainers.build.dockerfile.instructions import Command, From, Instruction, Pairs, Text, Words
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Place

_SECRET = re.compile(r"(?i)(?:^|_)(?:apikey|auth|credentials?|key|passw(?:or)?d|pword|secret|token)(?:_|$)")
_NOT_SECRET = re.compile(r"(?i)(?:^|_)public(?:_|$)")
_RESERVED = ("context", "scratch")


@dataclass(frozen=True, slots=True)
class BuildWarning:
    """Something that works but is probably not meant; `rule` is the name of the check."""

    rule: str
    message: str
    place: Place

    def __str__(self) -> str:
        return f"{self.place.source.file}:{self.place.first_line}: {self.rule}: {self.message}"


Finding = tuple[str, Place]
Check = Callable[[Sequence[Instruction]], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check: its name, an example of each kind, and the function that finds what is wrong."""

    name: str
    good: str
    bad: str
    find: Check


def check(dockerfile: Dockerfile, instructions: Sequence[Instruction], found: Sequence[BuildWarning] = ()) -> tuple[BuildWarning, ...]:
    """All warnings of a file and those `found` elsewhere, in the order of lines; the file's `check` directive may leave some out."""
    skipped, _ = directive(dockerfile)
    made = [BuildWarning(rule.name, message, place) for rule in RULES for message, place in rule.find(instructions)]
    unique = {(warning.rule, warning.message, warning.place.first_line): warning for warning in (*made, *found)}
    kept = [warning for warning in unique.values() if "all" not in skipped and warning.rule.lower() not in skipped]
    return tuple(sorted(kept, key=lambda warning: warning.place.first_line))


def directive(dockerfile: Dockerfile) -> tuple[frozenset[str], bool]:
    """Of `# check=skip=A,B;error=true`: the checks to leave out, in small letters, and whether a warning is an error."""
    parts = dict(part.strip().partition("=")[::2] for part in dockerfile.directives.get("check", "").split(";"))
    skipped = frozenset(name.strip().lower() for name in parts.get("skip", "").split(",") if name.strip())
    return skipped, parts.get("error", "").strip().lower() == "true"


def _stages(instructions: Sequence[Instruction]) -> list[list[Instruction]]:
    stages: list[list[Instruction]] = []
    for instruction in instructions:
        if isinstance(instruction, From):
            stages.append([])
        if stages:
            stages[-1].append(instruction)
    return stages


def _stage_name_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        words = split_spaces(instruction.node.arguments) if isinstance(instruction, From) else ()
        if len(words) == 3 and words[2].text != words[2].text.lower():
            yield f"stage name '{words[2].text}' should be lowercase", instruction.place_of(words[2])


def _from_as_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        words = split_spaces(instruction.node.arguments) if isinstance(instruction, From) else ()
        if len(words) == 3 and words[1].text.isupper() != instruction.node.written_keyword.isupper():
            yield (
                f"'{words[1].text}' and '{instruction.node.written_keyword}' keywords' casing do not match",
                instruction.place_of(words[1]),
            )


def _no_empty_continuation(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if instruction.node.has_blank_continuation:
            yield "empty continuation line in: " + " ".join(instruction.node.text.split()), instruction.node.place


def _consistent_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    words = [instruction.node.written_keyword for instruction in instructions]
    most_are_lower = sum(word.islower() for word in words) > sum(word.isupper() for word in words)
    for instruction, word in zip(instructions, words, strict=True):
        if word != (word.lower() if most_are_lower else word.upper()):
            case = "lowercase" if most_are_lower else "uppercase"
            yield f"command '{word}' should match the case of the command majority ({case})", instruction.node.place_at(0)


def _duplicate_stage_name(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    seen: set[str] = set()
    for instruction in instructions:
        if isinstance(instruction, From) and instruction.stage_name:
            if instruction.stage_name in seen:
                yield f"duplicate stage name '{instruction.stage_name}', stage names should be unique", instruction.node.place
            seen.add(instruction.stage_name)


def _reserved_stage_name(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, From) and instruction.stage_name in _RESERVED:
            yield f"stage name should not use the reserved name '{instruction.stage_name}'", instruction.node.place


def _json_recommended(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for stage in _stages(instructions):
        if any(instruction.node.keyword == "SHELL" for instruction in stage):
            continue
        for instruction in stage:
            if isinstance(instruction, Command) and instruction.is_shell_form and instruction.node.keyword in ("CMD", "ENTRYPOINT"):
                what = f"JSON arguments recommended for {instruction.node.keyword} to prevent unintended behavior related to OS signals"
                yield what, instruction.node.place


def _maintainer(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if instruction.node.keyword == "MAINTAINER":
            yield "MAINTAINER is deprecated in favor of LABEL org.opencontainers.image.authors", instruction.node.place


def _multiple(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for stage in _stages(instructions):
        for keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            same = [instruction for instruction in stage if instruction.node.keyword == keyword]
            for instruction in same[:-1]:
                yield f"multiple {keyword} instructions should not be used in the same stage, only the last counts", instruction.node.place


def _legacy_pairs(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Pairs) and instruction.is_old_form:
            keyword = instruction.node.keyword
            yield f'"{keyword} key=value" should be used instead of the legacy "{keyword} key value"', instruction.node.place


def _relative_workdir(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for stage in _stages(instructions):
        for instruction in stage:
            if isinstance(instruction, Text) and instruction.node.keyword == "WORKDIR":
                if not instruction.word.text.lstrip("\"'").startswith(("/", "$")):
                    path = instruction.word.text
                    yield f"relative workdir '{path}' can have unexpected results if the base image changes", instruction.node.place
                break


def _secrets(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Pairs) and instruction.node.keyword in ("ENV", "ARG"):
            for pair in instruction.pairs:
                if _SECRET.search(pair.key.text) and not _NOT_SECRET.search(pair.key.text):
                    what = f'do not use ARG or ENV for sensitive data ({instruction.node.keyword} "{pair.key.text}")'
                    yield what, instruction.place_of(pair.key)


def _expose_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Words) and instruction.node.keyword == "EXPOSE":
            for word in instruction.words:
                _, slash, protocol = word.text.partition("/")
                if slash and protocol != protocol.lower():
                    yield f"defined protocol '{protocol}' should be lowercase", instruction.place_of(word)


RULES: tuple[Rule, ...] = (
    Rule("StageNameCasing", "FROM alpine AS build", "FROM alpine AS Build", _stage_name_casing),
    Rule("FromAsCasing", "FROM alpine AS build", "FROM alpine as build", _from_as_casing),
    Rule("NoEmptyContinuation", "FROM alpine\nRUN a \\\n b", "FROM alpine\nRUN a \\\n\n b", _no_empty_continuation),
    Rule("ConsistentInstructionCasing", "FROM alpine\nRUN a", "FROM alpine\nrun a", _consistent_casing),
    Rule("DuplicateStageName", "FROM alpine AS a\nFROM alpine AS b", "FROM alpine AS a\nFROM alpine AS a", _duplicate_stage_name),
    Rule("ReservedStageName", "FROM alpine AS build", "FROM alpine AS context", _reserved_stage_name),
    Rule("JSONArgsRecommended", 'FROM alpine\nCMD ["a"]', "FROM alpine\nCMD a", _json_recommended),
    Rule("MaintainerDeprecated", "FROM alpine\nLABEL a=b", "FROM alpine\nMAINTAINER me", _maintainer),
    Rule("MultipleInstructionsDisallowed", 'FROM alpine\nCMD ["a"]', 'FROM alpine\nCMD ["a"]\nCMD ["b"]', _multiple),
    Rule("LegacyKeyValueFormat", "FROM alpine\nENV a=b", "FROM alpine\nENV a b", _legacy_pairs),
    Rule("WorkdirRelativePath", "FROM alpine\nWORKDIR /app", "FROM alpine\nWORKDIR app", _relative_workdir),
    Rule("SecretsUsedInArgOrEnv", "FROM alpine\nARG PUBLIC_KEY", "FROM alpine\nARG API_TOKEN", _secrets),
    Rule("ExposeProtoCasing", "FROM alpine\nEXPOSE 80/tcp", "FROM alpine\nEXPOSE 80/TCP", _expose_casing),
)
