"""The container card in JupyterLab, over real containers: what it shows, and what its buttons do."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.card import Card, brightness, wait_for_change
from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server
from tests.waiting import until

pytestmark = pytest.mark.needs("chromium")

LOAD = "%load_ext labcontainers"
CLOCK = "trap 'echo goodbye; exit 0' TERM; n=0; while true; do n=$((n + 1)); echo tick $n; sleep 0.2; done"
RUN_CLOCK = f'%container run -d --name clock lab/base sh -c "{CLOCK}"'
RUN_PUBLISHED = f'%container run -d --name clock -p 127.0.0.1::8080 -p 9090 lab/base sh -c "{CLOCK}"'
FIVE = """from labcontainers.session import current_engine
from IPython.display import display
for number in range(5):
    display(current_engine().containers.run("lab/base", ["sleep", "1000"], detach=True))"""
SHARED_THREADS = """import threading
print(*sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(("lab-card", "lab-stats"))))"""
PAINTER = r"""from labcontainers.session import current_engine
script = r'''
printf '\033[32mgreen\033[0m and \033[1;38;2;10;20;30mink\033[0m\n'
echo 'to stderr' >&2
sleep 0.5
n=0; while [ $n -lt 300 ]; do n=$((n + 1)); echo "apple $n"; done
sleep 1000
'''
current_engine().containers.run("lab/base", ["sh", "-c", script], detach=True)"""
ASYNC_CELL = """import asyncio
for second in range(1200):
    if clock.status == "exited":
        break
    await asyncio.sleep(0.1)
