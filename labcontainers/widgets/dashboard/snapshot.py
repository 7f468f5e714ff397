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
_CELL = "text-align:left;padding:1px 14px 1px 0;border:0"
_TONES = {"running": "#2da44e", "paused": "#bf8700", "restarting": "#bf8700", "exited": "#7d8590"}
_HEADS = ("NAME", "IMAGE", "STATUS", "CPU", "MEMORY")
# a saved notebook stays small, however many there are
ROWS = 50


def dashboard_snapshot(rows: Sequence[tuple[Seen, Usage | None]], now: float) -> Snapshot:
    """The containers, newest first, with what those that run use."""
    running = sum(one.state.status in ("running", "paused") for one, _ in rows)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    count = f"{len(rows)} container{'' if len(rows) == 1 else 's'}, {running} running" if rows else "no containers"
    shown = [(one, (one.name, one.image, one.status(now), *_figures(usage))) for one, usage in rows[:ROWS]]
    left = f"… and {len(rows) - ROWS} more" if len(rows) > ROWS else ""
    table = "\n".join(f"  {line}" for line in _lines([cells for _, cells in shown]))
    text = "\n".join([f"dashboard: {count} (as of {at})", *([table] if rows else []), *([f"  {left}"] if left else [])])
    head = "".join(f'<th style="{_CELL};opacity:.7;font-weight:400">{name.capitalize()}</th>' for name in _HEADS)
    body = "".join(_html_row(one, cells) for one, cells in shown)
    html = f'<div {NO_FORMULAS} style="{_BOX}"><b style="font-size:15px">Dashboard</b> &nbsp; {count} &nbsp; '
    html += f'<span style="opacity:.6">as of {at}</span>'
    if rows:
        html += f'<table style="margin:6px 0 0;border:0"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    html += f'<div style="opacity:.6">{left}</div>' if left else ""
    return Snapshot(text, html + "</div>")


def _figures(usage: Usage | None) -> tuple[str, str]:
    return ("", "") if usage is None else (f"{usage.cpu_percent:.1f} %", format_memory(usage.memory_bytes))


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [_HEADS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _html_row(one: Seen, cells: tuple[str, ...]) -> str:
    failed = one.state.oom_killed or (one.state.status == "exited" and one.state.exit_code) or one.state.status == "dead"
    colour = "#d1242f" if failed else _TONES.get(one.state.status, "#7d8590")
    name, image, status, *figures = (escape(cell) for cell in cells)
    marked = f'<span style="color:{colour}">●</span> {status}'
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in (f"<b>{name}</b>", image, marked, *figures)) + "</tr>"
