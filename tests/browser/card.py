"""The widgets as a reader meets them in a page: what can be read off a card and a build, and what can be pressed.

It must not know notebooks.
"""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

BLANK = "canvas => !canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)"
PICTURE = "canvas => canvas.toDataURL()"


class Card:
    """A live container card; every wait has the page's time limit."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.name = root.locator(".labc-name")
        self.image = root.locator(".labc-about .labc-image")
        self.id = root.locator(".labc-about .labc-id")
        self.level = root.locator(".labc-about .labc-level")
        self.command = root.locator(".labc-about .labc-command")
        self.uptime = root.locator(".labc-uptime")
        self.ports = root.locator(".labc-ports")
        self.badge = root.locator(".labc-badge")
        self.rows = root.locator(".labc-row")
        self.search = root.locator(".labc-search-input")
        self.found = root.locator(".labc-found")
        self.notes = root.locator(".labc-notes")
        self.log = root.locator(".labc-log")
        self.follow = root.get_by_role("button", name="Follow")

    def wait_state(self, text: str) -> None:
        expect(self.badge).to_have_text(re.compile(text))

    def wait_line(self, text: str) -> Locator:
        row = self.rows.filter(has_text=re.compile(text)).first
        expect(row).to_be_visible()
        return row

    def press(self, action: str) -> None:
        """Click "stop", "restart", "remove", "remove-yes" or "remove-no"."""
        self.root.locator(f"[data-action={action}]").click()

    def chart(self, kind: str) -> Locator:
        """The canvas of "cpu" or "memory"."""
        return self.root.locator(f".labc-{kind} canvas")

    def wait_for_motion(self, kind: str) -> None:
        """Wait until the chart shows something, and then until it shows something else."""
        canvas = self.chart(kind)
        page = canvas.page
        handle = canvas.element_handle()
        page.wait_for_function(f"canvas => !({BLANK})(canvas)", arg=handle)
        before = canvas.evaluate(PICTURE)
        page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[handle, before])

    def style(self, name: str) -> Any:
        return self.root.evaluate("(card, name) => getComputedStyle(card)[name]", name)


def wait_for_change(element: Locator) -> None:
    """Wait until the text of `element` is another than now."""
    before = element.inner_text()
    element.page.wait_for_function("([element, before]) => element.innerText !== before", arg=[element.element_handle(), before])


def brightness(colour: str) -> float:
    """0 for black to 1 for white, of a colour as getComputedStyle gives it."""
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 765
