"""The same card in Notebook 7."""

from __future__ import annotations

import pytest

from tests.browser.card import Card
from tests.browser.conftest import Open
from tests.browser.jupyter import Server

pytestmark = pytest.mark.needs("chromium")

RUN = "%container run -d --name clock lab/base sh -c \"trap 'echo goodbye; exit 0' TERM; while true; do echo tick; sleep 0.2; done\""


def test_notebook_7_shows_the_card_and_controls_the_container(notebook: Server, open_notebook: Open) -> None:
    page = open_notebook(notebook, ["%load_ext labcontainers", RUN])
    page.run_all()
    card = Card(page.locator(".labc-card"))
    card.wait_state("running")
    card.wait_line("tick")
    card.wait_for_motion("cpu")
    card.press("stop")
    card.wait_state(r"exited \(0\)")
    card.wait_line("goodbye")
    card.press("restart")
    card.wait_state("running")
    card.press("remove")
    card.press("remove-yes")
    card.wait_state("removed")