print("ended while the cell ran:", clock.status)"""
BLOCKING_CELL = ASYNC_CELL.replace("import asyncio", "import time").replace("await asyncio.sleep", "time.sleep")
AWAITED_CELL = """import asyncio
run = asyncio.create_task(current_engine().containers.run_async("lab/base", ["sleep", "1000"], remove=True))
await clock.wait_async()
run.cancel()
await asyncio.wait([run])
print("ended while the cell ran:", clock.status, run.cancelled())"""
FAILING = """from labcontainers.session import current_engine
current_engine().containers.run("lab/base", ["sh", "-c", "sleep 1; exit 3"], name="failing", detach=True)"""
GET_CLOCK = """from labcontainers.session import current_engine
clock = current_engine().containers.get("clock")"""

# what reaches beyond the card's edge; a log's lines may, since they can be scrolled
CUT_OFF = """card => {
  const edge = card.getBoundingClientRect().right;
  const parts = [...card.querySelectorAll("*")].filter((part) => !part.closest(".labc-log"));
  return parts.filter((part) => part.getBoundingClientRect().right > edge + 1).map((part) => part.outerHTML.slice(0, 90));
}"""


def card_of(page: NotebookPage) -> Card:
    return Card(page.locator(".labc-card"))


def test_card_tells_name_image_ports_and_how_long_it_has_been_up(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_PUBLISHED, GET_CLOCK])
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 3")
    expect(card.name).to_have_text("clock")
    expect(card.image).to_have_text(re.compile("^lab/base(:latest)?$"))
    expect(card.id).to_have_text(page.output_of("print(clock.short_id)"))
    expect(card.command).to_have_text(re.compile("^sh -c 'trap "))
    expect(card.level).to_have_text(page.output_of("print(clock.level)"))
    expect(card.level).to_have_attribute("title", re.compile("root of the container is"))
    expect(card.root).to_have_attribute("aria-label", "Container clock")

    ports = page.output_of("print(*(port.host_port for port in sorted(clock.ports, key=lambda port: port.container_port)))").split()
    links = card.ports.get_by_role("link")
    expect(links).to_have_text([f"{ports[0]} → 8080/tcp", f"{ports[1]} → 9090/tcp"])
    for link, port in zip(links.all(), ports, strict=True):
        # the second is open everywhere, and so where the page comes from
        expect(link).to_have_attribute("href", f"http://127.0.0.1:{port}/")
        expect(link).to_have_attribute("target", "_blank")

    expect(card.uptime).to_have_text(re.compile(r"^up \d+ [smh]"))
    wait_for_change(card.uptime)
    expect(card.uptime).to_have_text(re.compile(r"^up \d+ [smh]"))
    card.press("stop")
    card.wait_state(r"exited \(0\)")
    expect(card.uptime).to_have_text(re.compile(r"^\d+ [smh].* ago$"))


def test_card_without_published_ports_has_no_room_for_them(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK])
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 3")
    expect(card.ports).to_be_hidden()


def test_five_cards_share_two_threads_which_end_with_the_last_view(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, FIVE])
    page.run_all()
    cards = page.locator(".labc-card")
    expect(cards).to_have_count(5)
    for number in range(5):
        expect(cards.nth(number).locator(".labc-memory .labc-value")).to_have_text(re.compile(r"^[\d.]+ [KMG]?i?B$"))
    assert page.output_of(SHARED_THREADS) == "lab-cards lab-stats"
    page.clear_output_of(1)
    until(lambda: page.output_of(SHARED_THREADS) == "", "the threads end with the last view")


def test_restart_starts_it_again_and_remove_asks_before_it_removes(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK, GET_CLOCK])
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 3")
    card.press("stop")
    card.wait_state(r"exited \(0\)")
    expect(card.root.locator("[data-action=stop]")).to_be_disabled()
    card.press("restart")
    card.wait_state("running")
    card.press("remove")
    expect(card.root.get_by_role("alertdialog")).to_be_visible()
    card.press("remove-no")
    expect(card.root.get_by_role("alertdialog")).to_be_hidden()
    card.wait_state("running")
    card.press("remove")
    card.press("remove-yes")
    card.wait_state("removed")
    assert page.output_of("print([c.name for c in current_engine().containers.list(all=True)])") == "[]"


def test_card_of_one_that_failed_says_so_and_where_more_is_told(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, FAILING])
    page.run_all()
    card = card_of(page)
    card.wait_state(r"exited \(3\)")
    expect(card.notes).to_have_text("exit code 3; %container autopsy failing tells more")


@pytest.mark.parametrize("cell", [ASYNC_CELL, AWAITED_CELL, BLOCKING_CELL], ids=["that awaits", "that awaits a run", "that blocks"])
def test_stop_works_while_a_cell_runs(cell: str, lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK, f"{GET_CLOCK}\n{cell}"])
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 3")
    expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt")).to_have_text("[*]:")
    card.press("stop")
    expect(page.locator(".jp-OutputArea-output").filter(has_text="ended while the cell ran: exited")).to_be_visible()
    card.wait_state(r"exited \(0\)")


def test_log_is_coloured_searched_and_followed(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, PAINTER])
    page.run_all()
    card = card_of(page)
    card.wait_line("apple 300$")
    expect(card.follow).to_have_attribute("aria-pressed", "true")

    card.search.fill("INK")
    row = card.wait_line("green and ink")
    expect(card.found).to_have_text("1 of 1")
    expect(card.follow).to_have_attribute("aria-pressed", "false")
    expect(row.locator("mark.labc-hit-now")).to_have_text("ink")
    expect(row.locator("mark")).to_have_css("color", "rgb(10, 20, 30)")
    expect(row.locator("mark")).to_have_css("font-weight", "600")
    expect(row.locator("span", has_text=re.compile("^green$"))).to_have_css("color", "rgb(26, 127, 55)")
    expect(card.wait_line("to stderr")).to_have_class(re.compile("labc-stderr"))

    card.search.fill("apple 2")
    expect(card.found).to_have_text("111 of 111")
    card.search.press("Enter")
    expect(card.found).to_have_text("1 of 111")
    card.search.press("Shift+Enter")
    expect(card.found).to_have_text("111 of 111")
    card.search.press("Escape")
    expect(card.found).to_have_text("")

    card.log.evaluate("log => { log.scrollTop = 0; }")
    card.wait_line("green and ink")
    card.follow.click()
    card.wait_line("apple 300$")
    assert card.rows.count() < 60, "rows out of sight are in the document"


def test_card_is_dark_in_a_dark_theme_and_light_in_a_light_one(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK], dark=True)
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 3")
    assert brightness(card.style("backgroundColor")) < 0.3 < 0.7 < brightness(card.style("color"))
    dark = card.chart("cpu").evaluate("canvas => getComputedStyle(canvas).color")
    page.command("apputils:change-theme", {"theme": "JupyterLab Light"})
    card.wait_for_motion("cpu")
    assert brightness(card.style("color")) < 0.3 < 0.7 < brightness(card.style("backgroundColor"))
    assert card.chart("cpu").evaluate("canvas => getComputedStyle(canvas).color") != dark


def test_narrow_card_cuts_nothing_off(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK], width=760)
    page.run_all()
    card = card_of(page)
    card.search.fill("tick")
    card.wait_line("tick 3")
    card.wait_for_motion("memory")
    assert card.root.bounding_box()["width"] < 460
    assert card.root.evaluate(CUT_OFF) == []


def test_two_displays_of_one_container_show_the_same_and_outlive_each_other(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK, GET_CLOCK, "clock"])
    page.run_all()
    cards = [Card(page.locator(".labc-card").nth(number)) for number in (0, 1)]
    for card in cards:
        card.wait_line("tick 3")
    cards[1].press("stop")
    for card in cards:
        card.wait_state(r"exited \(0\)")
    page.clear_output_of(1)
    expect(page.locator(".labc-card")).to_have_count(1)
    card_of(page).press("restart")
    card_of(page).wait_state("running")


def test_what_a_button_cannot_do_is_said_in_the_card(lab: Server, open_notebook: Open) -> None:
    fake = """from tests.fakes.card_source import FakeContainer
