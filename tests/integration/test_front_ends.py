"""Whether live widgets are shown, in real kernels, by who sent the cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from labcontainers.widgets import bundle
from scripts.lesson import with_this_python

ASK = """%load_ext labcontainers
from labcontainers.magics.display import shows_widgets
print('live' if shows_widgets() else 'plain')
%unload_ext labcontainers"""

pytestmark = [
    pytest.mark.alike("ordinary users"),
    # nbclient keeps the event loop of its calls for the next ones
    pytest.mark.may_leak("threads", "descriptors"),
    pytest.mark.skipif(not bundle.built(), reason="the bundles are not built: python scripts/build_js.py"),
]


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    here = {
        key: value for key, value in os.environ.items() if key not in ("LABCONTAINERS_WIDGETS", "SERVER_SOFTWARE", "NBGRADER_EXECUTION")
    }
    return with_this_python(
        {**here, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "IPYTHONDIR": str(place / "i")}
    )


class FrontEnd(NotebookClient):
    """One that lets a cell ask, as JupyterLab, Notebook and VS Code do."""

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        client.allow_stdin = True
        return client


def answer(kind: type[NotebookClient], environment: dict[str, str]) -> str:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ASK)])
    kind(notebook, timeout=60, kernel_name="python3", store_widget_state=False).execute(env=environment)
    return str(notebook.cells[0].outputs[0].text.strip())


def test_a_front_end_that_can_be_asked_is_shown_them(environment: dict[str, str]) -> None:
    assert answer(FrontEnd, environment) == "live"


@pytest.mark.parametrize(("said", "shown"), [("", "plain"), ("on", "live")])
def test_a_notebook_that_is_run_by_a_program_has_none_unless_it_is_said(environment: dict[str, str], said: str, shown: str) -> None:
    assert answer(NotebookClient, {**environment, "LABCONTAINERS_WIDGETS": said}) == shown
