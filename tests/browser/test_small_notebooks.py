"""What each widget adds to a saved notebook: little, since a course has hundreds of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.jupyter import Server
from tests.browser.test_accessible_in_lab import RUN, WIDGETS, Widget

pytestmark = pytest.mark.needs("chromium")

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MOST_BYTES = 5000
ALL = {**WIDGETS, "dashboard": Widget("%container dashboard", ".labd", ".labd-tr")}


def bytes_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def test_each_widget_takes_less_than_five_kilobytes_of_a_saved_notebook(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, [RUN, *(widget.cell for widget in ALL.values())])
    page.run_all()
    for cell, widget in enumerate(ALL.values(), 1):
        output = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{cell}']")
        output.scroll_into_view_if_needed()
        expect(output.locator(widget.root).locator(widget.ready).first).to_be_visible()
    saved = page.save()
    models = saved.metadata.widgets[STATE].state
    sizes = {}
    for name, cell in zip(ALL, saved.cells[1:], strict=True):
        shown = [output for output in cell.outputs if VIEW in output.get("data", {})]
        states = [models[output.data[VIEW]["model_id"]] for output in shown]
        assert shown, name
        sizes[name] = (bytes_of(shown) + bytes_of(states)) // len(shown)
    assert not {name: size for name, size in sizes.items() if size > MOST_BYTES}
