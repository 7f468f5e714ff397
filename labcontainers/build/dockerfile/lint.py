"""What works but is probably not meant: BuildKit's checks that need no more than the file, and what a file says of checks.

It must not know images or values of variables; checks that need them are made while the build is planned.

Source: docs.docker.com "Build checks"; the `check` parser directive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labcontainers.build.dockerfile.argument_forms import split_spaces
from labcontainers.build.dockerfile.checks import BY_NAME
from labcontainers.build.dockerfile.instructions import Command, From, Instruction, Pairs, Words
from labcontainers.build.dockerfile.parser import Dockerfile
from labcontainers.build.dockerfile.source import Place

_SECRET = re.compile(r"(?i)(?:^|_)(?:apikey|auth|credentials?|key|passw(?:or)?d|pword|secret|token)(?:_|$)")
_NOT_SECRET = re.compile(r"(?i)(?:^|_)public(?:_|$)|_(?:file|version)$")
_RESERVED = ("context", "scratch")
# what follows a space says why
_SKIP = re.compile(r"check\s*=\s*skip=(\S+)(?:\s.*)?")
_DIRECTIVE = re.compile(r"(?i)(?:syntax|escape|check)\s*=.*")


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
class CheckOptions:
    """What `# check=skip=A,B;experimental=C;error=true` says; names in small letters, among them perhaps `all`."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    def wants(self, name: str) -> bool:
        """Whether a check is made."""
        rule = BY_NAME.get(name)
        names = ("all", name.lower())
        # one that is asked for by itself is not skipped with the others, as in BuildKit
        return not self.experimental.isdisjoint(names) if rule is not None and rule.is_experimental else self.skip.isdisjoint(names)


def check_options(dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None) -> CheckOptions:
    """The options of the build argument BUILDKIT_DOCKERFILE_CHECK, else of the file's `check` directive; raises DockerfileError."""
    names: dict[str, frozenset[str]] = {"skip": frozenset(), "experimental": frozenset()}
    is_error = False
    # what follows a space is no part of it, as in BuildKit
    text = (build_args or {}).get("BUILDKIT_DOCKERFILE_CHECK") or dockerfile.directives.get("check", "").split(" ")[0]
    for part in text.split(";"):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key in names:
            names[key] |= {name.strip().lower() for name in value.split(",") if name.strip()}
        elif key == "error" and value.lower() in ("true", "false", "1", "0", "t", "f"):
            is_error = value.lower() in ("true", "1", "t")
        elif part.strip():
            place = Place(dockerfile.source, 0, 0)
            raise place.fault(f"invalid check option: {part.strip()!r}", "write # check=skip=NAME,NAME;error=true")
    return CheckOptions(names["skip"], names["experimental"], is_error)


def check(
    dockerfile: Dockerfile, instructions: Sequence[Instruction], found: Sequence[BuildWarning] = (), options: CheckOptions | None = None
) -> tuple[BuildWarning, ...]:
    """All warnings of a file and those `found` elsewhere, in the order of lines, but those that the file skips.

    A comment `# check=skip=NAME` right above an instruction skips for that one. Raises DockerfileError for wrong options.
    """
    options = options or check_options(dockerfile)
    made = [BuildWarning(name, message, place) for name, find in FINDERS.items() for message, place in find(instructions)]
    unique = {(warning.rule, warning.message, warning.place.first_line): warning for warning in (*made, *found)}
    skipped = _skipped_lines(dockerfile)
    kept = [
        warning
        for warning in unique.values()
        if options.wants(warning.rule) and skipped.get(warning.place.first_line, frozenset()).isdisjoint(("all", warning.rule.lower()))
    ]
    return tuple(sorted(kept, key=lambda warning: warning.place.first_line))


def _skipped_lines(dockerfile: Dockerfile) -> dict[int, frozenset[str]]:
    skipped: dict[int, frozenset[str]] = {}
    for node in dockerfile.nodes:
        for comment in node.comments:
            match = _SKIP.fullmatch(comment)
            # the directive of the whole file stands above everything
            if match is not None and comment.partition("=")[2].strip() != dockerfile.directives.get("check"):
                names = frozenset(name.strip().lower() for name in match[1].split(","))
                skipped.update({line: skipped.get(line, frozenset()) | names for line in range(node.first_line, node.last_line + 1)})
    return skipped


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
            yield f"Stage name '{words[2].text}' should be lowercase", instruction.place_of(words[2])


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
            line = instruction.node.joints[-1][1]
            yield "Empty continuation line", Place(instruction.node.source, line, line)


def _consistent_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    words = [instruction.node.written_keyword for instruction in instructions]
    most_are_lower = sum(word.islower() for word in words) > sum(word.isupper() for word in words)
    for instruction, word in zip(instructions, words, strict=True):
        if word != (word.lower() if most_are_lower else word.upper()):
            case = "lowercase" if most_are_lower else "uppercase"
            yield f"Command '{word}' should match the case of the command majority ({case})", instruction.node.place_at(0)


