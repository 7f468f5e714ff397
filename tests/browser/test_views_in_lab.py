"""The views of a running container in JupyterLab: its processes and its control groups, live, by keys, in both themes, and saved."""

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
PROGRAM = """
import os, socket, threading, time
server = socket.create_server(("0.0.0.0", 8080))
for _ in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
if os.fork() == 0:
    os.execvp("sh", ["sh", "-c", "while :; do :; done & sleep 1000"])
time.sleep(1000)
"""
RUN = f"""from labcontainers.session import current_engine
limits = dict(mem_limit="128m", pids_limit=40, cpus=0.5)
program = ["python", "-c", {PROGRAM!r}]
web = current_engine().containers.run("lab/python", program, name="web", network="none", init=True, detach=True, **limits)"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
# where pictures are kept, for whoever wants to look at them
PICTURES = os.environ.get("LABCONTAINERS_PICTURES", "")


def opened(lab: Server, open_notebook: Open, show: str, *, dark: bool = False, width: int = 1200) -> tuple[NotebookPage, Locator]:
    page = open_notebook(lab, [LOAD, RUN, show], dark=dark, width=width)
    page.run_all()
    root = page.locator(".labv")
    expect(root.locator(".labc-badge")).to_have_text("live")
    root.evaluate("element => element.scrollIntoView()")
    return page, root


def picture(page: NotebookPage, root: Locator, name: str) -> None:
    if PICTURES:
        page.page.set_viewport_size({**(page.page.viewport_size or {"width": 1200}), "height": 1100})
        root.screenshot(path=Path(PICTURES) / f"{name}.png")


def line(root: Locator, text: str) -> Locator:
    return root.locator("tbody tr", has_text=text)


def test_processes_are_a_live_tree_with_threads_and_ports(lab: Server, open_notebook: Open) -> None:
    page, root = opened(lab, open_notebook, "%container processes web")
    expect(root.get_by_role("treegrid", name="Processes")).to_be_visible()
    server = line(root, "python -c")
    expect(server).to_contain_text("8080/tcp")
    expect(server.locator(".labv-pid")).to_have_text(re.compile(r"^\d+ → \d+$"))
    expect(line(root, "sh -c while").locator(".labv-cpu")).not_to_contain_text(" 0.0 %")
    expect(line(root, "sh -c while").locator(".labv-state").last).to_have_text("running")
    picture(page, root, "process-view-light")
    server.get_by_role("button", name="4 threads").click()
    expect(root.locator("tr[data-thread]")).to_have_count(4)
    page.output_of("web.exec(['sleep', '777'], detach=True)")
    expect(line(root, "sleep 777")).to_be_visible()
    page.output_of("import os; [os.kill(row.pid, 9) for row in web.processes() if row.command == 'sleep 777']")
    expect(line(root, "sleep 777")).to_have_count(0)
    root.get_by_role("searchbox", name="Search processes").fill("8080")
    expect(root.locator("tbody tr:not([data-thread])")).to_have_count(2)
    root.get_by_role("searchbox", name="Search processes").fill("no such thing")
    expect(root.locator(".labv-nothing")).to_have_text("nothing found")


def test_the_tree_is_walked_by_keys_alone(lab: Server, open_notebook: Open) -> None:
    page, root = opened(lab, open_notebook, "%container processes web")
    rows = root.locator("tbody tr")
    expect(rows).to_have_count(4)
    rows.first.focus()
    keyboard = page.page.keyboard
    keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    keyboard.press("Enter")
    expect(root.locator("tr[data-thread]")).to_have_count(4)
    keyboard.press("ArrowLeft")
    expect(root.locator("tr[data-thread]")).to_have_count(0)
    keyboard.press("ArrowLeft")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_have_attribute("aria-expanded", "false")
    keyboard.press("ArrowRight")
    expect(rows).to_have_count(4)
    keyboard.press("ArrowLeft")
    keyboard.press("ArrowLeft")
    expect(rows.first).to_be_focused()
    keyboard.press("d")
    keyboard.press("d")
    assert page.page.evaluate(CELLS) == 3


def test_control_groups_tell_limits_usage_and_notes(lab: Server, open_notebook: Open) -> None:
    page, root = opened(lab, open_notebook, "%container cgroup web")
    memory = root.get_by_role("meter", name="memory")
    expect(memory).to_have_attribute("aria-valuetext", re.compile("MiB of"))
    has_groups = page.output_of("print(web.cgroup().version)") != "none"
    file = "pids.max" if has_groups else "RLIMIT_NOFILE"
    row = root.locator(".labv-file", has_text=file)
    expect(row).to_contain_text("The most")
    if has_groups:
        expect(row.locator(".labv-file-value")).to_have_text("40")
        page.output_of("web.update(pids_limit=30)")
        expect(row.locator(".labv-file-value")).to_have_text("30")
        root.get_by_role("button", name="Events").click()
        expect(row).to_be_hidden()
    else:
        expect(root.locator(".labc-note-box")).to_contain_text("summed up from /proc")
    picture(page, root, "cgroup-view-light")
    root.get_by_role("searchbox", name="Search files").fill("no such thing")
    expect(root.locator(".labv-nothing")).to_be_visible()


@pytest.mark.parametrize("show", ["processes", "cgroup"])
def test_a_container_that_ends_while_it_is_shown_is_told_and_comes_back(show: str, lab: Server, open_notebook: Open) -> None:
    page, root = opened(lab, open_notebook, f"%container {show} web", dark=True)
    style = "(element, name) => getComputedStyle(element)[name]"
    assert brightness(root.evaluate(style, "backgroundColor")) < 0.3
    assert brightness(root.evaluate(style, "color")) > 0.7
    assert root.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    picture(page, root, f"{show}-dark")
    badge = root.locator(".labc-badge")
    page.output_of("web.stop(timeout_s=0)")
    expect(badge).to_have_text("ended")
    expect(root.locator(".labc-note-box").first).to_contain_text("does not run any more")
    picture(page, root, f"{show}-ended")
    page.output_of("web.start()")
    expect(badge).to_have_text("live")
    expect(root.get_by_text("does not run any more")).to_have_count(0)
    page.output_of("web.remove(force=True)")
    expect(badge).to_have_text("removed")


def test_a_saved_notebook_keeps_both_views_without_a_kernel(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN, "%container processes web", "%container cgroup web"])
    page.run_all()
    expect(page.locator(".labv .labc-badge")).to_have_text(["live", "live"])
    page.output_of("web.stop(timeout_s=0)")
    expect(page.locator(".labv .labc-badge")).to_have_text(["ended", "ended"])

    def kept(cell: int, words: str) -> bool:
        data = page.save().cells[cell].outputs[0].data
        return words in data["text/plain"] and words in data["text/html"] and "before web ended" in data["text/html"]

    until(lambda: kept(2, "python -c"), "the processes are kept")
    until(lambda: kept(3, "processes and threads"), "the control groups are kept")
    lab.end_kernels()
    page.reload()
    expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")).to_contain_text("before web ended")
    until(lambda: page.locator(".labv").count() == 0, "only the snapshot is shown")


def test_notebook_7_shows_both_views(notebook: Server, open_notebook: Open) -> None:
    page = open_notebook(notebook, [LOAD, RUN, "%container processes web", "%container cgroup web"])
    page.run_all()
    expect(page.locator(".labv .labc-badge")).to_have_text(["live", "live"])
    expect(line(page.locator(".labv-processes"), "sh -c while")).to_contain_text("running")


def test_who_shares_which_namespaces_is_a_view_of_the_glass_box(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [LOAD, RUN, "%container explain web"])
    page.run_all()
    root = page.locator(".labg")
    root.get_by_role("button", name="Namespaces", exact=True).first.click()
    web = root.locator(".labg-sharing tr[data-own]")
    expect(web).to_contain_text("web")
    expect(root.locator(".labg-walk")).to_be_hidden()
    page.output_of("current_engine().containers.run('lab/base', ['sleep', '100'], name='friend', network='container:web', detach=True)")
    root.get_by_role("button", name="Look again").click()
    friend = root.locator(".labg-sharing tr[data-kind=container]", has_text="friend")
    expect(friend).to_be_visible()
    column = "row => [...row.closest('table').querySelectorAll('thead th')].findIndex((head) => head.textContent === 'net')"
    net = web.evaluate(column)
    friend.locator("td").nth(net - 1).hover()
    expect(web.locator("td").nth(net - 1)).to_have_attribute("data-lit", "")
    root.get_by_role("button", name="The making").click()
    expect(root.locator(".labg-walk")).to_be_visible()
