"""The glass box in JupyterLab: the walk by keys, buttons and slider, filters and search, both themes, and what is saved."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.card import brightness
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
RUN = "%container run -d --name glass -v /tmp:/mnt:ro -p 127.0.0.1::80 lab/base sleep 1000"
EXPLAIN = "%container explain glass"
FAIL = """import labcontainers.session
try:
    labcontainers.session.current_engine().containers.run("lab/base", "no-such-program", name="fails")
except labcontainers.LabError as error:
    print(error)"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
# where pictures are kept, for whoever wants to look at them
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


class Glass:
    """A live glass box; every wait has the page's time limit."""

    def __init__(self, page: NotebookPage) -> None:
        self.page = page
        self.root = page.locator(".labg")
        self.rows = self.root.locator(".labg-row")
        self.place = self.root.locator(".labg-place")
        self.now = self.root.locator(".labg-now")
        self.list = self.root.get_by_role("listbox", name="Operations")
        self.search = self.root.get_by_role("searchbox", name="Search operations")
        self.badge = self.root.locator(".labc-badge")

    def room(self, stage: str) -> str | None:
        return self.root.locator(f"section[data-stage='{stage}']").get_attribute("data-state")

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.page.set_viewport_size({**(self.page.page.viewport_size or {"width": 1200}), "height": 1300})
            self.root.screenshot(path=Path(PICTURES) / f"glass-{name}.png")


def glass_of(lab: Server, open_notebook: Open, *, dark: bool = False, width: int = 1200) -> Glass:
    page = open_notebook(lab, [LOAD, RUN, EXPLAIN], dark=dark, width=width)
    page.run_all()
    glass = Glass(page)
    expect(glass.badge).to_have_text("was made")
    glass.root.evaluate("element => element.scrollIntoView()")
    return glass


def test_the_container_is_assembled_as_the_reader_walks_by_keys(lab: Server, open_notebook: Open) -> None:
    glass = glass_of(lab, open_notebook)
    keyboard = glass.page.page.keyboard
    total = glass.rows.count()
    assert total > 40
    expect(glass.place).to_have_text(f"{total} of {total}")
    assert {glass.room(stage) for stage in ("namespaces", "layers", "mounts", "devices", "identity", "program")} == {"made"}
    glass.picture("light")
    glass.list.focus()
    keyboard.press("Home")
    expect(glass.place).to_have_text(f"0 of {total}")
    expect(glass.now).to_contain_text("Nothing is made yet")
    assert {glass.room(stage) for stage in ("namespaces", "layers", "mounts", "devices", "program")} == {"coming"}
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    expect(glass.place).to_have_text(f"2 of {total}")
    expect(glass.root.locator(".labg-row[aria-selected='true']")).to_have_count(1)
    keyboard.press("ArrowLeft")
    expect(glass.place).to_have_text(f"1 of {total}")
    while glass.room("layers") != "now" or "overlay" not in (glass.now.text_content() or ""):
        keyboard.press("ArrowDown")
    expect(glass.now).to_contain_text("mount(2)")
    expect(glass.now).to_contain_text("Lays the image's layers over each other")
    assert glass.room("mounts") in ("made", "coming")
    assert glass.room("program") == "coming"
    glass.picture("light-middle")
    keyboard.press("PageDown")
    after = glass.place.text_content()
    keyboard.press("PageUp")
    expect(glass.place).not_to_have_text(after or "")
    keyboard.press("End")
    expect(glass.place).to_have_text(f"{total} of {total}")
    # keys of the notebook, such as d d for deleting a cell, are not taken from here
    keyboard.press("d")
    keyboard.press("d")
    assert glass.page.page.evaluate(CELLS) == 3


def test_it_walks_by_itself_by_the_slider_and_by_a_click(lab: Server, open_notebook: Open) -> None:
    glass = glass_of(lab, open_notebook)
    total = glass.rows.count()
    play = glass.root.get_by_role("button", name="play")
    play.click()
    expect(glass.place).to_have_text(re.compile("^[1-9] of"))
    glass.root.get_by_role("button", name="pause").click()
    slider = glass.root.get_by_role("slider", name="Operation")
    slider.fill("3")
    expect(glass.place).to_have_text(f"3 of {total}")
    slider.press("ArrowRight")
    expect(glass.place).to_have_text(f"4 of {total}")
    glass.rows.nth(9).click()
    expect(glass.place).to_have_text(f"10 of {total}")
    glass.root.locator(".labg-part", has_text="/dev/null").click()
    expect(glass.now).to_contain_text("/dev/null")


