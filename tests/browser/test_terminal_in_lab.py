"""The terminal widget in JupyterLab, over real containers: keys, pastes, sizes, floods, and what stays of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.card import brightness
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
RUN = """from labcontainers.session import current_engine
web = current_engine().containers.run("lab/base", ["sleep", "1000"], name="web", network="none", init=True, detach=True)"""
SHOW = "%container terminal web"
KEEP = "shell = web.terminal()\nshell"
TEXT = """element => [...element.querySelectorAll(".xterm-rows > div")].map((row) => row.textContent.trimEnd()).join("\\n")"""
ROUND_TRIPS = "async () => { for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame); return 30; }"
COMMANDS = "print(*(row[-1] for row in current_engine().containers.get('web').top()), sep='\\n')"
COUNTED = """from labcontainers.widgets.plumbing import OPEN
terminal = OPEN._all()[-1].owner
print(terminal._scrollback.total, *(page.taken for page in terminal.pages._pages.values()))"""
# what comes to the page for terminals, as bytes, in order
GATHER = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  window.gathered = [];
  kernel.anyMessage.connect((_, { msg, direction }) => {
    if (direction === "recv" && msg.content?.data?.content?.data?.output) window.gathered.push(msg.buffers[0]);
  });
}"""
DIGEST = """async () => {
  const all = new Uint8Array(await new Blob(window.gathered).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return [all.length, Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")];
}"""
SHOTS = os.environ.get("SHOTS", "")


