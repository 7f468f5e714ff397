"""Every widget under the eyes of axe-core, in JupyterLab's light and dark theme: nothing serious or critical in what is ours.

axe comes from js/node_modules, as a dependency of development alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.jupyter import HOUSE, NotebookPage, Server

AXE = HOUSE / "js" / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: run npm --prefix js ci"),
]

RUN = """%load_ext labcontainers
from labcontainers.session import current_engine
engine = current_engine()
script = "echo ready; echo failed >&2; printf '\\033[31mred \\033[32mgreen \\033[1;33myellow\\033[0m\\n'; sleep 1000 & sleep 1000"
web = engine.containers.run("lab/base", ["sh", "-c", script], name="web", network="none", detach=True)
old = engine.containers.run("lab/base", ["sh", "-c", "echo gone >&2; exit 3"], name="old", network="none", detach=True)
old.wait()"""
BUILD = """%%dockerfile --no-cache -t accessible
FROM lab/base AS one
RUN echo one > /one
FROM lab/base
COPY --from=one /one /one
RUN echo two"""
FAILING_BUILD = """import contextlib
with contextlib.suppress(Exception):
    get_ipython().run_cell_magic("dockerfile", "-t fails", "FROM lab/base\\nRUN exit 3")"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
FOUND = """async (element, tags) => {
  const { violations } = await axe.run(element, { resultTypes: ["violations"], runOnly: tags });
  const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  return grave.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`));
}"""
WRONG = """() => {
  const element = document.createElement("div");
  element.innerHTML = "<button></button>";
  document.body.append(element);
  return element;
}"""


@dataclass(frozen=True)
class Widget:
    """The cell that shows it, how it is found, how it is known to be there, and what is pressed before it is looked at."""

    cell: str
    root: str
    ready: str
    press: str = ""


WIDGETS = {
    "card with its log": Widget("web", ".labc-card", ".labc-row"),
    "card of one that has failed": Widget("old", ".labc-card", ".labc-row"),
    "build": Widget(BUILD, ".labc-build", ".labc-result", ".labc-step-head:not([aria-disabled])"),
    "failed build": Widget(FAILING_BUILD, ".labc-build", ".labc-result .labc-note-box"),
    "transfer": Widget("%container save -o image.tar accessible\n%container load -i image.tar", ".labc-transfer", ".labc-badge"),
    "layer explorer": Widget("%container image explore accessible", ".labx", ".labx-layer"),
    "terminal": Widget("%container terminal web", ".labc-terminal", ".xterm-rows"),
    "glass box": Widget("%container explain web", ".labg", ".labg-row", ".labg-row[data-operation='8']"),
    "namespaces": Widget("%container explain old", ".labg", ".labg-row", "[data-shares=true]"),
    "step box": Widget("%container run --step --name slow --network none lab/base true", ".labg", ".labg-look-part"),
    "processes": Widget("%container processes web", ".labv-processes", "tbody tr"),
    "control groups": Widget("%container cgroup web", ".labv-cgroup", ".labv-file"),
}

TABS = ("Containers", "Logs", "Images", "Volumes", "Networks", "Events", "Disk")


def look(page: NotebookPage, cell: int, widget: Widget) -> list[str]:
    """What axe finds in the widget that this cell shows."""
    output = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{cell}']")
    output.scroll_into_view_if_needed()
    root = output.locator(widget.root)
    expect(root.locator(widget.ready).first).to_be_visible()
    if widget.press:
        root.locator(widget.press).first.click()
    found: list[str] = root.evaluate(FOUND, TAGS)
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_in_any_widget(dark: bool, lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [RUN, *(widget.cell for widget in WIDGETS.values())], dark=dark)
    page.page.add_script_tag(path=AXE)
    page.run_all()
    found = {name: look(page, cell, widget) for cell, (name, widget) in enumerate(WIDGETS.items(), 1)}
    assert not any(found.values()), "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_in_the_dashboard(dark: bool, lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [RUN, "volume = engine.volumes.create('data')", "%container dashboard"], dark=dark)
    page.page.add_script_tag(path=AXE)
    page.run_all()
    root = page.locator(".labd")
    expect(root.locator(".labd-tr")).to_have_count(2)
    found: dict[str, list[str]] = {}
    for tab in TABS:
        root.get_by_role("tab", name=tab).click()
        if tab == "Logs":
            expect(root.locator(".labc-row").filter(has_text="ready")).to_be_visible()
            root.get_by_role("searchbox", name="Search all logs").fill("read|gone")
            expect(root.locator("mark").first).to_be_visible()
            root.locator("summary").click()
        elif tab != "Disk":
            expect(root.get_by_role("tabpanel").locator(".labd-tr").first).to_be_visible()
        found[tab] = root.evaluate(FOUND, TAGS)
    root.get_by_role("tab", name="Containers").click()
    for name in ("web", "old"):
        root.get_by_role("tabpanel").locator(".labd-name", has_text=name).click()
        expect(root.locator(".labd-head .labc-name")).to_have_text(name)
        found[f"{name} chosen"] = root.evaluate(FOUND, TAGS)
    root.locator(".labd-actions [data-action=remove]").click()
    expect(root.get_by_role("alertdialog")).to_be_visible()
    found["question"] = root.evaluate(FOUND, TAGS)
    page.page.keyboard.press("Escape")
    root.locator(".labd-actions [data-action=inspect]").click()
    expect(root.locator(".labd-document")).to_contain_text('"Name": "/old"')
    found["inspect"] = root.evaluate(FOUND, TAGS)
    page.output_of("volume.remove()")
    assert not any(found.values()), "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)


def test_axe_would_find_what_is_wrong(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, ["1"])
    page.page.add_script_tag(path=AXE)
    found: list[str] = page.page.evaluate_handle(WRONG).evaluate(FOUND, TAGS)
    assert [line.partition(":")[0] for line in found] == ["button-name"]
