"""Stages that are done anew and the platform of a build: what is taken, and what is refused in which words."""

from __future__ import annotations

import pytest

from labcontainers.commands.table import understand
from labcontainers.engine import build_flags
from labcontainers.engine.build_flags import build_platform, stage_names
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.oci.descriptor import Platform


@pytest.fixture(autouse=True)
def on_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_flags, "host_platform", lambda: Platform("linux", "arm64"))


def test_stages_are_separated_by_commas_or_said_one_by_one() -> None:
    assert stage_names(["a,b", " c "]) == ("a", "b", "c")
    assert stage_names([]) == ()
    with pytest.raises(InvalidArgument, match="--no-cache-filter"):
        stage_names(["a,,b"])


@pytest.mark.parametrize("text", ["linux/arm64", "linux/aarch64", "arm64", "linux/arm64/v8", "linux/arm64, linux/arm64/v8", "LINUX/ARM64"])
def test_this_machines_platform_is_taken_in_all_its_forms(text: str) -> None:
    assert build_platform(text) == Platform("linux", "arm64")


def test_a_variant_is_kept() -> None:
    assert build_platform("linux/arm64/v9") == Platform("linux", "arm64", "v9")
    assert build_platform(None) is None


@pytest.mark.parametrize("text", ["linux/s390x", "windows/arm64", "linux/arm/v7"])
def test_what_cannot_run_here_is_told_with_what_this_machine_is(text: str) -> None:
    with pytest.raises(Unsupported, match=f"--platform: {text} cannot run on this machine, which is linux/arm64"):
        build_platform(text)


def test_several_platforms_are_refused() -> None:
    with pytest.raises(Unsupported, match="one platform"):
        build_platform("linux/arm64,linux/amd64")
    for text in (",", "a/b/c/d"):
        with pytest.raises(InvalidArgument, match="--platform"):
            build_platform(text)


@pytest.mark.parametrize("words", [["build"], ["image", "build"], ["builder", "build"], ["buildx", "build"], ["buildx", "b"]])
def test_a_build_has_dockers_other_names(words: list[str]) -> None:
    assert understand([*words, "--builder", "default", "."]).command.name == "build"
