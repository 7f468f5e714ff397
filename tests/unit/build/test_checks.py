"""BuildKit's checks with their own examples, what a file says of them, and `build --call`."""

from __future__ import annotations

import pytest

from labcontainers.build.calls import Call, CheckResult, Outline, Subject, Targets, answer
from labcontainers.build.dockerfile.checks import RULES, Rule
from labcontainers.build.ignore import parse_ignore
from labcontainers.build.plan import PlanOptions
from labcontainers.errors import DockerfileError, NotFound
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig


def image_config(name: str) -> ImageConfig:
    if not name.startswith(("alpine", "for-another")):
        raise NotFound(f"no such image: {name}")
    return ImageConfig("amd64" if name.startswith("alpine") else "s390x", "linux", ProcessConfig(env=("PATH=/bin",)), ())


def ask(call: Call, text: str, target: str | None = None, build_args: dict[str, str] | None = None) -> CheckResult | Outline | Targets:
    options = PlanOptions(build_args or {}, target)
    return answer(call, Subject(text, "Dockerfile", options, Platform("linux", "amd64"), image_config, parse_ignore("ignored\n")))


def checked(text: str, build_args: dict[str, str] | None = None) -> CheckResult:
    found = ask("check", text, build_args=build_args)
    assert isinstance(found, CheckResult)
    return found


def rules(text: str, build_args: dict[str, str] | None = None) -> list[str]:
    return [warning.rule for warning in checked(text, build_args).warnings]


# Source: BuildKit's linter/ruleset.go.
NAMES = {
    "StageNameCasing", "FromAsCasing", "NoEmptyContinuation", "ConsistentInstructionCasing", "DuplicateStageName", "ReservedStageName",
    "JSONArgsRecommended", "MaintainerDeprecated", "UndefinedArgInFrom", "WorkdirRelativePath", "UndefinedVar", "LegacyKeyValueFormat",
    "MultipleInstructionsDisallowed", "InvalidBaseImagePlatform", "RedundantTargetPlatform", "SecretsUsedInArgOrEnv", "CopyIgnoredFile",
    "InvalidDefaultArgInFrom", "FromPlatformFlagConstDisallowed", "InvalidDefinitionDescription", "ExposeProtoCasing",
    "ExposeInvalidFormat",
}  # fmt: skip


def test_there_are_the_checks_of_buildkit() -> None:
    assert {rule.name for rule in RULES} == NAMES
    assert len(RULES) == 22
    assert all(rule.good and rule.bad and rule.description for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_check_likes_its_good_example_and_finds_its_bad_one(rule: Rule) -> None:
    asked = f"# check=experimental={rule.name}"
    assert rule.name not in rules(f"{asked}\n\n{rule.good}")
    assert rule.name in rules(f"{asked}\n\n{rule.bad}")
    # what is asked for by its name is not skipped with others
    assert (rule.name in rules(f"{asked};skip={rule.name}\n\n{rule.bad}")) == rule.is_experimental


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.is_experimental], ids=lambda rule: rule.name)
def test_an_experimental_check_is_made_when_it_is_asked_for(rule: Rule) -> None:
    assert rule.name not in rules(rule.bad)
    assert rule.name in rules("# check=experimental=all\n\n" + rule.bad)


URLS = [
    ("JSONArgsRecommended", "json-args-recommended"),
    ("StageNameCasing", "stage-name-casing"),
    ("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env"),
]


@pytest.mark.parametrize(("name", "page"), URLS)
def test_a_check_names_dockers_page(name: str, page: str) -> None:
    assert next(rule for rule in RULES if rule.name == name).url == f"https://docs.docker.com/go/dockerfile/rule/{page}/"


