"""Every lesson is executed from top to bottom, and is kept in the form in which a reader should first open it; so is `make demo`.

It must not know what a lesson teaches: each checks itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from labcontainers.teaching import names
from scripts.demo import LESSON
from scripts.lesson import report_name, run_lesson, store_of_its_own

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
LESSONS = sorted((HOUSE / "notebooks").glob("[0-9][0-9]-*.ipynb"))
# what `make demo` promises to show
SHOWN_BY_THE_DEMO = {"image built", "container run", "isolation verified"}


def test_there_are_lessons() -> None:
    assert LESSONS


# the client of the kernel keeps threads and sockets in this process
@pytest.mark.may_leak("threads", "descriptors")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs_from_top_to_bottom(lesson: Path) -> None:
    with store_of_its_own() as environment:
        report = run_lesson(lesson, environment)
    assert all(row.duration_s > 0 for row in report)


def tagged(lesson: Path, tag: str) -> list[str]:
    """The sources of the cells that have it."""
    return [cell.source for cell in nbformat.read(lesson, as_version=4).cells if tag in cell.metadata.get("tags", ())]


WITH_EXERCISES = [lesson for lesson in LESSONS if tagged(lesson, "exercise")]
CHECKED = re.compile(r'check\("([\w.]+)"')


# the client of the kernel keeps threads and sockets in this process
@pytest.mark.may_leak("threads", "descriptors")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lesson", WITH_EXERCISES, ids=lambda path: path.stem)
def test_lesson_runs_without_its_solutions_as_a_class_may_get_it(lesson: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", ())]
    nbformat.write(notebook, tmp_path / lesson.name)
    with store_of_its_own() as environment:
        run_lesson(tmp_path / lesson.name, environment)


@pytest.mark.parametrize("lesson", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_exercise_of_a_lesson_has_a_folded_solution_that_asserts_its_check(lesson: Path) -> None:
    number = lesson.name[:2]
    asked = {name for source in tagged(lesson, "exercise") for name in CHECKED.findall(source)}
    solved = {name for source in tagged(lesson, "solution") if "assert " in source for name in CHECKED.findall(source)}
    assert asked == solved == {name for name in names() if name.startswith(f"{number}.")}
    cells = nbformat.read(lesson, as_version=4).cells
    folded = [cell for cell in cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert folded == [cell for cell in cells if "solution" in cell.metadata.get("tags", ())]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_pictures_of_a_lesson_are_there(lesson: Path) -> None:
    cells = nbformat.read(lesson, as_version=4).cells
    pictures = [name for cell in cells if cell.cell_type == "markdown" for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", cell.source)]
    assert not [name for name in pictures if not (lesson.parent / name).is_file()]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_is_kept_without_outputs_with_stable_ids_and_for_any_python(lesson: Path) -> None:
    notebook = nbformat.read(lesson, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count]
    assert not [cell.id for cell in notebook.cells if len(cell.id) == 8 and all(letter in "0123456789abcdef" for letter in cell.id)]
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_checks_itself_and_reports_what_it_showed(lesson: Path) -> None:
    notebook = nbformat.read(lesson, as_version=4)
    assert any("assert " in cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert [cell.id for cell in notebook.cells if report_name(cell)]


def test_the_lesson_of_the_demo_reports_what_the_demo_promises() -> None:
    reported = [report_name(cell) for cell in nbformat.read(LESSON, as_version=4).cells]
    assert {name for name in reported if name} >= SHOWN_BY_THE_DEMO


@pytest.mark.timeout(600)
def test_the_demo_ends_well_and_shows_each_with_its_time() -> None:
    done = subprocess.run([sys.executable, "scripts/demo.py"], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^  ✓ (.+?)  +(?:\d+ ms|\d+\.\d\d s)(?:  (.*))?$", done.stdout, re.MULTILINE)
    assert {name for name, _ in rows} >= SHOWN_BY_THE_DEMO, done.stdout
    assert dict(rows)["container run"] == "hello from inside a container"