class Screen:
    """A terminal as who sits there meets it; every wait has the page's time limit."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.page = root.page
        self.badge = root.locator(".labc-badge")
        self.name = root.locator(".labc-name")
        self.input = root.locator("textarea.xterm-helper-textarea")
        self.rows = root.locator(".xterm-rows")
        self.note = root.locator(".labc-note-box")
        self.hint = root.locator(".labc-terminal-hint")

    def text(self) -> str:
        found: str = self.root.evaluate(TEXT)
        return found.replace("\u00a0", " ")

    def wait_for(self, pattern: str) -> None:
        until(lambda: re.search(pattern, self.text(), re.MULTILINE) is not None, f"{pattern} in {self.text()!r}")

    def type(self, text: str) -> None:
        self.input.focus()
        self.page.keyboard.type(text)

    def run(self, line: str) -> None:
        self.type(line)
        self.page.keyboard.press("Enter")

    def press(self, action: str) -> None:
        self.root.locator(f"[data-action={action}]").click()

    def shoot(self, name: str) -> None:
        if SHOTS:
            self.root.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def screen_of(page: NotebookPage) -> Screen:
    return Screen(page.locator(".labc-terminal"))


def open_shell(lab: Server, open_notebook: Open, *cells: str, dark: bool = False, width: int = 1200) -> tuple[NotebookPage, Screen]:
    page = open_notebook(lab, [LOAD, RUN, *(cells or (SHOW,))], dark=dark, width=width)
    page.run_all()
    screen = screen_of(page)
    expect(screen.badge).to_have_text("running")
    screen.wait_for(r"[#$] *$")
    return page, screen


def test_keys_reach_the_shell_and_ctrl_c_its_program(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    expect(screen.name).to_have_text("web")
    screen.run("echo $((6*7))")
    screen.wait_for("^42$")
    screen.run("sleep 100")
    until(lambda: "sleep 100\n" in page.output_of(COMMANDS) + "\n", "sleep runs")
    page.page.keyboard.press("Control+c")
    until(lambda: "sleep 100\n" not in page.output_of(COMMANDS) + "\n", "sleep has ended")
    screen.run("echo umlaut äöü €")
    screen.wait_for("^umlaut äöü €$")
    # none of it was for the notebook
    assert page.locator(".jp-Cell").count() == 3
    screen.shoot("light")


def test_keys_reach_the_shell_while_a_cell_runs(lab: Server, open_notebook: Open) -> None:
    busy = "import time\nwhile web.exec(['test', '-e', '/tmp/typed']).exit_code:\n    time.sleep(0.1)\nprint('typed while the cell ran')"
    page, screen = open_shell(lab, open_notebook, SHOW, busy)
    screen.run("touch /tmp/typed")
    expect(page.page.locator(".jp-OutputArea-output", has_text="typed while the cell ran")).to_be_visible()


def test_lines_are_pasted_as_they_are(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run("echo now; cat >/tmp/pasted; sha256sum /tmp/pasted; wc -l </tmp/pasted")
    screen.wait_for("^now$")
    lines = "".join(f"line {number} with ünïcode and 'quotes'\n" for number in range(40))
    page.page.evaluate("text => navigator.clipboard.writeText(text)", lines)
    screen.input.focus()
    page.page.keyboard.press("Control+v")
    screen.wait_for("line 39 with")
    page.page.keyboard.press("Control+d")
    screen.wait_for("^40$")
    got = page.output_of("print(web.exec(['cat', '/tmp/pasted']).stdout)")
    assert got == lines.strip()


def test_size_follows_the_page_and_the_handle(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run("stty size")
    screen.wait_for(r"^24 \d+$")
    first = re.findall(r"^24 (\d+)$", screen.text(), re.MULTILINE)[-1]
    expect(screen.hint).to_contain_text(f"{first} × 24")

    handle = screen.root.locator(".labc-rows-handle")
    handle.focus()
    for _ in range(6):
        page.page.keyboard.press("ArrowDown")
    expect(screen.hint).to_contain_text(f"{first} × 30")
    page.page.set_viewport_size({"width": 900, "height": 900})
    expect(screen.hint).not_to_contain_text(f"{first} × 30")
    screen.run("clear; stty size")
    screen.wait_for(r"^30 \d+$")
    second = re.findall(r"^30 (\d+)$", screen.text(), re.MULTILINE)[-1]
    assert int(second) < int(first)
    over = screen.root.evaluate("root => root.querySelector('.labc-terminal-screen').scrollWidth - root.clientWidth")
    assert over <= 0, "the terminal is wider than its frame"
    screen.press("larger")
    screen.press("larger")
    screen.run("clear; stty size")
    until(lambda: int(re.findall(r"^30 (\d+)$", screen.text() + "\n30 9999", re.MULTILINE)[0]) < int(second), "fewer columns")


def test_flood_arrives_whole_and_the_page_stays_responsive(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run("seq 200000; echo the-$((1+1))-end")
    assert page.page.evaluate(ROUND_TRIPS) == 30
    screen.wait_for("^the-2-end$")
    assert "200000" in screen.text()
    until(lambda: len(set(page.output_of(COUNTED).split())) == 1, "all that was read was taken by the page")
    # with the ends of lines as a terminal makes them
    assert int(page.output_of(COUNTED).split()[0]) > sum(len(str(number)) + 2 for number in range(1, 200_001))
    screen.run("yes")
    screen.wait_for("^y$")
    assert page.page.evaluate(ROUND_TRIPS) == 30
    page.page.keyboard.press("Control+c")
    screen.run("clear; echo after-$((2+2))")
    screen.wait_for("^after-4$")


def test_every_byte_of_a_flood_comes_to_the_page_as_it_was_sent(lab: Server, open_notebook: Open) -> None:
    make = "print(web.exec(['sh', '-c', 'head -c 12000000 /dev/urandom | base64 > /tmp/flood; sha256sum /tmp/flood']).stdout)"
    flood = "shell = web.terminal(['sh', '-c', 'stty -opost -echo; read go; cat /tmp/flood; sleep 1000'])\nshell"
    page = open_notebook(lab, [LOAD, RUN, make, flood])
    page.run_all()
    screen = screen_of(page)
    expect(screen.badge).to_have_text("running")
    page.page.evaluate(GATHER)
    screen.type("\r")
    size, digest = page.output_of("print(*web.exec(['sh', '-c', 'wc -c </tmp/flood; sha256sum </tmp/flood']).stdout.split())").split()[:2]
    until(lambda: page.output_of(COUNTED).split()[0] == page.output_of(COUNTED).split()[1], "all was taken", 120)
    until(lambda: page.page.evaluate(DIGEST)[0] >= int(size), "all has come to the page")
    assert page.page.evaluate(DIGEST) == [int(size), digest]


def test_page_loaded_again_shows_the_screen_and_types_on(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run(r"printf '\033[6n'; seq 100; echo before-$((3+3))")
    screen.wait_for("^before-6$")
    page.save()
    page.reload()
    screen = screen_of(page)
    screen.wait_for("^before-6$")
    screen.run("echo and-$((4+4))")
    screen.wait_for("^and-8$")


def test_two_displays_show_the_same(lab: Server, open_notebook: Open) -> None:
    page, _ = open_shell_twice(lab, open_notebook)
    one, other = (Screen(page.locator(".labc-terminal").nth(number)) for number in (0, 1))
    one.run("echo shared-$((5+5))")
    one.wait_for("^shared-10$")
    other.wait_for("^shared-10$")
    other.run("echo back-$((6+6))")
    one.wait_for("^back-12$")


def open_shell_twice(lab: Server, open_notebook: Open) -> tuple[NotebookPage, Screen]:
    page = open_notebook(lab, [LOAD, RUN, KEEP, "shell"])
    page.run_all()
    expect(page.locator(".labc-terminal .labc-badge")).to_have_text(["running", "running"])
    screen = Screen(page.locator(".labc-terminal").nth(1))
    screen.wait_for(r"[#$] *$")
    return page, screen


def test_end_is_told_and_it_starts_again(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run("exit 7")
    expect(screen.badge).to_have_text("exited with code 7")
    screen.press("restart")
    expect(screen.badge).to_have_text("running")
    screen.wait_for(r"[#$] *$")
    screen.run("sleep 333")
    until(lambda: "sleep 333" in page.output_of(COMMANDS), "sleep runs")
    screen.press("close")
    expect(screen.badge).to_have_text("closed")
    until(lambda: "sleep 333" not in page.output_of(COMMANDS), "nothing is left of it")
    screen.press("restart")
    expect(screen.badge).to_have_text("running")
    page.output_of("web.remove(force=True)")
    expect(screen.note).to_contain_text("The container is gone")
    screen.shoot("gone")


def test_keyboard_alone_gets_in_and_out(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.input.focus()
    expect(screen.input).to_have_attribute("aria-label", re.compile(r"Terminal of container web\. Ctrl\+Shift\+Escape .*leaves it"))
    page.page.keyboard.press("Control+Shift+Escape")
    expect(screen.root.locator("[data-action=restart]")).to_be_focused()
    screen.press("reader")
    expect(screen.root.locator(".xterm-accessibility")).to_be_attached()


def test_saved_notebook_keeps_the_text(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook)
    screen.run("echo kept-$((7+7))")
    screen.wait_for("^kept-14$")
    page.locator(".jp-Cell").first.locator(".cm-content").click()

    def kept() -> str:
        outputs = [output for cell in page.save().cells for output in cell.outputs if "text/plain" in output.get("data", {})]
        return outputs[-1].data["text/plain"] + outputs[-1].data["text/html"] if outputs else ""

    until(lambda: kept().count("kept-14") == 2, "the notebook has the last screen, as text and as HTML")
    assert "terminal of web: sh (running)" in kept()
    state = page.save().metadata.get("widgets", {})
    assert len(str(state)) < 20_000, "the notebook keeps more than the loader and the last screen"
    # it was drawn anew meanwhile, and is the same
    screen.wait_for("^kept-14$")
    screen.run("echo more-$((8+8))")
    screen.wait_for("^more-16$")


def test_colours_follow_the_dark_theme(lab: Server, open_notebook: Open) -> None:
    page, screen = open_shell(lab, open_notebook, dark=True)
    screen.run(r"for n in 1 2 3 4 5 6; do printf '\033[3%sm colour %s \033[0m\033[1;9%sm bright \033[0m\n' $n $n $n; done; ls -l /")
    screen.wait_for("colour 6")
    background = screen.root.locator(".labc-terminal-screen").evaluate("element => getComputedStyle(element).backgroundColor")
    assert brightness(background) < 0.3
    ink = screen.rows.evaluate("element => getComputedStyle(element).color")
    assert brightness(ink) > 0.6
    screen.shoot("dark")
    page.command("apputils:change-theme", {"theme": "JupyterLab Light"})
    until(lambda: brightness(screen.rows.evaluate("element => getComputedStyle(element).color")) < 0.4, "the letters are dark now")
    screen.shoot("light-colours")


def test_card_opens_a_terminal_below_itself(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, f"{RUN}\nweb"])
    page.run_all()
    card = page.locator(".labc-card")
    button = card.locator(":scope > .labc-head [data-action=terminal]")
    button.click()
    screen = Screen(card.locator(".labc-terminal"))
    expect(screen.badge).to_have_text("running")
    screen.wait_for(r"[#$] *$")
    screen.run("echo in-the-card-$((9+9))")
    screen.wait_for("^in-the-card-18$")
    if SHOTS:
        card.screenshot(path=str(Path(SHOTS) / "card.png"))
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(screen.root).to_be_hidden()
    button.click()
    screen.wait_for("^in-the-card-18$")
    page.save()
    page.reload()
    screen.wait_for("^in-the-card-18$")