from labcontainers.widgets.card import show_source
show_source(FakeContainer(fails_to="stop", warnings=("no memory limit: <b>read-only</b>",)))"""
    page = open_notebook(lab, [fake])
    page.run_all()
    card = card_of(page)
    expect(card.notes).to_contain_text("no memory limit: <b>read-only</b>")
    card.press("stop")
    expect(card.notes).to_contain_text("cannot stop web: the shim does not answer")
    expect(card.notes).to_contain_text("try again, or look at its log")
    card.wait_state("running")
    expect(card.root.locator("[data-action=stop]")).to_be_enabled()


def test_keys_that_are_pressed_in_a_card_are_none_of_the_notebooks(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN_CLOCK])
    page.run_all()
    card = card_of(page)
    card.wait_line("tick 1")
    card.follow.focus()
    # for the notebook: delete this cell, and make one below it
    for key in ("d", "d", "b"):
        page.page.keyboard.press(key)
    assert page.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.length") == 2


def test_the_line_of_checkpoints_is_shown_and_a_click_rolls_back(lab: Server, open_notebook: Open) -> None:
    work = """from labcontainers.session import current_engine
web = current_engine().containers.create("lab/base", ["sh", "-c", "date >> /f"], name="web")
for label in ("first", "second"):
    web.start(); web.wait(); web.checkpoint(label)
web.start(); web.wait()"""
    page = open_notebook(lab, [LOAD, work, "web"])
    page.run_all()
    card = card_of(page)
    points = card.root.locator(".labc-point")
    expect(points).to_have_text(["image", "1 first", "2 second"])
    expect(card.root.locator("[aria-current]")).to_have_text("2 second")
    points.nth(1).click()
    expect(card.root.locator("[aria-current]")).to_have_text("1 first")
    expect(points).to_have_text(["image", "1 first", "2 second", "3 before a rollback"])
    card.press("restart")
    card.wait_state(r"exited \(0\)")
    assert card.root.evaluate(CUT_OFF) == []
