"""What a build did, as a graph: steps with how each went, and which needed which; as text, HTML, JSON and for Graphviz.

It must not know how a build is done.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labcontainers.build.lanes import lanes_of
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_bytes, format_duration

_MOST_TEXT = 72


@dataclass(frozen=True, slots=True)
class Node:
    """One step: `index` from 1 in the build, `number` of `count` in its stage; `reason` says why it was not cached."""

    index: int
    stage: str
    number: int
    count: int
    text: str
    line: int
    cached: bool
    reason: str
    duration_s: float
    size_bytes: int

    @property
    def place(self) -> str:
        """As progress tells it: `build 2/5`."""
        return f"{self.stage} {self.number}/{self.count}"

    @property
    def state(self) -> str:
        """`cached`, or how long it took."""
        return "cached" if self.cached else format_duration(self.duration_s)

    @property
    def size(self) -> str:
        """The size of its layer, "" without one."""
        return format_bytes(self.size_bytes) if self.size_bytes else ""


@dataclass(frozen=True, slots=True)
class Edge:
    """Step `before` had to be done before step `after`: the "next" of a stage, or a stage's last that was a "base", or gave "files" or a
    "mount".
    """

    before: int
    after: int
    kind: str


@dataclass(frozen=True, slots=True, repr=False)
class BuildGraph:
    """The nodes by their index, and the edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __str__(self) -> str:
        """One line for each step, with lanes of the stages in front: `*` done, `=` cached, lines to what a step needs of other stages."""
        rows = [_cells(lane, node) for lane, node in zip(self.lanes(), self.nodes, strict=True)]
        widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return str(self) or "<BuildGraph: no steps>"

    def lanes(self) -> tuple[str, ...]:
        """The drawing in front of each node."""
        needs: dict[int, set[int]] = {}
        for edge in self.edges:
            if edge.kind != "next":
                needs.setdefault(edge.after, set()).add(edge.before)
        rows = lanes_of([(node.number, node.count) for node in self.nodes], needs)
        return tuple(row.draw("=" if node.cached else "*") for row, node in zip(rows, self.nodes, strict=True))

    def to_json(self) -> dict[str, Any]:
        """{"nodes": [...], "edges": [...]} with the fields of Node and Edge."""
        return {"nodes": [asdict(node) for node in self.nodes], "edges": [asdict(edge) for edge in self.edges]}

    def to_dot(self) -> str:
        """The graph in Graphviz' language: a cluster for each stage, dashed lines for files and mounts."""
        lines = ["digraph build {", "  node [shape=box, fontname=monospace];"]
        for number, (stage, nodes) in enumerate(self._stages()):
            lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(stage)};"]
            for node in nodes:
                label = f"{node.number}/{node.count} {_short(node.text)}\n{' '.join(part for part in (node.state, node.size) if part)}"
                style = ", style=dashed" if node.cached else ""
                lines.append(f"    s{node.index} [label={_quoted(label)}{style}];")
            lines.append("  }")
        for edge in self.edges:
            style = "" if edge.kind in ("next", "base") else f" [style=dashed, label={edge.kind}]"
            lines.append(f"  s{edge.before} -> s{edge.after}{style};")
        return "\n".join([*lines, "}"]) + "\n"

    def _stages(self) -> Iterator[tuple[str, Sequence[Node]]]:
        begun = [position for position, node in enumerate(self.nodes) if node.number == 1]
        for first, end in zip(begun, [*begun[1:], len(self.nodes)], strict=True):
            yield self.nodes[first].stage, self.nodes[first:end]

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:1px 12px 1px 0;white-space:pre;vertical-align:top;background:none"'
        rows = []
        for lane, node in zip(self.lanes(), self.nodes, strict=True):
            colour = "#808080" if node.cached else "#2e7d32"
            title = html.escape("; ".join(part for part in (f"line {node.line}" if node.line else "", node.reason) if part))
            cells = [
                f"<td {cell}>{html.escape(lane)}</td><td {cell}>{html.escape(node.place)}</td>",
                f'<td {cell.replace("white-space:pre", "white-space:pre-wrap")} title="{title}">{html.escape(node.text)}</td>',
                f'<td {cell}><span style="color:{colour}">●</span> {node.state}</td><td {cell}>{node.size}</td>',
            ]
            rows.append(f'<tr style="background:none">{"".join(cells)}</tr>')
        table = f'<table style="border-collapse:collapse;line-height:1.35">{"".join(rows)}</table>'
        return f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%">{table}</div>'


def _cells(lane: str, node: Node) -> tuple[str, ...]:
    return lane, node.place, _short(node.text), node.state, node.size


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _quoted(text: str) -> str:
    """A string of Graphviz' language, which has JSON's escapes as far as they are needed here."""
    return json.dumps(text, ensure_ascii=False)
