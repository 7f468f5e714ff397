"""One Jupyter server of each kind and one Chromium for all browser tests, which must leave the machine as they found it.

It must not know what a widget shows.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from scripts.trees import remove_tree
from tests import leaks
from tests.browser.jupyter import NotebookPage, Server, Tabs, launch_chromium

expect.set_options(timeout=60_000)

Open = Callable[..., NotebookPage]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed with the last test of this folder, since Playwright keeps an event loop running in the main thread."""
    with sync_playwright() as playwright:
        chromium = launch_chromium(playwright)
        yield chromium
        chromium.close()


@contextmanager
def serving(application: str) -> Iterator[Server]:
    """A server whose containers and files are removed at the end; then nothing of it may be left."""
    before = leaks.Traces.take()
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    try:
        server = Server(folder, application)
        try:
            yield server
        finally:
            server.close()
            complaints = server.remove_containers()
    finally:
        remove_tree(folder)
    left = leaks.wait_for_nothing(lambda: [trace for trace in leaks.Traces.take().since(before) if not of_the_browser(trace)], grace_s=10)
    leaks.end_processes(left)
    assert not left, "left behind:\n  " + "\n  ".join(left)
    assert not complaints, "the store is not consistent: " + "; ".join(complaints)


def of_the_browser(trace: str) -> bool:
    """Whether it belongs to the browser or to what drives it, which outlive a server."""
    return trace.startswith(("threads:", "descriptors:")) or any(word in trace for word in ("chromium", "playwright"))


@pytest.fixture(scope="package")
def lab(browser: Browser) -> Iterator[Server]:
    with serving("lab") as server:
        yield server


@pytest.fixture(scope="package")
def notebook(browser: Browser) -> Iterator[Server]:
    with serving("notebook") as server:
        yield server


@pytest.fixture(scope="package")
def tabs(browser: Browser) -> Tabs:
    return Tabs(browser)


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest, tabs: Tabs) -> Iterator[Open]:
    """Opens a notebook of these cells in a page that has no other. Afterwards: nothing was asked of another host, and no script failed."""
    pages: list[NotebookPage] = []

    def open_it(server: Server, cells: list[str] | Path, *, dark: bool = False, width: int = 1200) -> NotebookPage:
        # a name of its own, since JupyterLab remembers for some seconds which kernel belonged to a path
        name = f"{re.sub('[^a-z0-9]+', '-', request.node.name.lower())}-{len(pages)}.ipynb"
        if isinstance(cells, Path):
            shutil.copy(cells, server.notebooks / name)
        else:
            server.write(name, cells)
        pages.append(NotebookPage(server, tabs, name, dark=dark, width=width))
        return pages[-1]

    yield open_it
    strayed = [url for page in pages for url in page.strayed]
    errors = [error for page in pages for error in page.errors]
    for page in pages:
        page.close()
        page.server.end_kernels()
        page.server.remove_containers()
    assert strayed == []
    assert errors == []
