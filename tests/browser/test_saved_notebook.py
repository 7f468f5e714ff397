"""What a saved notebook keeps of the widgets, and what a reader without a kernel sees of it."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from playwright.sync_api import expect

from labcontainers.widgets import bundle
from tests.browser.card import Card
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
CARDS = 5
# to a page, what is between two dollars is a formula
DOLLARS = """from IPython.display import HTML
from labcontainers.session import current_engine
from labcontainers.widgets import show_container
script = "cost=5 of=6; echo $cost of $of"
container = current_engine().containers.run("lab/base", ["sh", "-c", script], detach=True)
HTML(show_container(container)._repr_mimebundle_()[0]["text/html"])"""
FORMULA = "HTML('$x^2$')"
SCRIPT = "trap 'exit 3' TERM; echo written by {number}; while true; do sleep 0.1; done"
RUN = f"""from labcontainers.session import current_engine
current_engine().containers.run("lab/base", ["sh", "-c", "{SCRIPT}"], name="saved{{number}}", detach=True)"""


def open_with_cards(lab: Server, open_notebook: Open) -> NotebookPage:
    page = open_notebook(lab, ["%load_ext labcontainers", *(RUN.format(number=number) for number in range(CARDS))])
    page.run_all()
    for number in range(CARDS):
        page.locator(".jp-CodeCell").nth(number + 1).evaluate("element => element.scrollIntoView()")
        card = Card(page.locator(".jp-CodeCell").nth(number + 1).locator(".labc-card"))
        card.wait_line(f"written by {number}")
        card.press("stop")
        card.wait_state("exited")
    return page


def read_again(page: NotebookPage, *texts: str) -> None:
    """Load the page again and wait for these texts in the first card's output.

    When a new kernel connects while the widgets' manager reads the file, the manager may leave the file out and show "model not found";
    loading the page once more is what helps its user, and so this does it.
    """
    first = page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    for _ in range(4):
        page.reload()
        expect(first).to_contain_text(re.compile(f"{texts[0]}|model not found"))
        # it may still read the file
        with suppress(AssertionError):
            expect(first).to_contain_text(texts[0], timeout=10_000)
            break
    for text in texts:
        expect(first).to_contain_text(text)


def test_five_cards_are_saved_without_the_bundle_and_stay_readable_without_a_kernel(lab: Server, open_notebook: Open) -> None:
    page = open_with_cards(lab, open_notebook)
    # what is to be saved follows what is seen
    until(lambda: json.dumps(page.save().cells).count("Exited (3)") >= 2 * CARDS, "the ends are in the file")
    saved = page.save()
    size = (lab.notebooks / page.name).stat().st_size
    code = bundle.read().code
    assert size < 5000 * CARDS, f"{CARDS} cards take {size} bytes of the file"
    assert code[2000:2200] not in json.dumps(saved, ensure_ascii=False)
    widgets = saved.metadata.widgets[STATE].state
    esm = [model.state._esm for model in widgets.values() if "_esm" in model.state]
    assert len(esm) == CARDS
    assert all(len(loader) < 2000 for loader in esm)

    outputs = [output for cell in saved.cells[1:] for output in cell.outputs]
    assert len(outputs) == CARDS
    for number, output in enumerate(outputs):
        assert VIEW in output.data
        for form in (output.data["text/plain"], output.data["text/html"]):
            assert f"saved{number}" in form
            assert "Exited (3)" in form, "the output keeps what the container was first, not last"
            assert f"written by {number}" in form

    lab.end_kernels()
    read_again(page, "saved0", "written by 0")
    assert page.locator(".labc-card").count() == 0


def test_page_loaded_again_shows_the_live_card_of_a_running_kernel(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, ["%load_ext labcontainers", RUN.format(number=7)])
    page.run_all()
    card = Card(page.locator(".labc-card"))
    card.wait_line("written by 7")
    page.save()
    page.reload()
    card.wait_line("written by 7")
    card.press("stop")
    card.wait_state("exited")


def test_command_with_dollars_is_no_formula_where_the_snapshot_is_shown(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, ["%load_ext labcontainers", DOLLARS, FORMULA])
    page.run_all()
    snapshot, formula = (page.locator(".jp-CodeCell").nth(number).locator(".jp-OutputArea-output") for number in (1, 2))
    # formulas are set in the order in which they come
    expect(formula.locator("mjx-container")).to_have_count(1)
    expect(snapshot).to_contain_text("echo $cost of $of")
    assert snapshot.locator("mjx-container").count() == 0
