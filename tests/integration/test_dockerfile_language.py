"""What a Dockerfile says, carried out on the real kernel: triggers, here-documents with an interpreter, variables, checks and outlines."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.calls import CheckResult, Outline, Targets
from labcontainers.build.result import Build
from labcontainers.errors import DockerfileError, InvalidArgument, NotFound


class Bench:
    """An engine and a context."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context

    def build(self, text: str, **options: object) -> Build:
        return self.engine.images.build(self.context, dockerfile_text=text, network="none", **options)

    def history(self, build: Build) -> list[str]:
        """What the build's own steps wrote into the history."""
        return [entry.created_by for entry in build.image.config.history if entry.comment == "buildkit.dockerfile.v0"]


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    return Bench(engine, tmp_path)


def test_triggers_are_done_in_the_child_and_gone_in_the_grandchild(bench: Bench) -> None:
    (bench.context / "f").write_text("from the child's context\n")
    base = bench.build("FROM lab/base\nONBUILD COPY f /f\nONBUILD RUN <<E\necho $WHO > /who\nE\nENV WHO=base", tags=("with-triggers",))
    assert base.image.config.config.extra["OnBuild"] == ["COPY f /f", "RUN <<E\necho $WHO > /who\nE"]
    child = bench.build("FROM with-triggers\nRUN cat /f /who", tags=("child",))
    assert child.steps[-1].output == "from the child's context\nbase\n"
    assert "OnBuild" not in child.image.config.config.extra
    assert bench.history(child) == [
        "ENV WHO=base", "COPY f /f # buildkit", "RUN /bin/sh -c echo $WHO > /who\n # buildkit", "RUN /bin/sh -c cat /f /who # buildkit",
    ]  # fmt: skip
    assert bench.history(bench.build("FROM child\nLABEL a=b"))[-2:] == ["RUN /bin/sh -c cat /f /who # buildkit", "LABEL a=b"]


def test_a_trigger_may_take_files_of_a_stage_of_its_child(bench: Bench) -> None:
    bench.build("FROM scratch\nONBUILD COPY --from=made /x /y", tags=("taker",))
    build = bench.build("FROM lab/base AS made\nRUN echo x > /x\nFROM lab/base AS unused\nRUN false\nFROM taker")
    assert [step.text for step in build.steps] == ["FROM lab/base AS made", "RUN echo x > /x", "FROM taker", "COPY --from=made /x /y"]


def test_a_trigger_that_fails_is_shown_with_the_image_that_it_is_of(bench: Bench) -> None:
    bench.build("FROM lab/base\nONBUILD COPY missing /", tags=("picky",))
    with pytest.raises(DockerfileError, match=r"Dockerfile \(ONBUILD of picky\):2: .*missing"):
        bench.build("# one\nFROM picky")


@pytest.mark.alike("every user")
def test_a_dockerfile_is_not_read_without_an_end(bench: Bench) -> None:
    (bench.context / "Dockerfile").write_text("FROM scratch\n" + "#" * (16 << 20))
    for name in ("Dockerfile", "/dev/zero"):
        with pytest.raises(InvalidArgument, match="has more than 16777216 bytes"):
            bench.engine.images.build(bench.context, dockerfile=name)


HEREDOCS = [
    ("RUN <<E\nA=1\necho $A $B\nE", "1 b\n"),
    ("RUN <<-E cat\n\tone\n\t\ttwo\n\tE", "one\ntwo\n"),
    ("RUN <<'E' sh -s x\necho \"$1\"\nE", "x\n"),
    ("RUN cat <<A /dev/fd/3 3<<B\na $B\nA\nb\nB", "b\n"),
    ('RUN <<E\n#!/bin/sh\necho "$0" | grep -c labcontainers\nE', "1\n"),
    ("RUN << E\necho $B\nE", "b\n"),
    ("RUN cat << 'E' | cat && echo $((1 << 3))\n$B\nE", "$B\n8\n"),
    ("COPY << E <<-F /to/\n$B\nE\n\tf\nF\nRUN cat /to/E /to/F", "b\nf\n"),
    ('RUN <<A cat - && cat <<"B"\n$B\nA\n$B\nB', "b\n$B\n"),
]


