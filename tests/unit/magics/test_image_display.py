"""What a cell shows of an image that is to be looked into, where no widget can be shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from labcontainers.images.exploration import Exploration
from labcontainers.images.layer_contents import WastedRows
from labcontainers.images.layers import Wasted
from labcontainers.magics import extension
from tests.unit.magics.conftest import Notebook


def exploration() -> Exploration:
    image: Any = SimpleNamespace(id="sha256:" + "c" * 64, name="app:latest", size_bytes=0, layers=(), wasted=Wasted(WastedRows(0, 0, ())))
    return Exploration(image)


def test_an_exploration_is_text_and_html(notebook: Notebook) -> None:
    notebook.names["found"] = exploration()
    data, _ = notebook.shell.display_formatter.format(notebook.names["found"])
    assert data["text/plain"].splitlines() == ["image app:latest (cccccccccccc), 0 layers, 0B", "nothing is wasted"]
    assert "app:latest" in data["text/html"]
    assert notebook.run("found").stdout.endswith(f"{data['text/plain']}\n")


def test_after_the_extension_an_exploration_shows_itself(notebook: Notebook) -> None:
    formatter = notebook.shell.display_formatter.ipython_display_formatter
    notebook.names["found"] = exploration()
    notebook.run("found")
    extension.unload(notebook.shell)
    assert Exploration not in formatter.type_printers
    assert "nothing is wasted" in notebook.run("found").stdout
