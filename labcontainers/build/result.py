"""What a finished build was: its image and its steps, as a value that a notebook can show.

It must not know how the build was done.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.images.image import Image
from labcontainers.units import format_bytes, format_duration

_SHOWN_OUTPUT = 2000


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it went. `output` is the end of what it wrote, `reason` says why it was not cached."""

    index: int
    text: str
    line: int
    cached: bool
    duration_s: float
    layer_size_bytes: int
    output: str
    stage: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Build:
    """A finished build; `warnings` are about the Dockerfile."""

    image: Image
    steps: tuple[StepRecord, ...]
    duration_s: float
    warnings: tuple[BuildWarning, ...] = ()

    @property
    def cached_steps(self) -> int:
        """How many steps were found in the cache."""
        return sum(step.cached for step in self.steps)

    def _name(self) -> str:
        return ", ".join(self.image.tags) or self.image.short_id

    def __repr__(self) -> str:
        done = f"{len(self.steps)} steps, {self.cached_steps} cached"
        size = format_bytes(self.image.size_bytes)
        return f"<Build {self._name()}: {self.image.short_id}, {done}, {format_duration(self.duration_s)}, {size}>"

    def _repr_html_(self) -> str:
        rows = "".join(_row(step) for step in self.steps)
        notes = "".join(f'<div style="color:#b26a00">{html.escape(str(warning))}</div>' for warning in self.warnings)
        head = (
            f"<b>{html.escape(self._name())}</b> · {html.escape(self.image.short_id)} · {format_bytes(self.image.size_bytes)} · "
            f"{len(self.steps)} steps, {self.cached_steps} cached · {format_duration(self.duration_s)}"
        )
        table = f'<table style="border-collapse:collapse;margin-top:4px">{rows}</table>'
        return f'<div style="font-family:monospace;font-size:90%">{head}{table}{notes}</div>'


def _row(step: StepRecord) -> str:
    cell = 'style="text-align:left;padding:1px 10px 1px 0;vertical-align:top;white-space:pre-wrap"'
    state = "cached" if step.cached else format_duration(step.duration_s)
    colour = "#808080" if step.cached else "#2e7d32"
    size = format_bytes(step.layer_size_bytes) if step.layer_size_bytes else ""
    text = html.escape(step.text)
    output = step.output[-_SHOWN_OUTPUT:].rstrip()
    if output:
        body = f'<pre style="margin:2px 0 2px 12px;opacity:.8;background:none">{html.escape(output)}</pre>'
        text = f"<details><summary>{text}</summary>{body}</details>"
    title = f' title="{html.escape(step.reason)}"' if step.reason else ""
    return (
        f'<tr style="background:none"><td {cell}>#{step.index}</td><td {cell}>{html.escape(step.stage)}</td><td {cell}>{text}</td>'
        f'<td {cell}{title}><span style="color:{colour}">●</span> {state}</td><td {cell}>{size}</td></tr>'
    )
