"""`%%dockerfile --append NAME`: a Dockerfile in several cells, in a real IPython shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers.build.drafts import DRAFTS
from labcontainers.errors import Conflict, DockerfileError, InvalidArgument, NotFound, StepFailed
from tests.fakes.engine import FakeEngine
from tests.unit.magics.conftest import Notebook


def built(engine: FakeEngine) -> list[tuple[str, list[str]]]:
    """The text and the tags of each build that was asked for."""
    return [(asked[2]["dockerfile_text"], list(asked[2]["tags"])) for asked in engine.asked if asked[0] == "build"]


@pytest.fixture
def cell_ids(shell: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where a test writes the id of the cell that runs next, as JupyterLab sends it."""
    metadata: dict[str, str] = {}
    monkeypatch.setattr(shell, "get_parent", lambda: {"metadata": metadata}, raising=False)
    return metadata


def test_each_cell_builds_what_stands_so_far(notebook: Notebook, engine: FakeEngine) -> None:
    notebook.run("%%dockerfile --append web --out first\nFROM lab/base\n")
    assert notebook.names["first"] is engine.answer
    notebook.run("%%dockerfile --append web -t other:1\nRUN true\n")
    assert built(engine) == [("FROM lab/base\n", ["web"]), ("FROM lab/base\nRUN true\n", ["other:1"])]


def test_what_has_no_stage_yet_is_kept_and_shown(notebook: Notebook, engine: FakeEngine) -> None:
    shown = notebook.run("%%dockerfile --append web\nARG V=1\n")
    assert "ARG V=1" in shown.stdout
    assert built(engine) == []
    notebook.run("%%dockerfile --append web\nFROM lab/base:$V\n")
    assert built(engine) == [("ARG V=1\nFROM lab/base:$V\n", ["web"])]


def test_a_cell_that_runs_again_builds_down_to_itself(notebook: Notebook, engine: FakeEngine, cell_ids: dict[str, str]) -> None:
    for cell, text in (("a", "FROM lab/base"), ("b", "RUN one"), ("a", "FROM lab/python"), ("b", "RUN two")):
        cell_ids["cellId"] = cell
        notebook.run(f"%%dockerfile --append web\n{text}\n")
    texts = ["FROM lab/base\n", "FROM lab/base\nRUN one\n", "FROM lab/python\n", "FROM lab/python\nRUN two\n"]
    assert [text for text, _ in built(engine)] == texts
    assert DRAFTS.get("web").text == texts[-1]


def test_a_part_that_fails_does_not_stand(notebook: Notebook, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook.run("%%dockerfile --append web\nFROM lab/base\n")

    def fail(path: Any, **options: Any) -> None:
        raise StepFailed("Dockerfile:3: RUN false", 1, hint="mend it")

    monkeypatch.setattr(engine.images, "build", fail)
    notebook.run("%%dockerfile --append web\n# so\nRUN false\n")
    assert isinstance(notebook.error, StepFailed)
    assert notebook.error.hint == "line 2 of this cell; mend it"
    assert DRAFTS.get("web").text == "FROM lab/base\n"


def test_a_fault_in_an_earlier_part_names_it(notebook: Notebook, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook.run("%%dockerfile --append web\nFROM lab/base\nRUN one\n")

    def fail(path: Any, **options: Any) -> None:
        raise DockerfileError("no", first_line=2, source="RUN one")

    monkeypatch.setattr(engine.images, "build", fail)
    notebook.run("%%dockerfile --append web\nRUN two\n")
    assert isinstance(notebook.error, DockerfileError)
    assert notebook.error.hint == "line 2 of part 1"


def test_a_check_leaves_the_parts_as_they_were(notebook: Notebook, engine: FakeEngine) -> None:
    asked: list[str] = []
    engine.images.describe_build = lambda call, path, **options: asked.append(options["dockerfile_text"])
    notebook.run("%%dockerfile --append web\nFROM lab/base\n")
    notebook.run("%%dockerfile --append web --check\nRUN true\n")
    assert asked == ["FROM lab/base\nRUN true\n"]
    assert DRAFTS.get("web").text == "FROM lab/base\n"


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%container build --append web", InvalidArgument, "this is a line"),
        ("%%dockerfile --append web -f other\nFROM x", InvalidArgument, "--file"),
        ("%%dockerfile --append web\nFROM x \\", InvalidArgument, "within an instruction"),
        ("%container dockerfile show web", NotFound, "'web'"),
        ("%container dockerfile rm web", NotFound, "'web'"),
        ("%container dockerfile export web", NotFound, "'web'"),
    ],
)
def test_what_cannot_be_says_why(notebook: Notebook, cell: str, kind: type[Exception], words: str) -> None:
    notebook.run(cell)
    assert isinstance(notebook.error, kind)
    assert words in str(notebook.error)
    assert DRAFTS.list() == []


def test_parts_are_listed_shown_written_and_forgotten(notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook.run("%%dockerfile --append web\nFROM lab/base\n")
    notebook.run("%%dockerfile --append web\nRUN true")
    assert "web       2         2" in notebook.run("%container dockerfile ls").stdout
    assert "FROM lab/base\nRUN true\n" in notebook.run("%container dockerfile show web").stdout
    notebook.run("%container dockerfile export web")
    assert (tmp_path / "Dockerfile").read_text() == "FROM lab/base\nRUN true\n"
    (tmp_path / "plain").touch()
    assert (tmp_path / "Dockerfile").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").unlink()
    (tmp_path / "Dockerfile").write_text("mine")
    notebook.run("%container dockerfile export web")
    assert isinstance(notebook.error, Conflict)
    assert (tmp_path / "Dockerfile").read_text() == "mine"
    notebook.run("%container dockerfile export -f web Dockerfile")
    notebook.run("%container dockerfile export web web.Dockerfile")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Dockerfile", "web.Dockerfile"]
    assert (tmp_path / "Dockerfile").read_text() == (tmp_path / "web.Dockerfile").read_text() == "FROM lab/base\nRUN true\n"
    notebook.run("%container dockerfile export web nowhere/Dockerfile")
    assert isinstance(notebook.error, NotFound)
    notebook.run("%container dockerfile rm web")
    assert DRAFTS.list() == []


def test_help_does_not_build(notebook: Notebook, engine: FakeEngine) -> None:
    assert "Usage:" in notebook.run("%%dockerfile --append web --help\nFROM x").stdout
    assert built(engine) == []
    assert DRAFTS.list() == []
