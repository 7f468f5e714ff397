"""`image.explore()`: an image's layers to be looked into, as text and as HTML; a notebook shows the layer explorer in its place.

It must not know widgets: magics put one in its place.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from labcontainers.images.files import COLOURS, MARKS, shown_path
from labcontainers.images.image_diff import ImageDiff
from labcontainers.images.layers import ImageLayer, Wasted
from labcontainers.markup import NO_FORMULAS
from labcontainers.oci.digest import short
from labcontainers.units import format_bytes

_BOX = "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:10px 14px;font-family:sans-serif;font-size:13px"
_WIDTH = 24
_INSTRUCTION = 100
_WASTED_SHOWN = 5
Changes = Mapping[str, int]


class Explored(Protocol):
    """An image, as far as it is looked into."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def layers(self) -> tuple[ImageLayer, ...]: ...
    @property
    def wasted(self) -> Wasted: ...

    def diff(self, other: Any, *, content: bool = False) -> ImageDiff: ...
    def others(self) -> list[str]: ...


class Exploration:
    """An image, to be displayed; its text and HTML tell of each layer what it changes, and what is wasted."""

    def __init__(self, image: Explored) -> None:
        self.image = image

    def __repr__(self) -> str:
        return exploration_text(self.image, self._changes(), self.image.wasted)

    def _repr_html_(self) -> str:
        return exploration_html(self.image, self._changes(), self.image.wasted)

    def _changes(self) -> dict[int, Changes]:
        return {layer.index: layer.changes for layer in self.image.layers}


def instruction(created_by: str) -> str:
    """What made a layer, in one line, without what builders put around it."""
    text = " ".join(created_by.replace("\\\n", " ").split())
    for before, after in (("/bin/sh -c #(nop) ", ""), ("/bin/sh -c ", "RUN "), ("RUN /bin/sh -c ", "RUN ")):
        if text.startswith(before):
            text = after + text.removeprefix(before).strip()
    return shown_path(text.removesuffix("# buildkit").rstrip())


def exploration_text(image: Explored, changes: Mapping[int, Changes], wasted: Wasted | None) -> str:
    """The layers from the bottom up, with a bar for the size of each; what is not known yet is left out."""
    layers = image.layers
    lines = [f"image {image.name} ({short(image.id)}), {_layers(len(layers))}, {format_bytes(image.size_bytes)}"]
    for layer in layers:
        bar = ("#" * round(_WIDTH * layer.size_bytes / (_largest(layers) or 1))).ljust(_WIDTH)
        told = instruction(layer.created_by)
        told = told if len(told) <= _INSTRUCTION else told[: _INSTRUCTION - 1] + "…"
        counts = f"  {_counts(changes[layer.index]):<16}" if layer.index in changes else ""
        lines.append(f"  {layer.index:>3}  {format_bytes(layer.size_bytes):>8}  {bar}{counts}  {told}".rstrip())
    if wasted is not None:
        lines += _wasted_lines(wasted)
    return "\n".join(lines)


def exploration_html(image: Explored, changes: Mapping[int, Changes], wasted: Wasted | None) -> str:
    """The same, without scripts."""
    layers, largest = image.layers, _largest(image.layers) or 1
    rows = ""
    for layer in layers:
        width = max(1, round(120 * layer.size_bytes / largest)) if layer.size_bytes else 0
        bar = f'<div style="width:{width}px;height:9px;background:#4c8dd6"></div>' if width else ""
        found = changes.get(layer.index, {})
        counts = " ".join(
            f'<span style="color:{COLOURS[name]}" title="{name}">{MARKS[name]} {found[name]:,}</span>' for name in found if found[name]
        )
        rows += (
            f"<tr><td>{layer.index}</td><td>{format_bytes(layer.size_bytes)}</td><td>{bar}</td>"
            f'<td style="text-align:left;white-space:nowrap">{counts}</td>'
            f'<td style="text-align:left"><code>{html.escape(instruction(layer.created_by))}</code></td></tr>'
        )
    about = f"{short(image.id)} · {_layers(len(layers))} · {format_bytes(image.size_bytes)}"
    end = "".join(f"<div>{html.escape(line)}</div>" for line in (_wasted_lines(wasted) if wasted is not None else []))
    heading = f'<b style="font-size:15px">{html.escape(image.name)}</b> &nbsp; <span style="opacity:.6">{about}</span>'
    return f'<div {NO_FORMULAS} style="{_BOX}">{heading}<table style="margin:6px 0;border:0">{rows}</table>{end}</div>'


def _layers(count: int) -> str:
    return f"{count} layer{'s' if count != 1 else ''}"


def _largest(layers: Sequence[ImageLayer]) -> int:
    return max((layer.size_bytes for layer in layers), default=0)


def _counts(changes: Changes) -> str:
    return " ".join(f"{MARKS[name]}{count:,}" for name, count in changes.items() if count)


def _wasted_lines(wasted: Wasted) -> list[str]:
    if not len(wasted):
        return ["nothing is wasted"]
    first, *files = repr(wasted).split("\n")
    more = [f"  … {len(wasted) - _WASTED_SHOWN:,} more: image.wasted tells all"] if len(wasted) > _WASTED_SHOWN else []
    return [first, *files[:_WASTED_SHOWN], *more]
