"""A step of a build that failed, looked into: its files, surroundings and terminal, how long it is kept, and what is never kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.engine.failed_step import FailedStep
from labcontainers.errors import ContainerExit, NotFound, StepFailed, Unsupported

pytestmark = pytest.mark.alike("ordinary users")

CANARY = "canary-9f1c"
TEXT = """FROM lab/base
WORKDIR /work
ENV A=of-the-image
ARG B=of-the-build
COPY here /work/here
RUN --mount=type=cache,target=/cache --mount=type=bind,target=/context --mount=type=tmpfs,target=/scratch \\
 echo half > made && echo kept > /cache/kept && rm here && exit 3
"""


def fail(engine: Engine, folder: Path, text: str = TEXT, **options: Any) -> StepFailed:
    (folder / "here").write_text("x")
    with pytest.raises(StepFailed) as caught:
        engine.images.build(folder, dockerfile_text=text, **{"network": "none", **options})
    return caught.value


def test_the_step_is_looked_into_where_it_failed(engine: Engine, tmp_path: Path) -> None:
    error = fail(engine, tmp_path)
    assert "build debug" in error.hint
    failed = error.debug()
    assert isinstance(failed, FailedStep)
    said = failed.run("pwd; cat made; ls here; echo $A $B; cat /cache/kept /context/here; df /scratch | tail -n 1; exit 5")
    assert said.exit_code == 5
    assert said.stdout.splitlines()[:4] == ["/work", "half", "of-the-image of-the-build", "kept"]
    assert "tmpfs" in said.stdout
    assert "here: No such file" in said.stderr
    assert list(failed.layer.changes.values()) == [1, 0, 1]
    assert "exit code 3" in repr(failed)
    assert "Dockerfile:6: RUN" in repr(failed)
    assert "RUN" in failed._repr_html_()


def test_what_is_done_in_it_changes_nothing_of_it(engine: Engine, tmp_path: Path) -> None:
    failed = fail(engine, tmp_path).debug()
    assert failed.run("rm made && touch other").exit_code == 0
    assert failed.run(["ls"]).stdout == "made\n"
    container = failed.container("sleep 60")
    try:
        assert container.exec(["cat", "made"]).stdout == "half\n"
    finally:
        container.remove(force=True)
    assert engine.containers.list(all=True) == []


def test_the_last_failure_of_a_build_is_kept_until_it_succeeds(engine: Engine, tmp_path: Path) -> None:
    first = fail(engine, tmp_path, tag="app").debug()
    second = fail(engine, tmp_path, text=TEXT.replace("exit 3", "echo more > more; exit 4"), tag="app").debug()
    assert [image.id for image in engine.images.list(all=True) if not image.tags] == [second.image.id]
    with pytest.raises(NotFound, match="the files of the failed step are gone"):
        first.run("true")
    assert [one.failure.exit_code for one in engine.images.failed_steps.list()] == [4]
    engine.images.build(tmp_path, dockerfile_text=TEXT.replace("exit 3", "true"), network="none", tag="app")
    assert engine.images.failed_steps.list() == []
    assert [image for image in engine.images.list(all=True) if not image.tags] == []
    assert engine.verify() == []


def test_a_prune_takes_it_away(engine: Engine, tmp_path: Path) -> None:
    failed = fail(engine, tmp_path).debug()
    engine.images.prune()
    with pytest.raises(NotFound):
        failed.run("true")
    with pytest.raises(NotFound, match="no failed step is kept"):
        engine.images.failed_steps.get()


def test_a_container_in_it_keeps_its_files_when_the_build_succeeds(engine: Engine, tmp_path: Path) -> None:
    failed = fail(engine, tmp_path).debug()
    container = failed.container("sleep 60")
    engine.images.build(tmp_path, dockerfile_text=TEXT.replace("exit 3", "true"), network="none")
    assert container.exec(["cat", "made"]).stdout == "half\n"
    container.remove(force=True)


def test_neither_secrets_nor_what_was_bound_from_a_stage_is_there_and_that_is_said(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY)
    text = (
        "FROM lab/base AS other\nFROM lab/base\n"
        "RUN --mount=type=secret,id=token --mount=type=secret,id=word,env=WORD --mount=type=bind,from=other,target=/other "
        "cat /run/secrets/token; exit 1"
    )
    options = {"secrets": [f"id=token,src={tmp_path}/secret", f"id=word,src={tmp_path}/secret"]}
    failed = fail(engine, tmp_path, text=text, build_args={"HTTP_PROXY": f"http://{CANARY}@proxy"}, **options).debug()
    said = failed.run("env; ls /run/secrets /other")
    assert CANARY not in said.stdout
    assert list(failed.missing) == ["the files that were bound to /other", "the secret at /run/secrets/token"]
    kept = [path for path in engine.paths.root.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert kept == []


def test_a_program_that_is_not_there_is_a_failure_that_can_be_looked_into(engine: Engine, tmp_path: Path) -> None:
    error = fail(engine, tmp_path, text='FROM lab/base\nRUN ["no-such-program"]')
    assert error.returncode == 127
    assert error.debug().run("echo here").stdout == "here\n"


class TestCommand:
    def said(self, engine: Engine, folder: Path, words: str, output: list[bytes] | None = None, **options: Any) -> Any:
        told = output if output is not None else []
        return execute(
            lambda: engine, understand(words.split()), folder=folder, on_output=lambda stream, data: told.append(data), **options
        )

    def test_build_debug_names_a_build_and_runs_a_command_there(self, engine: Engine, tmp_path: Path) -> None:
        fail(engine, tmp_path, tag="app")
        fail(engine, tmp_path, tag="other", text="FROM lab/base\nRUN exit 9")
        assert self.said(engine, tmp_path, "build debug").failure.tags == ("other:latest",)
        assert self.said(engine, tmp_path, "build debug app cat made").stdout == "half\n"
        with pytest.raises(ContainerExit):
            self.said(engine, tmp_path, "build debug app false")
        with pytest.raises(NotFound, match="no failed step of nothing is kept"):
            self.said(engine, tmp_path, "build debug nothing")
        with pytest.raises(Unsupported, match="-it"):
            self.said(engine, tmp_path, "build debug -it app")
        self.said(engine, tmp_path, "build debug --rm other")
        assert [one.failure.tags for one in engine.images.failed_steps.list()] == [("app:latest",)]

    def test_a_folder_can_still_be_called_debug(self, engine: Engine, tmp_path: Path) -> None:
        (tmp_path / "debug").mkdir()
        (tmp_path / "debug/Dockerfile").write_text("FROM scratch\nENV A=1\nCOPY Dockerfile /")
        assert self.said(engine, tmp_path, "build ./debug").image.id
