"""The layer explorer in JupyterLab: layers, folders that open, searches, a comparison, the keyboard, both themes, and what is saved."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.card import brightness
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
BUILD = """%%dockerfile -q -t lesson/layers
FROM lab/base
RUN mkdir -p /srv/app/static && seq 300 | while read n; do echo $n > /srv/app/static/$n.txt; done && seq 200000 > /srv/app/large.log
ENV COLOUR=green
RUN rm /srv/app/large.log && echo changed >> /etc/passwd && ln -s static/1.txt /srv/app/first
CMD ["sh"]"""
EXPLORE = "%container image explore lesson/layers"
RED, GREEN = (207, 34, 46), (26, 127, 55)
# what is in the notebook, whether it is in the page now or not
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
# the last cell's output, as it would be saved
KEPT = "() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.cells.get(2).toJSON().outputs)"
# as when the kernel renews what is to be saved
DRAW_AGAIN = """() => {
  const { outputs } = window.jupyterapp.shell.currentWidget.content.model.cells.get(2);
  outputs.set(0, outputs.get(0).toJSON());
}"""
# where pictures are kept, for whoever wants to look at them
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


class Explorer:
    """A live layer explorer; every wait has the page's time limit."""

    def __init__(self, page: NotebookPage) -> None:
        self.page = page
        self.root = page.locator(".labx")
        self.layers = self.root.locator(".labx-layer")
        self.items = self.root.locator(".labx-item")
        self.names = self.root.locator(".labx-name")
        self.search = self.root.get_by_role("searchbox", name="Search files")
        self.compare = self.root.get_by_label("compare with")

    def item(self, name: str) -> Locator:
        return self.items.filter(has=self.root.page.locator(".labx-own", has_text=re.compile(f"^{re.escape(name)}$")))

    def picture(self, name: str) -> None:
        if PICTURES:
            self.root.screenshot(path=Path(PICTURES) / f"{name}.png")


def explorer_of(lab: Server, open_notebook: Open, *, dark: bool = False, width: int = 1200) -> Explorer:
    page = open_notebook(lab, [LOAD, BUILD, EXPLORE], dark=dark, width=width)
    page.run_all()
    explorer = Explorer(page)
    expect(explorer.root.locator(".labx-waste")).to_contain_text("wasted in")
    # that renews what is to be saved, by which the page draws the output once more
    until(lambda: "removed by layer 2" in page.page.evaluate(KEPT), "the waste is in what is to be saved")
    expect(explorer.root.locator(".labx-waste")).to_contain_text("wasted in")
    explorer.root.evaluate("element => element.scrollIntoView()")
    return explorer