def _duplicate_stage_name(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    seen: set[str] = set()
    for instruction in instructions:
        if isinstance(instruction, From) and instruction.stage_name:
            if instruction.stage_name in seen:
                yield f'Duplicate stage name "{instruction.stage_name}", stage names should be unique', instruction.node.place
            seen.add(instruction.stage_name)


def _reserved_stage_name(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, From) and instruction.stage_name in _RESERVED:
            yield f'Stage name should not use the same name as reserved stage "{instruction.stage_name}"', instruction.node.place


def _json_recommended(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    with_shell: set[str] = set()
    for stage in _stages(instructions):
        opening = stage[0]
        inherits = isinstance(opening, From) and opening.image.text.lower() in with_shell
        if inherits or any(instruction.node.keyword == "SHELL" for instruction in stage):
            with_shell.update((opening.stage_name,) if isinstance(opening, From) else ())
            continue
        for instruction in stage:
            if isinstance(instruction, Command) and instruction.is_shell_form and instruction.node.keyword in ("CMD", "ENTRYPOINT"):
                what = f"JSON arguments recommended for {instruction.node.keyword} to prevent unintended behavior related to OS signals"
                yield what, instruction.node.place


def _maintainer(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if instruction.node.keyword == "MAINTAINER":
            yield "Maintainer instruction is deprecated in favor of using label", instruction.node.place


def _multiple(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for stage in _stages(instructions):
        for keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            same = [instruction for instruction in stage if instruction.node.keyword == keyword]
            for instruction in same[:-1]:
                what = f"Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
                yield what, instruction.node.place


def _legacy_pairs(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Pairs) and instruction.is_old_form:
            keyword = instruction.node.keyword
            yield f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format', instruction.node.place


def _secrets(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Pairs) and instruction.node.keyword in ("ENV", "ARG"):
            for pair in instruction.pairs:
                if _SECRET.search(pair.key.text) and not _NOT_SECRET.search(pair.key.text):
                    what = f'Do not use ARG or ENV instructions for sensitive data ({instruction.node.keyword} "{pair.key.text}")'
                    yield what, instruction.place_of(pair.key)


def _expose_casing(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        if isinstance(instruction, Words) and instruction.node.keyword == "EXPOSE":
            for word in instruction.words:
                _, slash, protocol = word.text.partition("/")
                if slash and protocol != protocol.lower():
                    yield f"Defined protocol '{word.text}' in EXPOSE instruction should be lowercase", instruction.place_of(word)


def _platform_flags(instructions: Sequence[Instruction]) -> Iterator[tuple[From, str, Place]]:
    for instruction in instructions:
        flag = instruction.flag("platform") if isinstance(instruction, From) else None
        if isinstance(instruction, From) and flag is not None:
            yield instruction, flag.text, instruction.place_of_flag("platform")


def _redundant_platform(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for _, text, place in _platform_flags(instructions):
        if text in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            yield f"Setting platform to predefined {text} in FROM is redundant as this is the default behavior", place


def _constant_platform(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for opening, text, place in _platform_flags(instructions):
        # a stage that is named for its platform is meant so
        if "$" not in text and not any(part and part in opening.stage_name for part in text.lower().split("/")):
            yield f'FROM --platform flag should not use constant value "{text}"', place


def _descriptions(instructions: Sequence[Instruction]) -> Iterator[Finding]:
    for instruction in instructions:
        names: list[str] = []
        if isinstance(instruction, From) and instruction.stage_name:
            names = [instruction.stage_name]
        elif isinstance(instruction, Pairs) and instruction.node.keyword == "ARG":
            names = [pair.key.text for pair in instruction.pairs]
        comments = instruction.node.comments
        # an empty comment parts the description of something else from the instruction
        last = comments[-1] if comments else ""
        if names and last and last.split(" ")[0] not in names and not _DIRECTIVE.fullmatch(last):
            shown = names[0] if len(names) == 1 else "<arg_key>"
            yield f"Comment for {instruction.node.keyword} should follow the format: `# {shown} <description>`", instruction.node.place


FINDERS: dict[str, Check] = {
    "StageNameCasing": _stage_name_casing,
    "FromAsCasing": _from_as_casing,
    "NoEmptyContinuation": _no_empty_continuation,
    "ConsistentInstructionCasing": _consistent_casing,
    "DuplicateStageName": _duplicate_stage_name,
    "ReservedStageName": _reserved_stage_name,
    "JSONArgsRecommended": _json_recommended,
    "MaintainerDeprecated": _maintainer,
    "MultipleInstructionsDisallowed": _multiple,
    "LegacyKeyValueFormat": _legacy_pairs,
    "RedundantTargetPlatform": _redundant_platform,
    "SecretsUsedInArgOrEnv": _secrets,
    "FromPlatformFlagConstDisallowed": _constant_platform,
    "InvalidDefinitionDescription": _descriptions,
    "ExposeProtoCasing": _expose_casing,
}
