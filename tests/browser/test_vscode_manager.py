"""The widgets in the widget manager of VS Code's Jupyter extension, in a page like VS Code's, over real containers: they work there, and
take its colours. VS Code itself cannot be run here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.card import Card, brightness
from tests.browser.jupyter import Server
from tests.browser.vscode import CONTRAST_LIGHT, DARK, LIGHT, MANAGER, REQUIRE, Webview
from tests.waiting import until

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.skipif(
        not (MANAGER.is_file() and REQUIRE.is_file()), reason="VS Code's widget manager is not there: run npm --prefix js ci"
    ),
]

CLOCK = "trap 'echo goodbye; exit 0' TERM; n=0; while true; do n=$((n + 1)); echo tick $n; sleep 0.2; done"
BUILD = r"""%%dockerfile -t lesson/vscode
FROM lab/base
RUN printf '\033[32mgreen\033[0m output\n'"""
WIDGETS = {"card": ".labc-card", "build": ".labc-build", "dashboard": ".labd", "terminal": ".labc-terminal", "glass": ".labg"}
STATUS = "import labcontainers.session; print(labcontainers.session.current_engine().containers.get('clock').status)"
SCREEN = """element => [...element.querySelectorAll(".xterm-rows > div")].map((row) => row.textContent.trimEnd()).join("\\n")"""
COLOURS = """element => {
  const { backgroundColor, color } = getComputedStyle(element);
  return [backgroundColor, color, getComputedStyle(element.closest(".cell-output-ipywidget-background")).backgroundColor];
}"""
# where pictures are kept, for whoever wants to look at them
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


@pytest.fixture
def webview(lab: Server, browser: Browser) -> Iterator[Webview]:
    view = Webview(lab, browser)
    view.dress(DARK)
    try:
        yield view
        complaints = view.complaints()
    finally:
        view.close()
        lab.end_kernels()
        lab.remove_containers()
    assert complaints == []


def colours(root: Locator) -> tuple[float, float]:
    """How bright the ground of a widget and what is written on it are; around it there is no other ground than the page's."""
    ground, ink, around = root.evaluate(COLOURS)
    assert around == "rgba(0, 0, 0, 0)"
    return brightness(ground), brightness(ink)


def look(view: Webview, name: str) -> None:
    if PICTURES:
        for widget, selector in WIDGETS.items():
            view.locator(selector).screenshot(path=Path(PICTURES) / f"vscode-{name}-{widget}.png")


def test_widgets_work_in_the_widget_manager_of_vscode_and_take_its_themes(webview: Webview) -> None:
    assert webview.run("%load_ext labcontainers") == ""
    assert webview.run(f'%container run -d --name clock lab/base sh -c "{CLOCK}"') == ""
    card = Card(webview.locator(WIDGETS["card"]))
    card.wait_line("tick 3")
    expect(card.root.locator(".labc-memory .labc-value")).to_have_text(re.compile(r"^[\d.]+ [KMG]?i?B$"))

    webview.run(BUILD)
    build = webview.locator(WIDGETS["build"])
    expect(build.locator(".labc-head .labc-badge")).to_have_text("built")
    build.locator(".labc-step-head").last.press("Enter")
    expect(build.locator(".labc-output").last).to_have_text("green output\n")

    webview.run("%container dashboard")
    board = webview.locator(WIDGETS["dashboard"])
    expect(board.locator(".labd-tr").filter(has_text="clock")).to_be_visible()

    # what a terminal shows comes as bytes beside the messages
    before = webview.page.evaluate("window.buffers")
    webview.run("%container terminal clock")
    terminal = webview.locator(WIDGETS["terminal"])
    # what is out of sight is not drawn
    terminal.scroll_into_view_if_needed()
    # keys are kept for a shell that is not there yet
    terminal.locator("textarea.xterm-helper-textarea").focus()
    webview.page.keyboard.type("echo $((40 + 2)) is it\n")
    until(lambda: "42 is it" in terminal.evaluate(SCREEN), "the shell's answer")
    assert webview.page.evaluate("window.buffers") > before

    webview.run("%container explain clock")
    glass = webview.locator(WIDGETS["glass"])
    expect(glass.locator(".labg-row").nth(30)).to_be_attached()
    glass.locator(".labg-row").nth(1).click()
    expect(glass.locator(".labg-now")).not_to_be_empty()

    for name, theme, dark in (("dark", DARK, True), ("contrast-light", CONTRAST_LIGHT, False), ("light", LIGHT, False)):
        webview.dress(theme)
        for selector in WIDGETS.values():
            ground, ink = colours(webview.locator(selector))
            assert (ground < 0.2 and ink > 0.5) if dark else (ground > 0.9 and ink < 0.3), (name, selector, ground, ink)
        good = brightness(build.locator(".labc-output span").last.evaluate("element => getComputedStyle(element).color"))
        assert (good > 0.5) == dark, (name, good)
        look(webview, name)

    assert webview.run(STATUS) == "running"
    card.press("stop")
    card.wait_state(r"exited \(0\)")
    card.wait_line("goodbye")
    assert webview.run(STATUS) == "exited"
