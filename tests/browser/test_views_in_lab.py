"""The views of a running container in JupyterLab: its processes and its control groups, live, by keys, in both themes, and saved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import NotebookPage, Server

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
web = current_engine().containers.run(
    "lab/python", ["python", "-c", {PROGRAM!r}], name="web", network="none", init=True, detach=True, mem_limit="128m", pids_limit=40, cpus=0.5
)"""
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
