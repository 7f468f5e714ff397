"""What ties a terminal to Jupyter beside what every widget has: keys, acknowledgements, sizes and screens that come from pages.

It must not know containers.
"""

from __future__ import annotations

from typing import Any

from labcontainers.widgets import bundle
from labcontainers.widgets.plumbing import LiveWidget
from labcontainers.widgets.terminal import ContainerTerminal


class TerminalWidget(LiveWidget):
    """A LiveWidget with code of its own, since most pages have no terminal."""

    code_name = bundle.TERMINAL

    def __init__(self, owner: ContainerTerminal) -> None:
        self._terminal = owner
        super().__init__(owner)

    def _receive(self, widget: object, content: Any, buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        page = str(content.get("page", "")) if kind else ""
        if kind == "taken":
            self._terminal.take(page, int(content.get("at", 0)))
        elif kind == "keys":
            data = b"".join(bytes(buffer) for buffer in buffers or ())
            self._terminal.type(page, int(content.get("number", 0)), data, answer=bool(content.get("answer")))
        elif kind == "size":
            self._terminal.size(page, int(content.get("rows", 0)), int(content.get("columns", 0)))
        elif kind == "screen":
            self._terminal.paint(page, str(content.get("text", "")), left=bool(content.get("left")))
        else:
            super()._receive(widget, content, buffers)
