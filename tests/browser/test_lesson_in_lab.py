"""The first lesson in JupyterLab, as a reader goes through it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.card import Card
from tests.browser.conftest import Open
from tests.browser.jupyter import HOUSE, NotebookPage, Server

LESSON = HOUSE / "notebooks" / "01-first-container.ipynb"
CARD_CELL = "start"

pytestmark = pytest.mark.needs("chromium")


def lesson_up_to(cell_id: str, folder: Path) -> Path:
    """The lesson without what follows the cell `cell_id`."""
    notebook = nbformat.read(LESSON, as_version=4)
    ids = [cell.id for cell in notebook.cells]
    notebook.cells = notebook.cells[: ids.index(cell_id) + 1]
    path = folder / LESSON.name
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