# What `docker build --check` of Docker 28.5 says of this file.
MANY = """FROM alpine as Build
run echo $x \\

  b
MAINTAINER me
CMD a
CMD b
WORKDIR app
ENV TOKEN x
EXPOSE 80/TCP
EXPOSE 1.2.3.4:80:80
COPY $z /q
FROM --platform=linux/amd64 alpine AS context
FROM --platform=$TARGETPLATFORM alpine AS context
COPY --from=build $q /q
"""
FOUND = [
    (1, "FromAsCasing", "'as' and 'FROM' keywords' casing do not match"),
    (1, "StageNameCasing", "Stage name 'Build' should be lowercase"),
    (2, "ConsistentInstructionCasing", "Command 'run' should match the case of the command majority (uppercase)"),
    (4, "NoEmptyContinuation", "Empty continuation line"),
    (5, "MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label"),
    (6, "JSONArgsRecommended", "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
    (6, "MultipleInstructionsDisallowed",
     "Multiple CMD instructions should not be used in the same stage because only the last one will be used"),
    (7, "JSONArgsRecommended", "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
    (8, "WorkdirRelativePath", 'Relative workdir "app" can have unexpected results if the base image changes'),
    (9, "LegacyKeyValueFormat", '"ENV key=value" should be used instead of legacy "ENV key value" format'),
    (9, "SecretsUsedInArgOrEnv", 'Do not use ARG or ENV instructions for sensitive data (ENV "TOKEN")'),
    (10, "ExposeProtoCasing", "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"),
    (11, "ExposeInvalidFormat",
     "EXPOSE instruction should not define an IP address or host-port mapping, found '1.2.3.4:80:80'"),
    (12, "UndefinedVar", "Usage of undefined variable '$z'"),
    (13, "FromPlatformFlagConstDisallowed", 'FROM --platform flag should not use constant value "linux/amd64"'),
    (13, "ReservedStageName", 'Stage name should not use the same name as reserved stage "context"'),
    (14, "DuplicateStageName", 'Duplicate stage name "context", stage names should be unique'),
    (14, "RedundantTargetPlatform",
     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
    (14, "ReservedStageName", 'Stage name should not use the same name as reserved stage "context"'),
    (15, "UndefinedVar", "Usage of undefined variable '$q'"),
]  # fmt: skip


def test_a_file_with_many_warnings_has_those_of_docker() -> None:
    found = checked(MANY.replace("COPY $z", "COPY z$z").replace("build $q", "build q$q"))
    assert sorted((warning.place.first_line, warning.rule, warning.message) for warning in found.warnings) == FOUND
    assert not found.faults


MESSAGES = [
    ("FROM alpine$fooo", "FROM argument 'fooo' is not declared"),
    ("ARG foo\nFROM $foo", "Default value for ARG $foo results in empty or invalid base image name"),
    ("ARG a=b:\nFROM alpine$a", "Default value for ARG alpine$a results in empty or invalid base image name"),
    ("FROM for-another-machine",
     'Base image for-another-machine was pulled with platform "linux/s390x", expected "linux/amd64" for current build'),
    ("# check=experimental=all\nFROM alpine\nADD ignored /", 'Attempting to Add file "ignored" that is excluded by .dockerignore'),
    ("# check=experimental=all\nFROM alpine\n# hello\nARG X", "Comment for ARG should follow the format: `# X <description>`"),
    ("# check=experimental=all\nFROM alpine\n# hello\nARG X Y", "Comment for ARG should follow the format: `# <arg_key> <description>`"),
    ("# check=experimental=all\nFROM alpine\n# x\nFROM alpine AS final",
     "Comment for FROM should follow the format: `# final <description>`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MESSAGES)
def test_a_warning_has_the_words_of_buildkit(text: str, message: str) -> None:
    assert message in [warning.message for warning in checked(text).warnings]


SKIPS = [
    ("# check=skip=MaintainerDeprecated\nFROM alpine\nMAINTAINER me", []),
    ("# check=skip=all\nFROM alpine\nMAINTAINER me", []),
    ("# check=skip=Other\nFROM alpine\nMAINTAINER me", ["MaintainerDeprecated"]),
    ("# check=experimental=all\nFROM alpine AS a", []),
    ("# check=experimental=all\n# other\nFROM alpine AS a", ["InvalidDefinitionDescription"]),
    ("# check=skip=MaintainerDeprecated ;error=true\nFROM alpine\nMAINTAINER me", []),
    ("# check=skip=Other, MaintainerDeprecated\nFROM alpine\nMAINTAINER me", ["MaintainerDeprecated"]),
    ("FROM alpine\n# check=skip=MaintainerDeprecated\nMAINTAINER me\nCMD a", ["JSONArgsRecommended"]),
    ("FROM alpine\n# check=skip=all\n\nMAINTAINER me", ["MaintainerDeprecated"]),
]


@pytest.mark.parametrize(("text", "found"), SKIPS)
def test_a_file_or_a_line_leaves_checks_out(text: str, found: list[str]) -> None:
    assert rules(text) == found


def test_a_build_argument_leaves_checks_out() -> None:
    assert rules("FROM alpine\nMAINTAINER me", {"BUILDKIT_DOCKERFILE_CHECK": "skip=all"}) == []


def test_what_a_build_argument_says_of_checks_is_said_instead_of_the_directive() -> None:
    text = "# check=skip=all\nFROM alpine AS a\nMAINTAINER me\nCMD a"
    assert rules(text, {"BUILDKIT_DOCKERFILE_CHECK": "skip=MaintainerDeprecated"}) == ["JSONArgsRecommended"]
    assert rules(text, {"BUILDKIT_DOCKERFILE_CHECK": ""}) == []


IGNORED = [
    ("COPY . /", ".*", False), ("COPY . /", "*", True), ("COPY . /", "*\n!a", False), ("COPY sub /", "sub\n!sub/a", False),
    ("COPY sub/a /", "sub\n!sub/b", True), ("COPY sub/a /", "sub\n!sub/a", False), ("COPY sub/*.txt /", "sub", False),
    ("COPY sub /", "!sub/a\nsub", True), ("COPY sub /", "sub\n!other/a", True), ("COPY sub /", "sub\n!s*/a", False),
    ("COPY ./a /", "**\n!a", False), ("ADD /x/ /", "x", True), ("COPY --from=alpine x /", "x", False),
]  # fmt: skip


@pytest.mark.parametrize(("line", "ignored", "is_found"), IGNORED)
def test_what_is_left_out_of_the_context_is_told_when_nothing_of_it_is_there(line: str, ignored: str, is_found: bool) -> None:
    subject = Subject(f"FROM alpine\n{line}", "Dockerfile", PlanOptions(), Platform("linux", "amd64"), image_config, parse_ignore(ignored))
    found = answer("check", subject)
    assert isinstance(found, CheckResult)
    assert [warning.rule for warning in found.warnings] == (["CopyIgnoredFile"] if is_found else [])


QUIET = [
    "FROM alpine\nARG SECRET_PASSPHRASE_FILE AUTH_MODULE_VERSION\nENV password_file=a",
    "FROM alpine\n# check=skip=SecretsUsedInArgOrEnv // it is none\nENV password=a",
    "FROM alpine\n# check=skip=all for a reason\nMAINTAINER me",
    'FROM alpine AS a\nSHELL ["/x"]\nFROM a AS b\nCMD a\nFROM B\nENTRYPOINT b',
    "ARG end\nFROM alpine${end}",
    "# check=experimental=all\nFROM alpine AS a\n# of another thing\n#\nARG b",
]


@pytest.mark.parametrize("text", QUIET)
def test_a_check_knows_what_is_meant(text: str) -> None:
    assert rules(text) == []


def test_a_check_looks_at_stages_that_the_last_one_does_not_need_unless_a_target_is_said() -> None:
    text = "FROM alpine AS a\nCOPY x$b /\nRUN --mount=nonsense x\nFROM alpine AS c\nCOPY y$d /"
    assert [warning.place.first_line for warning in checked(text).warnings] == [2, 5]
    found = ask("check", text, target="c")
    assert isinstance(found, CheckResult)
    assert [warning.place.first_line for warning in found.warnings] == [5]


def test_an_unknown_option_of_the_checks_is_refused() -> None:
    (fault,) = checked("# check=foo=true\nFROM alpine").faults
    assert "invalid check option: 'foo=true'" in fault.message


def test_a_check_tells_warnings_and_all_faults_of_a_file() -> None:
    found = checked("FROM alpine as B\nFRM a\nCOPY --fom a b")
    assert [warning.rule for warning in found.warnings] == ["StageNameCasing", "FromAsCasing"]
    assert [fault.first_line for fault in found.faults if isinstance(fault, DockerfileError)] == [2, 3, 3][: len(found.faults)]
    assert "did you mean FROM?" in repr(found)
    assert found.to_json()["buildError"]["location"] == {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}


def test_a_check_is_shown_as_docker_shows_it() -> None:
    assert repr(checked("FROM alpine\nMAINTAINER a\n")) == (
        "Check complete, 1 warning has been found!\n\n"
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n"
        "Maintainer instruction is deprecated in favor of using label\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM alpine\n"
        "   2 | >>> MAINTAINER a\n"
        "--------------------"
    )
    assert repr(checked("FROM alpine")) == "Check complete, no warnings found."


OUTLINE = """# comment
ARG V=1
ARG unused=3
# base is the base
FROM alpine:$V AS base
# X sets x
ARG X=2
ARG V
RUN --mount=type=secret,id=foo,required true
FROM base AS final
RUN --mount=type=cache,target=/x --mount=type=ssh true
"""


def test_an_outline_tells_arguments_secrets_and_sockets() -> None:
    assert repr(ask("outline", OUTLINE, build_args={"X": "5"})).split("\n")[4] == "X           5       sets x"
    assert repr(ask("outline", OUTLINE)).split("\n") == [
        "TARGET: final", "",
        "BUILD ARG   VALUE   DESCRIPTION", "V           1", "X           2       sets x", "",
        "SECRET   REQUIRED", "foo      true", "",
        "SSH       REQUIRED", "default",
    ]  # fmt: skip


def test_an_outline_tells_what_defaults_and_names_are_made_of() -> None:
    text = (
        "ARG A=pine\nARG no=1\nARG B=al$A\nARG AB=x\nFROM ${B:-x}\nARG C\nRUN --mount=type=secret,id=s-$C,env=X --mount=type=ssh,id=k$C x"
    )
    found = ask("outline", text, build_args={"C": "1"})
    assert isinstance(found, Outline)
    assert [(one.name, one.value, one.line) for one in found.arguments] == [("A", "pine", 1), ("B", "alpine", 3), ("C", "1", 6)]
    assert [one.name for one in (*found.secrets, *found.ssh)] == ["s-1", "k1"]


def test_the_targets_are_told_with_their_descriptions() -> None:
    found = ask("targets", OUTLINE, target="base")
    assert repr(found).split("\n") == ["TARGET         DESCRIPTION", "base (default) is the base", "final"]
    assert repr(ask("targets", "FROM alpine")).split("\n") == ["TARGET    DESCRIPTION", "(default)"]
    assert found.to_json()["targets"][1] == {
        "name": "final",
        "base": "base",
        "location": {"ranges": [{"start": {"line": 10}, "end": {"line": 10}}]},
    }
