"""Answers what a dashboard's pages ask, one after the other in the thread `lab-dashboard-ask`, which ends when nothing is left.

It must not know comms.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from labcontainers.engine.dashboard.log_search import LogWish
from labcontainers.errors import InvalidArgument
from labcontainers.widgets.dashboard import tables
from labcontainers.widgets.dashboard.messages import Answer, Order, point_of
from labcontainers.widgets.messages import failure_of
from labcontainers.widgets.questions import Questions

if TYPE_CHECKING:
    from labcontainers.engine.dashboard.dashboard import Dashboard

SETTLED_S = 0.25
_WISHES = {field.name for field in fields(LogWish)} - {"after_ns"}


class Answers:
    """`send` gets each answer. Thread-safe."""

    def __init__(self, dashboard: Dashboard, send: Callable[[Answer], None]) -> None:
        self._dashboard = dashboard
        self._send = send
        self._questions = Questions("lab-dashboard-ask", lambda question: self._send(self._answer(question)))

    def ask(self, question: str) -> None:
        """Have it answered, once however often it is asked meanwhile."""
        self._questions.ask(question)

    def close(self) -> None:
        """Answer no more; blocks until the thread has ended."""
        self._questions.close()

    def _answer(self, question: str) -> Answer:
        try:
            return {"question": question, "data": self._found(json.loads(question)), "failure": None}
        except Exception as error:
            # the page shows it in place of what it asked for
            return {"question": question, "data": None, "failure": failure_of(error)}

    def _found(self, order: Order) -> Any:
        dashboard = self._dashboard
        ask, name = order.get("ask"), order.get("id", "")
        if ask == "history":
            return [point_of(point) for point in dashboard.recorder.tracks.points(name)]
        if ask == "csv":
            return dashboard.history(name or None).to_csv()
        if ask == "table":
            return tables.table(dashboard.engine, order.get("name", ""))
        if ask == "inspect":
            return tables.document(dashboard.engine, order.get("kind", "container"), name)
        if ask == "logs":
            return self._lines(order)
        raise InvalidArgument(f"the page asks what is not known: {ask!r}", "load the page again")

    def _lines(self, order: Order) -> dict[str, Any]:
        """Lines as [id, stream, time, text, spans, whether it has an end], and `last`, after which to ask for what is new.

        What was written just now is left to the next time: then it is known what of other containers was written before.
        """
        wanted, said = order.get("containers"), order.get("wish", {})
        chosen = [one for one in self._dashboard.containers if not one.gone and (wanted is None or one.id in wanted)]
        # times in nanoseconds are too large for a page's numbers, and so travel as text
        given = {key: value for key, value in said.items() if key in _WISHES and value is not None}
        until = min(float(given.pop("until", math.inf)), time.time() - SETTLED_S)
        wish = LogWish(**given, until=until, after_ns=int(said.get("after") or 0))
        found, since = self._dashboard.search(chosen, wish)
        lines = [(chosen[log].id, stream, time_ns / 1e9, *rest) for log, stream, time_ns, *rest in found]
        return {"lines": lines, "since": since, "last": str(int(until * 1e9))}


def parsed(action: str) -> Mapping[str, Any]:
    """An order of a page. Raises InvalidArgument for what is none."""
    try:
        order = json.loads(action)
    except ValueError:
        order = None
    if not isinstance(order, dict):
        raise InvalidArgument(f"not an order of a dashboard: {action[:80]!r}", "load the page again")
    return order