def test_layers_files_and_waste_are_shown_and_folders_open(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    expect(explorer.layers).to_have_count(3)
    expect(explorer.layers.nth(2)).to_have_attribute("aria-selected", "true")
    expect(explorer.layers.nth(1)).to_contain_text("RUN mkdir -p /srv/app/static")
    expect(explorer.layers.nth(1).locator(".labx-count")).to_have_text(["+304"])
    expect(explorer.root.locator(".labx-segment")).to_have_count(3)
    expect(explorer.root.locator(".labc-badge")).to_contain_text("% efficient")

    explorer.item("srv/").click()
    explorer.item("app/").click()
    gone = explorer.item("large.log")
    expect(gone).to_have_attribute("data-change", "removed")
    expect(gone.locator(".labx-own")).to_have_css("color", f"rgb{RED}")
    expect(gone.locator(".labx-size")).to_have_text("−1.29 MB")
    expect(explorer.item("app/").locator(".labx-size")).to_have_text("−1.29 MB")
    expect(explorer.item("first")).to_contain_text("→ static/1.txt")
    expect(explorer.item("first").locator(".labx-own")).to_have_css("color", f"rgb{GREEN}")
    explorer.picture("light")
    explorer.item("srv/").click()
    expect(explorer.item("app/")).to_have_count(0)

    explorer.root.locator(".labx-waste summary").click()
    expect(explorer.root.locator(".labx-waste tr").first).to_contain_text("/srv/app/large.log")
    expect(explorer.root.locator(".labx-waste tr").first).to_contain_text("in layer 1 removed by layer 2")
    explorer.picture("light-waste")


def test_a_folder_of_many_files_comes_in_parts(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    explorer.layers.nth(1).click()
    for folder in ("srv/", "app/", "static/"):
        explorer.item(folder).click()
    expect(explorer.items).to_have_count(205)
    more = explorer.root.locator(".labx-more")
    expect(more).to_have_text("show 100 of 100 more")
    more.click()
    expect(explorer.items).to_have_count(304)
    expect(more).to_have_count(0)


def test_what_is_open_and_typed_stays_when_the_page_draws_the_output_once_more(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    explorer.layers.nth(1).click()
    for folder in ("srv/", "app/", "static/"):
        explorer.item(folder).click()
    expect(explorer.items).to_have_count(205)
    tree = explorer.root.locator(".labx-tree")
    tree.evaluate("element => { element.scrollTop = 500; }")
    until(lambda: tree.evaluate("element => element.scrollTop") > 400, "scrolled")
    explorer.page.page.evaluate(DRAW_AGAIN)
    until(lambda: explorer.root.count() == 1 and tree.evaluate("element => element.scrollTop") > 400, "drawn as it was")
    expect(explorer.items).to_have_count(205)
    expect(explorer.layers.nth(1)).to_have_attribute("aria-selected", "true")
    # and it goes on working
    explorer.search.fill("PASSWD")
    explorer.layers.nth(2).click()
    expect(explorer.names).to_have_text(["/etc/passwd"])
    explorer.page.page.evaluate(DRAW_AGAIN)
    expect(explorer.search).to_have_value("PASSWD")
    expect(explorer.names).to_have_text(["/etc/passwd"])


def test_a_search_and_the_kinds_of_change_choose_files(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    explorer.search.fill("PASSWD")
    expect(explorer.names).to_have_text(["/etc/passwd"])
    explorer.search.fill("")
    explorer.root.get_by_role("button", name="D removed").click()
    expect(explorer.names).to_have_text(["/srv/app/large.log"])
    explorer.layers.nth(1).click()
    expect(explorer.items).to_have_text(["nothing found"])
    explorer.root.get_by_role("button", name="D removed").click()
    explorer.search.fill("*9.txt")
    expect(explorer.names).to_have_count(30)
    explorer.picture("light-search")


def test_another_image_is_compared(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    explorer.compare.select_option("lab/base:latest")
    first = explorer.layers.first
    expect(first).to_contain_text("→ lab/base:latest")
    expect(first).to_have_attribute("aria-selected", "true")
    expect(explorer.root.locator(".labx-heading")).to_contain_text("1 of 3 and 1 layers shared")
    expect(explorer.root.locator(".labx-config")).to_contain_text("Env.COLOUR")
    expect(explorer.layers.nth(1)).to_contain_text("shared")
    expect(explorer.item("srv/")).to_have_attribute("data-change", re.compile("removed|unchanged"))
    explorer.item("etc/").click()
    expect(explorer.item("passwd")).to_have_attribute("data-change", "modified")
    explorer.picture("light-compare")
    explorer.layers.nth(3).click()
    expect(explorer.root.locator(".labx-heading")).to_contain_text("Layer 2")
    explorer.compare.select_option("")
    expect(explorer.layers).to_have_count(3)


def test_everything_is_reached_by_the_keyboard(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)
    keyboard = explorer.page.page.keyboard
    explorer.layers.nth(2).focus()
    keyboard.press("ArrowUp")
    expect(explorer.layers.nth(1)).to_be_focused()
    expect(explorer.root.locator(".labx-heading")).to_contain_text("Layer 1")
    keyboard.press("End")
    expect(explorer.layers.nth(2)).to_be_focused()
    etc = explorer.item("etc/")
    etc.focus()
    keyboard.press("ArrowRight")
    expect(etc).to_have_attribute("aria-expanded", "true")
    expect(explorer.item("passwd")).to_be_visible()
    keyboard.press("ArrowRight")
    expect(explorer.item("passwd")).to_be_focused()
    keyboard.press("ArrowLeft")
    expect(etc).to_be_focused()
    keyboard.press("ArrowLeft")
    expect(etc).to_have_attribute("aria-expanded", "false")
    keyboard.press("End")
    expect(explorer.items.last).to_be_focused()
    # keys of the notebook, such as d d for deleting a cell, are not taken from here
    keyboard.press("d")
    keyboard.press("d")
    assert explorer.page.page.evaluate(CELLS) == 3


@pytest.mark.parametrize("width", [1200, 700])
def test_the_dark_theme_is_dark(lab: Server, open_notebook: Open, width: int) -> None:
    explorer = explorer_of(lab, open_notebook, dark=True, width=width)
    style = "(element, name) => getComputedStyle(element)[name]"
    assert brightness(explorer.root.evaluate(style, "backgroundColor")) < 0.3
    assert brightness(explorer.root.evaluate(style, "color")) > 0.7
    explorer.item("srv/").click()
    explorer.item("app/").click()
    expect(explorer.item("large.log")).to_be_visible()
    assert brightness(explorer.item("large.log").locator(".labx-own").evaluate(style, "color")) > 0.5
    overflow = explorer.root.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 0
    explorer.picture(f"dark-{width}")


def test_what_is_saved_tells_the_layers_without_a_kernel(lab: Server, open_notebook: Open) -> None:
    explorer = explorer_of(lab, open_notebook)

    def saved() -> Any:
        return explorer.page.save().cells[2].outputs[0].data

    # what is to be saved follows what is seen
    until(lambda: "removed by layer 2" in saved()["text/html"], "the waste is in the file")
    data = saved()
    for form in (data["text/plain"], data["text/html"]):
        assert "lesson/layers:latest" in form
        assert "RUN mkdir -p /srv/app/static" in form
        assert "/srv/app/large.log: 1.29MB in layer 1 removed by layer 2" in form
    lab.end_kernels()
    explorer.page.reload()
    shown = explorer.page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
    expect(shown).to_contain_text("1.29MB in layer 1 removed by layer 2")
    assert explorer.page.locator(".labx").count() == 0