@pytest.mark.parametrize(("lines", "output"), HEREDOCS)
def test_a_here_document_is_run_as_it_says(bench: Bench, lines: str, output: str) -> None:
    assert bench.build(f"FROM lab/base\nENV B=b\n{lines}").steps[-1].output == output


def test_of_arg_and_env_the_later_one_is_what_a_step_sees(bench: Bench) -> None:
    build = bench.build("FROM lab/base\nARG a=1\nENV a=2\nRUN echo $a\nARG a=3\nRUN echo $a\nFROM lab/base\nRUN echo [$a]", target="0")
    assert [step.output for step in build.steps if step.text == "RUN echo $a"] == ["2\n", "3\n"]
    assert "a=2" in build.image.config.config.env


def test_files_that_are_ignored_are_told_of_when_that_is_asked_for(bench: Bench) -> None:
    (bench.context / ".dockerignore").write_text("secret*\n")
    (bench.context / "secret").touch()
    found = bench.engine.images.describe_build(
        "check", bench.context, dockerfile_text="# check=experimental=all\nFROM lab/base\nCOPY secret /"
    )
    assert isinstance(found, CheckResult)
    assert [warning.rule for warning in found.warnings] == ["CopyIgnoredFile"]


@pytest.mark.empty_store
def test_to_ask_about_a_dockerfile_builds_and_fetches_nothing(bench: Bench) -> None:
    text = "ARG V=1\nFROM lab/base AS made\nARG V\nRUN false\nFROM nowhere/such:${V} AS last\nENV x=$of_the_image\nCMD a"
    check, outline, targets = (
        bench.engine.images.describe_build(call, bench.context, dockerfile_text=text) for call in ("check", "outline", "targets")
    )
    assert isinstance(check, CheckResult)
    assert [warning.rule for warning in check.warnings] == ["JSONArgsRecommended"]
    assert isinstance(outline, Outline)
    assert (outline.target, [one.name for one in outline.arguments]) == ("last", ["V"])
    assert isinstance(targets, Targets)
    assert [(one.name, one.base, one.is_default) for one in targets.targets] == [
        ("made", "lab/base", False),
        ("last", "nowhere/such:1", True),
    ]
    assert bench.engine.images.list() == []
    with pytest.raises(InvalidArgument, match="--call: unknown: 'other'"):
        bench.engine.images.describe_build("other", bench.context, dockerfile_text=text)


def test_a_dockerfile_may_have_its_name_in_small_letters_and_has_an_ignore_file_of_its_own(bench: Bench) -> None:
    images, folder = bench.engine.images, bench.context
    for name, text in {"f": "", "g": "", ".dockerignore": "f\n", "sub/dockerfile": "FROM scratch\nCOPY [fg] /of/\n"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def built(**options: str) -> list[str]:
        top = Path(bench.engine.store.snapshots.lower_paths(images.build(folder, **options).image.diff_ids)[0])
        return sorted(path.name for path in (top / "of").iterdir())

    assert built(dockerfile="sub/Dockerfile") == ["g"]
    (folder / "dockerfile").write_text("FROM scratch\nCOPY ? /of/\n")
    assert built() == ["g"]
    (folder / "dockerfile.dockerignore").write_text("g\n")
    assert built() == ["f"]
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY ? /of/\n")
    assert built() == ["g"]
    (folder / "Dockerfile.dockerignore").write_text("*\n!f\n!g\n")
    assert built() == ["f", "g"]
    with pytest.raises(NotFound, match=r"no such Dockerfile: .*/sub/other"):
        built(dockerfile="sub/other")
