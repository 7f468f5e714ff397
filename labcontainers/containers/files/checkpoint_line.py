"""The line of a container's checkpoints as a drawing: one dot for each, branches beside each other, the container where it is now.

It must not read anything but the checkpoints that it is given.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_age, format_bytes

if TYPE_CHECKING:
    from labcontainers.containers.files.checkpoint import Checkpoint

_ROW, _LANE, _DOT = 26, 18, 5
_LINE, _NOW, _MUTED = "#8a8f98", "#2a9d4a", "opacity:.65"


def lanes(parents: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The column of each number, from (number, parent) in the order of time: the first that follows one stays in its column."""
    found, followed = {0: 0}, set[int]()
    for number, parent in parents:
        found[number] = max(found.values()) + 1 if parent in followed else found.get(parent, 0)
        followed.add(parent)
    return found


def line_html(name: str, items: Sequence[Checkpoint], head: int, now: float) -> str:
    """The drawing with a row of words for each checkpoint, oldest first."""
    columns = lanes([(one.number, one.parent) for one in items])
    rows = {number: index for index, number in enumerate([0, *(one.number for one in items)])}
    width = (max(columns.values()) + 1) * _LANE + 4

    def place(number: int) -> tuple[int, int]:
        return 4 + _DOT + columns.get(number, 0) * _LANE, rows.get(number, 0) * _ROW + _ROW // 2

    lines = [_edge(place(one.parent), place(one.number)) for one in items]
    dots = [_dot(place(number), number == head) for number in rows]
    words = [_words("0", "the image", "", head == 0)]
    for one in items:
        label = one.label or ("before a rollback" if one.automatic else "")
        changed = f"{one.changed_files} changed · {format_bytes(one.size_bytes)} · {format_age(now - one.created_at)} ago"
        words.append(_words(str(one.number), label, changed, one.number == head))
    height = len(rows) * _ROW
    drawing = f'<svg width="{width}" height="{height}" role="img" aria-label="line of checkpoints">{"".join((*lines, *dots))}</svg>'
    return (
        f'<div {NO_FORMULAS} style="font-size:90%"><b>{html.escape(name)}</b>'
        f'<div style="display:flex;gap:10px;align-items:flex-start">{drawing}<div>{"".join(words)}</div></div></div>'
    )


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    """From a parent down to who follows it; into another column by a bend right below the parent."""
    (x1, y1), (x2, y2) = start, end
    way = f"M{x1} {y1}V{y2}" if x1 == x2 else f"M{x1} {y1}C{x1} {y1 + 18} {x2} {y1 + 8} {x2} {y1 + _ROW}V{y2}"
    return f'<path d="{way}" fill="none" stroke="{_LINE}" stroke-width="2"/>'


def _dot(place: tuple[int, int], is_now: bool) -> str:
    colour = _NOW if is_now else _LINE
    return f'<circle cx="{place[0]}" cy="{place[1]}" r="{_DOT + is_now}" fill="{colour}"/>'


def _words(number: str, label: str, more: str, is_now: bool) -> str:
    now = f'<span style="color:{_NOW};font-weight:600">now</span>' if is_now else ""
    return (
        f'<div style="height:{_ROW}px;line-height:{_ROW}px;white-space:nowrap"><code>{number}</code> {html.escape(label)} '
        f'<span style="{_MUTED}">{html.escape(more)}</span> {now}</div>'
    )
