"""Whatever a Dockerfile says: it is planned, or refused by errors of this package, in bounded time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.build.calls import CALLS, Call, CheckResult, Subject, answer
from labcontainers.build.ignore import IgnoreRules
from labcontainers.build.plan import PlanOptions
from labcontainers.errors import LabError
from labcontainers.oci.descriptor import Platform
from labcontainers.oci.image_config import ImageConfig, ProcessConfig
from tests.unit.build.test_like_buildkits_parser import CORPUS, EDITS, edited


def image_config(name: str) -> ImageConfig:
    kept = {"OnBuild": ["RUN a", "COPY --from=build a b", "ENV a=${b:?c}"]} if len(name) % 2 else {}
    return ImageConfig("amd64", "linux", ProcessConfig(env=("PATH=/bin", "a=b"), extra=kept), ())


def ask(call: Call, text: str) -> str:
    """The answer's text, or the error's; anything but a LabError goes through."""
    options = PlanOptions({"V": "1"}, None)
    try:
        found = answer(call, Subject(text, "Dockerfile", options, Platform("linux", "amd64"), image_config, IgnoreRules()))
    except LabError as error:
        assert call != "check", text
        return error.message
    found.to_json()
    return repr(found)


WORDS = st.sampled_from(
    [
        "FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "ONBUILD", "EXPOSE", "VOLUME", "USER", "WORKDIR", "SHELL", "CMD",
        "HEALTHCHECK", "STOPSIGNAL", "MAINTAINER", "ENTRYPOINT", "scratch", "base", "AS", "build", "a=b", "a=$a", "${x:-$y}",
        "${x//a/b}", "$", "<<E", "<<-'E'", "E", "\n", "\n", "\n", "\\\n", '["a", "b"]', "[1]", "--from=build", "--from=0", "--from=9",
        "--chmod=9", "--interval=5s", "--retries=x", "--platform=$TARGETPLATFORM", "--mount=type=secret,id=a", "--link", "--x",
        "# check=skip=all\n", "# escape=`\n", "80/tcp", "9-8", "'", '"', "\u2028", "\udcff", "\x00", "\t", "/", "..", "NONE", "CMD",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=40), st.sampled_from(CALLS))
def test_words_in_any_order_are_answered_or_refused(words: list[str], call: Call) -> None:
    ask(call, " ".join(words))
    ask(call, "FROM base AS build\n" + " ".join(words))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.sampled_from(CALLS))
def test_any_text_is_answered_or_refused(text: str, call: Call) -> None:
    ask(call, text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CORPUS)), EDITS)
def test_mutations_of_real_files_are_answered_or_refused(name: str, edits: list[tuple[int, str, str]]) -> None:
    ask("check", edited(CORPUS[name], edits))


DOUBLING = "FROM base\nENV a=0123456789\n" + "ENV a=$a$a$a$a$a$a$a$a\n" * 60
LARGE = {
    "variables that double": DOUBLING,
    "arguments that double": DOUBLING.replace("ENV", "ARG"),
    "nested variables": "FROM base\nENV a=" + "${x:-" * 5000 + "}" * 5000,
    "nested brackets": "FROM base\nRUN " + "[" * 100_000,
    "a long line": "FROM base\nRUN " + "a" * 1_000_000,
    "many continuations": "FROM base\nRUN a" + " \\\n b" * 20_000,
    "many quotes": "FROM base\nENV a=" + "'b'" * 50_000,
    "many flags": "FROM base\nRUN " + "--mount=x " * 20_000,
    "many heredocs": "FROM base\nRUN " + "<<E " * 5_000 + "\n" + "E\n" * 5_000,
    "many ports": "FROM base\nEXPOSE " + "1-65535 " * 200,
    "many stages": "FROM base AS s0\n" + "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(2_000)),
    "many variables": "FROM base\n" + "".join(f"ENV v{number}=$v{number - 1}x\n" for number in range(1_000)),
    "stars": "FROM base\nENV a=" + "a" * 50_000 + "\nENV b=${a%%" + "*a" * 500 + "b}",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_is_answered_in_bounded_time(name: str) -> None:
    assert ask("check", LARGE[name])


def test_a_check_of_a_broken_file_tells_faults() -> None:
    text = "FROM base\nRUN <<E\n"
    options = PlanOptions()
    found = answer("check", Subject(text, "Dockerfile", options, Platform("linux", "amd64"), image_config, IgnoreRules()))
    assert isinstance(found, CheckResult)
    assert [fault.message for fault in found.faults] == ["unterminated heredoc: E"]
