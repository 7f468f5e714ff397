"""The first lesson in JupyterLab, as a reader goes through it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.card import Card
from tests.browser.conftest import Open
from tests.browser.jupyter import HOUSE, NotebookPage, Server

LESSONS = HOUSE / "notebooks"
LESSON = LESSONS / "01-first-container.ipynb"
CARD_CELL = "start"
LIMITS = LESSONS / "06-limits-and-cgroups.ipynb"
SECURITY = LESSONS / "08-security.ipynb"

pytestmark = pytest.mark.needs("chromium")


def lesson_up_to(cell_id: str, folder: Path, lesson: Path = LESSON) -> Path:
    """The lesson without what follows the cell `cell_id`."""
    notebook = nbformat.read(lesson, as_version=4)
    ids = [cell.id for cell in notebook.cells]
    notebook.cells = notebook.cells[: ids.index(cell_id) + 1]
    path = folder / lesson.name
    nbformat.write(notebook, path)
    return path


def click_run_all(lab: NotebookPage) -> None:
    lab.page.get_by_role("menuitem", name="Run", exact=True).click()
    lab.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def test_run_all_shows_a_card_whose_log_and_chart_move_and_stop_stops_it(lab: Server, open_notebook: Open, tmp_path: Path) -> None:
    page = open_notebook(lab, lesson_up_to(CARD_CELL, tmp_path))
    click_run_all(page)
    card = Card(page.locator(".labc-card"))
    card.wait_state("running")
    card.wait_line("tick 2")
    card.wait_for_motion("cpu")
    card.wait_for_motion("memory")
    card.press("stop")
    card.wait_state(r"exited \(0\)")
    card.wait_line("goodbye")
    expect(page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)


def test_whole_lesson_runs_to_its_end_with_run_all(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, LESSON)
    click_run_all(page)
    expect(page.locator(".jp-OutputArea-output").filter(has_text="nothing is left behind")).to_be_visible()
    Card(page.locator(".labc-card")).wait_state("removed")
    outputs = [output for cell in page.save().cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]


def test_an_exercise_is_not_yet_solved_until_the_student_does_it_and_its_solution_is_folded(
    lab: Server, open_notebook: Open, tmp_path: Path
) -> None:
    page = open_notebook(lab, lesson_up_to("caps-solution", tmp_path, SECURITY))
    exercise = page.locator(".jp-CodeCell").filter(has_text="your line here")
    click_run_all(page)
    expect(exercise.locator(".jp-OutputArea-output")).to_contain_text("not yet")
    expect(exercise.locator(".jp-OutputArea-output code").first).to_have_text("08.capabilities")
    solution = page.locator(".jp-CodeCell").last
    expect(solution.locator(".jp-OutputArea-output")).to_contain_text("passed")
    expect(solution.locator(".jp-Placeholder")).to_be_visible()
    exercise.locator(".cm-content").click()
    page.page.keyboard.press("Control+Home")
    line = "%container run -d --name port --network none --cap-drop ALL --cap-add NET_BIND_SERVICE lab/base sleep 1000"
    page.page.keyboard.insert_text(line + "\n")
    page.page.keyboard.press("Control+Enter")
    expect(exercise.locator(".jp-OutputArea-output").last).to_contain_text("passed")


def test_the_picture_of_a_lesson_is_shown(lab: Server, open_notebook: Open, tmp_path: Path) -> None:
    shutil.copytree(LESSONS / "images", lab.notebooks / "images", dirs_exist_ok=True)
    page = open_notebook(lab, lesson_up_to("folder-why", tmp_path, LIMITS))
    picture = page.locator(".jp-RenderedMarkdown img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 760)
