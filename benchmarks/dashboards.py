"""What the dashboard costs its kernel: CPU while it records many containers and a page looks, and without it.

It must not know engines of others: they have no such cost to compare.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.many import remove_all
from benchmarks.peers import IMAGE
from labcontainers import Engine
from labcontainers.widgets.dashboard.owner import DashboardOwner

CONTAINERS = 100
WATCHED_S = 10.0
ROUNDS = 3
# a bit of work and a line each second
_WORK = "while true; do i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; echo done; sleep 1; done"


class Page:
    """A page that looks: what it is sent is made into JSON, as on its way to a browser, and counted."""

    def __init__(self) -> None:
        self.sent_bytes = self.messages = 0

    def update(self, data: Any) -> None:
        self.messages += 1
        self.sent_bytes += len(json.dumps(data))

    resend = update

    def keep(self, *, in_output: bool) -> None:
        """Nothing is saved here."""


def watched(engine: Engine, page: Page | None) -> float:
    """The share of a core that this process uses for WATCHED_S seconds, while `page` looks at the dashboard; or without one at all."""
    owner = None
    if page is not None:
        owner = DashboardOwner(engine.dashboard())
        owner.everything()
        owner.shown()
        owner.show_on(page)
        time.sleep(2)
    before_s, began = time.process_time(), time.monotonic()
    time.sleep(WATCHED_S)
    share = (time.process_time() - before_s) / (time.monotonic() - began)
    if owner is not None:
        owner.close()
        engine.dashboard().close()
    return share


def dashboards(engine: Engine) -> list[str]:
    """A line for containers that sleep and one for containers that work, each against the same process without a dashboard."""
    return [line(engine, ["sleep", "3600"], "sleep"), line(engine, ["sh", "-c", _WORK], "work and write")]


def line(engine: Engine, command: list[str], what: str) -> str:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: engine.containers.run(IMAGE, command, network="none", detach=True), range(CONTAINERS)))
    try:
        pairs = []
        for _ in range(ROUNDS):
            page = Page()
            pairs.append((watched(engine, page), watched(engine, None), page.sent_bytes / max(1, page.messages)))
    finally:
        remove_all(made)
    shown, idle, sent_bytes = (statistics.median(column) for column in zip(*pairs, strict=True))
    told = f"{shown * 100:.1f} % of a core, {idle * 100:.1f} % without; {sent_bytes / 1000:.1f} kB a message"
    return f"- Dashboard with {CONTAINERS} containers that {what}, looked at: {told}."