def test_stages_and_a_search_choose_operations_and_scripts_open(lab: Server, open_notebook: Open) -> None:
    glass = glass_of(lab, open_notebook)
    shown = glass.root.locator(".labg-row:visible")
    glass.root.get_by_role("button", name="Devices", exact=True).click()
    expect(shown.first).to_contain_text("/dev")
    assert set(shown.evaluate_all("rows => rows.map(row => row.dataset.stage)")) == {"devices"}
    glass.search.fill("urandom")
    expect(shown).to_have_count(1)
    expect(shown.first).to_contain_text("/dev/urandom")
    glass.search.fill("no such thing")
    expect(glass.root.locator(".labg-nothing")).to_be_visible()
    glass.search.fill("pivot_root")
    glass.root.get_by_role("button", name="Devices", exact=True).click()
    expect(shown).to_have_count(1)
    glass.picture("light-search")
    glass.root.locator("summary", has_text="as a docker command").click()
    expect(glass.root.locator(".labg-script[open] pre")).to_contain_text("docker run -d --name glass")


@pytest.mark.parametrize("width", [1200, 700])
def test_the_glass_box_is_dark_in_the_dark_theme(lab: Server, open_notebook: Open, width: int) -> None:
    glass = glass_of(lab, open_notebook, dark=True, width=width)
    style = "(element, name) => getComputedStyle(element)[name]"
    assert brightness(glass.root.evaluate(style, "backgroundColor")) < 0.3
    assert brightness(glass.root.evaluate(style, "color")) > 0.7
    overflow = glass.root.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 0
    glass.picture(f"dark-{width}")
    glass.rows.nth(20).click()
    glass.picture(f"dark-middle-{width}")


def test_a_failed_operation_is_marked(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, FAIL, "%container explain fails"])
    page.run_all()
    glass = Glass(page)
    expect(glass.badge).to_have_text("was not made")
    expect(glass.root.locator(".labg-row[data-state='failed']")).to_contain_text("exec")
    expect(glass.now).to_contain_text("executable file not found")
    assert glass.room("program") == "failed"
    glass.picture("light-failed")


def test_a_saved_notebook_keeps_the_table_without_a_kernel(lab: Server, open_notebook: Open) -> None:
    glass = glass_of(lab, open_notebook)
    glass.root.get_by_role("button", name="back (←)").click()
    data = glass.page.save().cells[2].outputs[0].data
    for form in (data["text/plain"], data["text/html"]):
        assert "pivot_root(2)" in form
        assert "operations made glass in" in form
    lab.end_kernels()
    # it goes on without a kernel, since all is in the page
    glass.list.focus()
    glass.page.page.keyboard.press("Home")
    expect(glass.place).to_have_text(re.compile("^0 of"))
    glass.page.reload()
    shown = glass.page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
    expect(shown).to_contain_text("operations made glass in")
    until(lambda: glass.page.locator(".labg").count() == 0, "only the snapshot is shown")


STEP = "steps = get_ipython().run_line_magic('container', 'run --step --name slow --network none lab/base sleep 1000')\nsteps"


def test_a_class_goes_through_the_stages_by_buttons_and_from_another_cell(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, STEP])
    page.run_all()
    glass = Glass(page)
    expect(glass.badge).to_have_text("waits")
    note = glass.root.locator(".labg-notes")
    expect(note).to_contain_text("waits before the stage")
    pid = page.output_of("print(steps.pid)")
    expect(note).to_contain_text(f"/proc/{pid}")
    go_on = glass.root.get_by_role("button", name="Next stage")
    before = note.text_content() or ""
    go_on.click()
    expect(note).not_to_have_text(before)
    assert page.output_of("print(steps.run_to('devices'), steps.stage)") == "devices devices"
    expect(note).to_contain_text("“devices”")
    assert glass.room("layers") == "made"
    assert glass.room("devices") == "coming"
    expect(glass.root.locator(".labg-look")).to_contain_text("overlay")
    glass.picture("step-light")
    glass.root.get_by_role("button", name="Run to the end").click()
    expect(glass.badge).to_have_text("was made")
    expect(go_on).to_be_hidden()
    assert page.output_of("print(steps.container.status)") == "running"
    until(lambda: "slow was made" in page.save().cells[1].outputs[0].data["text/html"], "the end is in what is saved")


def test_an_aborted_container_is_gone_and_said_to_be(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, STEP], dark=True)
    page.run_all()
    glass = Glass(page)
    expect(glass.badge).to_have_text("waits")
    pid = page.output_of("print(steps.pid)")
    glass.picture("step-dark")
    glass.root.get_by_role("button", name="Abort").click()
    expect(glass.badge).to_have_text("aborted")
    assert page.output_of(f"import os; print(steps.status, os.path.exists('/proc/{pid}'))") == "aborted False"
    expect(glass.root.locator(".labg-notes")).to_have_text("Nothing of it is left.")
