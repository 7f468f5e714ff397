"""Ten thousand lines a second, from a real container: neither the browser nor the kernel may freeze over it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import WebSocket, expect

from tests.browser.card import Card
from tests.browser.conftest import Open
from tests.browser.jupyter import Server

pytestmark = pytest.mark.needs("chromium")

LINES_PER_S = 10_000
UPDATES_PER_S = 10
# as many lines as the clock says are due, whatever the machine does meanwhile
FLOOD = f"""from labcontainers.session import current_engine
script = '''
trap 'exit 0' TERM
read up _ < /proc/uptime
start=$((${{up%.*}}${{up#*.}} * {LINES_PER_S // 100}))
n=0
while :; do
  read up _ < /proc/uptime
  due=$((${{up%.*}}${{up#*.}} * {LINES_PER_S // 100} - start))
  [ $due -gt $n ] && seq $((n + 1)) $due
  n=$due
  sleep 0.02
done
'''
flood = current_engine().containers.run("lab/base", ["sh", "-c", script], detach=True)
flood"""
# every update carries its number and the kernel's time; the time of the page or of the test plays no part
STAMP = re.compile(rb'"kind": ?"update", ?"seq": ?(\d+), ?"now": ?([\d.]+)')
ROUND_TRIPS = "async () => { for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame); return 30; }"


class Updates:
    """What a page is sent: the number and the kernel's time of each update."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self.take)

    def take(self, frame: str | bytes) -> None:
        data = frame if isinstance(frame, bytes) else frame.encode()
        self.seen += [(int(number), float(now)) for number, now in STAMP.findall(data)]

    def per_second(self) -> float:
        (first, begun), (last, ended) = self.seen[0], self.seen[-1]
        return (last - first) / (ended - begun)


def test_ten_thousand_lines_a_second_leave_page_and_kernel_responsive(lab: Server, open_notebook: Open) -> None:
    page = open_notebook(lab, ["%load_ext labcontainers", FLOOD])
    updates = Updates()
    page.page.on("websocket", updates.listen)
    page.reload()
    page.run_all()
    card = Card(page.locator(".labc-card"))
    # 60,000 lines have been written: at least six seconds of it
    card.wait_line(r"^[6-9]\d{4}$|^\d{6}$")
    assert page.page.evaluate(ROUND_TRIPS) == 30
    assert page.output_of("print(6 * 7)") == "42"

    card.follow.click()
    expect(card.follow).to_have_attribute("aria-pressed", "false")
    card.search.fill("77")
    expect(card.found).to_contain_text("of")
    assert card.rows.count() < 60
    card.follow.click()
    card.press("stop")
    card.wait_state("exited")

    assert len(updates.seen) > 20
    assert updates.per_second() <= UPDATES_PER_S
    written = int(page.output_of("print(flood.logs(tail=1).text)").split()[-1])
    assert written > 60_000
    assert card.root.locator(".labc-log-total").get_attribute("title") is not None, "the card does not say that lines were left out"


def test_a_burst_is_shown_whole(lab: Server, open_notebook: Open) -> None:
    burst = "from labcontainers.session import current_engine\n"
    burst += 'current_engine().containers.run("lab/base", ["sh", "-c", "seq 1500; sleep 1000"], detach=True)'
    page = open_notebook(lab, ["%load_ext labcontainers", burst])
    page.run_all()
    card = Card(page.locator(".labc-card"))
    card.wait_line("^1500$")
    expect(card.root.locator(".labc-log-total")).to_have_text("1,500 lines")
    card.log.evaluate("log => { log.scrollTop = 0; }")
    card.wait_line("^1$")
