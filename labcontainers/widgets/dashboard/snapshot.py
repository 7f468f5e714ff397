"""The text and HTML forms of a dashboard: a table of the containers as they are at one moment; it must not know Jupyter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from labcontainers.engine.dashboard.history import Usage
from labcontainers.engine.dashboard.seen import Seen
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_memory
from labcontainers.widgets.snapshot import Snapshot

_BOX = "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:10px 14px;font-family:sans-serif;font-size:13px"
_PRE = "margin:6px 0 0;padding:0;background:none;color:inherit;font:12px/1.45 monospace"
_TONES = {"running": "#2da44e", "paused": "#bf8700", "restarting": "#bf8700", "exited": "#7d8590"}
_HEADS = ("NAME", "IMAGE", "STATUS", "CPU", "MEMORY")
# a saved notebook stays small, however many there are
ROWS = 10


def dashboard_snapshot(rows: Sequence[tuple[Seen, Usage | None]], now: float) -> Snapshot:
    """The containers, newest first, with what those that run use."""
    running = sum(one.state.status in ("running", "paused") for one, _ in rows)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    count = f"{len(rows)} container{'' if len(rows) == 1 else 's'}, {running} running" if rows else "no containers"
    shown = [one for one, _ in rows[:ROWS]]
    head, *lines = _lines([(one.name, one.image, one.status(now), *_figures(usage)) for one, usage in rows[:ROWS]])
    left = [f"… and {len(rows) - ROWS} more"] if len(rows) > ROWS else []
    table = [head, *lines, *left] if rows else []
    text = "\n".join([f"dashboard: {count} (as of {at})", *(f"  {line}" for line in table)])
    html = f'<div {NO_FORMULAS} style="{_BOX}"><b style="font-size:15px">Dashboard</b> &nbsp; {count} &nbsp; '
    html += f'<span style="opacity:.6">as of {at}</span>'
    if rows:
        marked = [_marked(one, line) for one, line in zip(shown, lines, strict=True)]
        html += f'<pre style="{_PRE}">{chr(10).join([f"  {head}", *marked, *left])}</pre>'
    return Snapshot(text, html + "</div>")


def _figures(usage: Usage | None) -> tuple[str, str]:
    return ("", "") if usage is None else (f"{usage.cpu_percent:.1f} %", format_memory(usage.memory_bytes))


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [_HEADS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _marked(one: Seen, line: str) -> str:
    """The line of a container as HTML, with its name in bold and its state as a colour."""
    failed = one.state.oom_killed or (one.state.status == "exited" and one.state.exit_code) or one.state.status == "dead"
    colour = "#d1242f" if failed else _TONES.get(one.state.status, "#7d8590")
    name, rest = escape(line[: len(one.name)]), escape(line[len(one.name) :])
    return f'<span style="color:{colour}">●</span> <b>{name}</b>{rest}'
