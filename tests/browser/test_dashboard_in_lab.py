"""The dashboard in JupyterLab and Notebook 7, over real containers: what it shows, finds, does and keeps."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.card import BLANK, brightness
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
SHOW = "%container dashboard"
SAY = "n=$((n + 1)); echo $0 says $n; [ $((n % 5)) -eq 0 ] && echo oops >&2"
SCRIPT = f"trap 'echo bye; exit 0' TERM; n=0; while true; do {SAY}; sleep 0.2; done"
SETUP = f'''from labcontainers.session import current_engine
engine = current_engine()
for name in ("web", "worker"):
    engine.containers.run("lab/base", ["sh", "-c", """{SCRIPT}""", name], name=name, detach=True, network="none")
engine.containers.run("lab/base", ["sh", "-c", "exit 3"], name="failed", detach=True, network="none").wait()'''
MANY = """from labcontainers.session import current_engine
engine = current_engine()
for number in range(120):
    engine.containers.create("lab/base", ["true"], name=f"c{number:03d}", network="none")"""
TAGGED = """from labcontainers.session import current_engine
base = current_engine().images.get("lab/base")
for number in range(500):
    base.tag(f"many/i{number:03d}")"""
UNTAG = """for number in range(500):
    current_engine().images.remove(f"many/i{number:03d}")"""
THREADS = """import threading
print(*sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("lab-dashboard")))"""
# frames in each second while the table is scrolled to its end and back, or, for comparison, while it stands still
SCROLL = """async (table, moves) => {
  const frame = () => new Promise(requestAnimationFrame);
  const begin = await frame();
  let [frames, now] = [0, begin];
  while (now - begin < 2000) {
    const along = ((now - begin) / 1000) % 1;
    if (moves) table.scrollTop = (table.scrollHeight - table.clientHeight) * (along < 0.5 ? 2 * along : 2 - 2 * along);
    now = await frame();
    frames += 1;
  }
  return frames / ((now - begin) / 1000);
}"""
# rows that are put into the document while it is scrolled to its end and back in steps of ten rows, each as soon as a page can
MADE = """async (table) => {
  const frame = () => new Promise(requestAnimationFrame);
  let made = 0;
  const count = (changes) => { for (const { addedNodes } of changes) made += addedNodes.length; };
  const observer = new MutationObserver(count);
  observer.observe(table.querySelector(".labd-table-space"), { childList: true });
  const end = table.scrollHeight - table.clientHeight;
  const places = [];
  for (let place = 0; place < end; place += 320) places.push(place);
  for (const place of [...places, end, ...places.reverse()]) {
    table.scrollTop = place;
    await frame();
  }
  count(observer.takeRecords());
  observer.disconnect();
  return made;
}"""
CUT_OFF = """root => {
  const edge = root.getBoundingClientRect().right;
  const parts = [...root.querySelectorAll("*")].filter((part) => !part.closest(".labc-log, .labd-tabs, details:not([open]) > div"));
  return parts.filter((part) => part.getBoundingClientRect().right > edge + 1).map((part) => part.outerHTML.slice(0, 90));
}"""


class Board:
    """A live dashboard; every wait has the page's time limit."""

    def __init__(self, page: NotebookPage) -> None:
        self.page = page
        self.root = page.locator(".labd")
        self.name = self.root.locator(".labd-head .labc-name")
        self.badge = self.root.locator(".labd-head .labc-badge")
        self.notes = self.root.locator(".labd-notes")
        self.tab = self.root.get_by_role("tabpanel")
        self.rows = self.tab.locator(".labd-tr")

    def row(self, name: str) -> Locator:
        return self.rows.filter(has=self.page.page.locator(".labd-name", has_text=re.compile(f"^{name}$")))

    def open(self, tab: str) -> None:
        self.root.get_by_role("tab", name=tab).click()
        expect(self.root.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")

    def press(self, action: str) -> None:
        """Click one of the chosen container's buttons, or of a question."""
        self.root.locator(f":is(.labd-actions, .labd-confirm) [data-action={action}]").click()

    def names(self) -> list[str]:
        """The names in the table, as they are read."""
        places: list[tuple[float, str]] = self.rows.evaluate_all(
            "rows => rows.map((row) => [row.getBoundingClientRect().top, row.querySelector('.labd-name')?.textContent])"
        )
        return [name for _, name in sorted(places)]

    def chart(self, kind: str) -> Locator:
        return self.root.locator(f".labd-{kind} canvas")


def board_of(page: NotebookPage) -> Board:
    board = Board(page)
    expect(board.root).to_be_visible()
    return board


@pytest.fixture
def board(lab: Server, open_notebook: Open) -> Board:
    """A dashboard of two that run and one that failed."""
    page = open_notebook(lab, [LOAD, SETUP, SHOW])
    page.run_all()
    return board_of(page)


def test_rows_are_live_sorted_and_filtered(board: Board) -> None:
    expect(board.badge).to_have_text("2 running")
    expect(board.rows).to_have_count(3)
    expect(board.row("web").locator("[data-column=status]")).to_contain_text("running")
    expect(board.row("failed").locator("[data-column=status]")).to_contain_text("exited (3)")
    expect(board.row("web").locator("[data-column=memory]")).to_have_text(re.compile(r"[\d.]+ [KM]iB$"))
    for kind in ("cpu", "memory", "pids"):
        board.page.page.wait_for_function(f"canvas => !({BLANK})(canvas)", arg=board.chart(kind).element_handle())

    board.root.get_by_role("button", name="Name").click()
    until(lambda: board.names() == ["failed", "web", "worker"], "sorted from A on")
    board.root.get_by_role("button", name="Name").click()
    until(lambda: board.names() == ["worker", "web", "failed"], "and from Z on")
    expect(board.root.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")

    board.root.get_by_role("searchbox", name="Filter containers").fill("w")
    expect(board.rows).to_have_count(2)
    board.root.get_by_role("combobox", name="State").select_option("ended")
    expect(board.rows).to_have_count(0)
    expect(board.tab).to_contain_text("No container is like this.")
    board.root.get_by_role("searchbox", name="Filter containers").fill("")
    expect(board.rows).to_have_count(1)


def test_a_container_is_chosen_stopped_started_and_removed_and_its_history_stays(board: Board) -> None:
    board.row("web").click()
    expect(board.name).to_have_text("web")
    expect(board.row("web")).to_have_attribute("aria-selected", "true")
    board.press("turn")
    expect(board.badge).to_have_text(re.compile(r"exited \(0\)"))
    expect(board.row("web").locator("[data-column=status]")).to_contain_text("exited (0)")
    board.press("turn")
    expect(board.badge).to_have_text("running")
    board.press("pause")
    # where nothing can freeze a container, that is told
    until(lambda: board.badge.inner_text() == "paused" or "pause web: " in board.notes.inner_text(), "it pauses, or why not is told")
    if board.badge.inner_text() == "paused":
        board.press("pause")
    expect(board.badge).to_have_text("running")

    board.press("remove")
    expect(board.root.get_by_role("alertdialog")).to_contain_text("Stop and remove web, its files and its log?")
    board.page.page.keyboard.press("Escape")
    expect(board.root.get_by_role("alertdialog")).to_be_hidden()
    board.press("remove")
    board.press("confirm-yes")
    expect(board.badge).to_have_text("removed")
    board.page.page.wait_for_function(f"canvas => !({BLANK})(canvas)", arg=board.chart("memory").element_handle())
    expect(board.root.locator(".labd-actions [data-action=turn]")).to_be_disabled()
    board.press("all")
    expect(board.row("web")).to_have_count(0)
    board.root.get_by_role("combobox", name="State").select_option("gone")
    expect(board.row("web")).to_have_count(1)
    assert int(board.page.output_of("import labcontainers; print(len(labcontainers.dashboard().history('web')))")) > 1


def test_what_cannot_be_done_is_told_and_ended_ones_are_removed_together(board: Board) -> None:
    board.open("Images")
    board.rows.filter(has_text="lab/base").locator("[data-action=remove]").click()
    board.press("confirm-yes")
    expect(board.notes).to_contain_text("remove lab/base")
    board.notes.get_by_role("button", name="Dismiss").click()
    expect(board.notes).to_be_empty()
    board.open("Containers")
    board.tab.locator("[data-action=prune]").click()
    board.press("confirm-yes")
    expect(board.notes).to_contain_text("removed 1 container")
    expect(board.row("failed")).to_have_count(0)


def test_logs_of_all_are_merged_searched_and_followed(board: Board) -> None:
    board.open("Logs")
    lines = board.tab.locator(".labc-row")
    expect(lines.filter(has_text="web says").first).to_be_visible()
    expect(lines.filter(has_text="worker says").first).to_be_visible()
    search = board.root.get_by_role("searchbox", name="Search all logs")
    search.fill(r"web says \d*0$|oops")
    expect(lines.filter(has_text="worker says")).to_have_count(0)
    expect(lines.filter(has_text="web says 10").locator("mark").first).to_have_text("web says 10")
    expect(lines.filter(has_text="web says 20")).to_be_visible()

    search.fill("web (")
    expect(board.tab.get_by_role("alert")).to_contain_text("not a regular expression: 'web (': missing ), unterminated")
    board.root.get_by_role("button", name="Regular expression").click()
    expect(board.tab.get_by_role("alert")).to_be_hidden()
    expect(board.tab).to_contain_text("No line is like this.")
    search.fill("says 1")
    expect(lines.filter(has_text="worker says 1").first).to_be_visible()
    board.tab.locator("summary").click()
    board.tab.get_by_role("checkbox", name="web").check()
    expect(lines.filter(has_text="worker says 1")).to_have_count(0)
    expect(lines.filter(has_text="web says 1").first).to_be_visible()
    board.root.get_by_role("combobox", name="Time").select_option("300")
    expect(lines.filter(has_text="web says 1").first).to_be_visible()


PROMPT = "printf name?; while [ ! -e /told ]; do sleep 0.1; done; echo ' Ada'; sleep 1000"
ASKS = f"""from labcontainers.session import current_engine
asks = current_engine().containers.run("lab/base", ["sh", "-c", "{PROMPT}"], name="asks", detach=True, network="none")"""


def test_a_followed_line_that_gets_its_end_later_is_one_line(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, ASKS, SHOW])
    page.run_all()
    board = board_of(page)
    board.open("Logs")
    lines = board.tab.locator(".labc-row")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("name?")
    page.output_of("asks.exec(['touch', '/told'])")
    expect(lines).to_contain_text("name? Ada")
    assert lines.count() == 1


def test_the_other_tabs_tell_what_there_is(board: Board) -> None:
    board.open("Networks")
    expect(board.rows).to_have_count(3)
    expect(board.rows.filter(has_text="none")).to_contain_text("web, worker")
    board.open("Volumes")
    expect(board.tab).to_contain_text("There are no volumes.")
    assert board.page.output_of("print(engine.volumes.create('data').name)") == "data"
    expect(board.rows).to_have_count(1)
    board.open("Events")
    expect(board.rows.filter(has_text="die").first).to_contain_text("failed")
    board.open("Disk")
    expect(board.tab.get_by_role("region", name="Images")).to_contain_text(re.compile(r"\d+, 1 in use"))
    board.page.output_of("engine.volumes.get('data').remove()")


def test_inspect_terminal_and_csv(board: Board, tmp_path: Path) -> None:
    board.row("web").click()
    board.press("inspect")
    expect(board.root.locator(".labd-document")).to_contain_text('"Name": "/web"')
    board.page.page.keyboard.press("Escape")
    expect(board.root.locator(".labd-document")).to_have_count(0)
    with board.page.page.expect_download() as download:
        board.root.locator("[data-action=csv]").click()
    assert download.value.suggested_filename == "web-history.csv"
    download.value.save_as(tmp_path / "web.csv")
    head, first, *_ = (tmp_path / "web.csv").read_text().splitlines()
    assert head.startswith("time,container,id,cpu_percent,memory_bytes")
    assert first.split(",")[1] == "web"
    board.press("terminal")
    expect(board.root.locator(".labc-terminal")).to_be_visible()
    board.root.locator(".labd-pane [data-action=close]").first.click()
    expect(board.root.locator(".labd-pane")).to_be_hidden()


def test_the_keyboard_reaches_rows_tabs_and_none_of_the_notebook(board: Board) -> None:
    expect(board.rows).to_have_count(3)
    board.rows.first.focus()
    keyboard = board.page.page.keyboard
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(board.rows.and_(board.page.page.locator("[aria-selected=true]"))).to_have_count(1)
    keyboard.press("End")
    for key in ("d", "d", "b"):
        keyboard.press(key)
    board.root.get_by_role("tab", name="Containers").focus()
    keyboard.press("ArrowRight")
    expect(board.root.get_by_role("tab", name="Logs")).to_be_focused()
    expect(board.root.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    keyboard.press("End")
    expect(board.root.get_by_role("tab", name="Disk")).to_be_focused()
    assert board.page.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.length") == 3


def test_it_follows_the_theme_and_nothing_is_cut_off_where_it_is_narrow(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, SETUP, SHOW], dark=True, width=780)
    page.run_all()
    board = board_of(page)
    expect(board.rows).to_have_count(3)
    style = "(root, name) => getComputedStyle(root)[name]"
    assert brightness(board.root.evaluate(style, "backgroundColor")) < 0.3 < 0.7 < brightness(board.root.evaluate(style, "color"))
    board.open("Logs")
    board.tab.locator("summary").click()
    expect(board.tab.get_by_role("checkbox", name="web")).to_be_visible()
    for tab in ("Logs", "Containers", "Images", "Volumes", "Networks", "Events", "Disk"):
        board.open(tab)
        assert board.root.evaluate(CUT_OFF) == []
    page.command("apputils:change-theme", {"theme": "JupyterLab Light"})
    until(lambda: brightness(board.root.evaluate(style, "color")) < 0.3, "its text becomes dark")
    assert brightness(board.root.evaluate(style, "backgroundColor")) > 0.7


def test_a_long_table_scrolls_to_its_last_row(lab: Server, open_notebook: Open, record_property: pytest.RecordProperty) -> None:
    page = open_notebook(lab, [LOAD, MANY, SHOW])
    page.run_all()
    board = board_of(page)
    expect(board.root.get_by_role("tab", name="Containers")).to_contain_text("120")
    expect(board.row("c119")).to_be_visible()
    table = board.tab.locator(".labd-table-scroll")
    still, scrolled = (float(table.evaluate(SCROLL, moves)) for moves in (False, True))
    record_property("frames_per_s", round(scrolled, 1))
    print(f"frames in a second: {scrolled:.1f} while it is scrolled, {still:.1f} while it stands still")
    table.evaluate("table => { table.scrollTop = table.scrollHeight; }")
    expect(board.row("c000")).to_be_visible()
    expect(board.row("c119")).to_have_count(0)
    assert board.names()[-1] == "c000"


def test_rows_that_are_scrolled_past_are_used_again(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, TAGGED, SHOW])
    page.run_all()
    board = board_of(page)
    board.open("Images")
    expect(board.rows.filter(has_text="many/i").first).to_be_attached()
    made = int(board.tab.locator(".labd-table-scroll").evaluate(MADE))
    page.output_of(UNTAG)
    assert made < 250, f"{made} rows were made for 500 that were scrolled past twice"


def test_nothing_is_told_where_there_is_nothing(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, SHOW])
    page.run_all()
    board = board_of(page)
    expect(board.tab).to_contain_text("No containers yet")
    expect(board.tab).to_contain_text("%container run -d")
    page.output_of("from labcontainers.session import current_engine; current_engine().containers.create('lab/base', name='first')")
    expect(board.row("first")).to_be_visible()


def test_a_saved_notebook_is_small_and_shows_the_table_without_a_kernel(board: Board, lab: Server) -> None:
    page = board.page
    expect(board.rows).to_have_count(3)
    page.page.mouse.move(5, 5)
    board.page.output_of("engine.containers.get('worker').stop()")
    until(lambda: "worker" in json.dumps(page.save().cells) and "Exited (0)" in json.dumps(page.save().cells), "the output is renewed")
    (output,) = page.save().cells[2].outputs
    for form in (output.data["text/plain"], output.data["text/html"]):
        assert "web" in form
        assert "Exited (3)" in form
    assert (lab.notebooks / page.name).stat().st_size < 30_000, "the history or the code is in the file"
    lab.end_kernels()
    shown = page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
    for _ in range(4):
        page.reload()
        expect(shown).to_contain_text(re.compile("Exited|model not found"))
        with suppress(AssertionError):
            expect(shown).to_contain_text("worker", timeout=10_000)
            break
    expect(shown).to_contain_text("3 containers, 1 running")
    assert page.locator(".labd").count() == 0


def test_threads_end_with_the_extension_and_a_kernel_that_starts_anew_shows_what_runs(board: Board) -> None:
    page = board.page
    expect(board.rows).to_have_count(3)
    until(lambda: page.output_of(THREADS) == "lab-dashboard", "one thread")
    page.output_of("get_ipython().run_line_magic('unload_ext', 'labcontainers')")
    assert page.output_of(THREADS) == ""
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.output_of("get_ipython().run_line_magic('load_ext', 'labcontainers')")
    page.command("notebook:clear-all-cell-outputs")
    page.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2; }")
    page.command("notebook:run-cell", wait=False)
    again = board_of(page)
    expect(again.row("web").locator("[data-column=status]")).to_contain_text("running")


def test_the_dashboard_in_notebook_7(notebook: Server, open_notebook: Open) -> None:
    page = open_notebook(notebook, [LOAD, SETUP, SHOW])
    page.run_all()
    board = board_of(page)
    expect(board.rows).to_have_count(3)
    board.row("web").click()
    board.press("turn")
    expect(board.badge).to_have_text(re.compile(r"exited"))
    board.open("Logs")
    expect(board.tab.locator(".labc-row").filter(has_text="worker says").first).to_be_visible()
