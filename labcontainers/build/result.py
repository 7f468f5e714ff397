"""What a finished build was: its image and its steps, as a value that a notebook can show.

It must not know how the build was done.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.graph import BuildGraph, Edge, Node
from labcontainers.build.outputs.inputs import BuildInputs
from labcontainers.build.outputs.provenance import Provenance
from labcontainers.build.verification import BuildVerification
from labcontainers.errors import NotFound
from labcontainers.images.image import Image
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_bytes, format_duration

if TYPE_CHECKING:
    from labcontainers.images.bill import Bill

_SHOWN_OUTPUT = 2000


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it went, `number` of `count` in its stage. `output` is the end of what it wrote, `reason` says why it was not cached."""

    index: int
    text: str
    line: int
    cached: bool
    duration_s: float
    layer_size_bytes: int
    output: str
    stage: str = ""
    reason: str = ""
    number: int = 0
    count: int = 0


class BuildLogs(Mapping[int, str]):
    """The output of each step that wrote something, by the step's index."""

    def __init__(self, steps: Sequence[StepRecord]) -> None:
        self._steps = {step.index: step for step in steps}

    def __getitem__(self, index: int) -> str:
        """The output of one step, "" when it wrote nothing; raises NotFound for a step that there is not."""
        step = self._steps.get(index)
        if step is None:
            raise NotFound(f"the build has no step {index}", f"steps are 1 to {len(self._steps)}")
        return step.output

    def __iter__(self) -> Iterator[int]:
        return (index for index, step in self._steps.items() if step.output)

    def __len__(self) -> int:
        return sum(bool(step.output) for step in self._steps.values())

    def __contains__(self, index: object) -> bool:
        return index in list(self)

    def __str__(self) -> str:
        parts = []
        for index in self:
            step = self._steps[index]
            parts.append(f"#{index} {step.text}\n{step.output}" + ("" if step.output.endswith("\n") else "\n"))
        return "".join(parts)

    def __repr__(self) -> str:
        return str(self) or "<BuildLogs: no step wrote anything>"


@dataclass(frozen=True, slots=True, repr=False)
class Build:
    """A finished build: `steps` in the order of the plan, whenever they were done; `edges` tell which needed which; `warnings` are about
    the Dockerfile; `verification` is there where it was asked for.
    """

    image: Image
    steps: tuple[StepRecord, ...]
    duration_s: float
    warnings: tuple[BuildWarning, ...] = ()
    edges: tuple[Edge, ...] = ()
    verification: BuildVerification | None = None
    inputs: BuildInputs | None = None

    @property
    def graph(self) -> BuildGraph:
        """The steps as nodes, with what they needed of each other: text, HTML, `to_dot()` and `to_json()`."""
        return BuildGraph(tuple(_node(step) for step in self.steps), self.edges)

    @property
    def logs(self) -> BuildLogs:
        """What the steps wrote: all of it as text, `logs[3]` that of step 3. Of a long output the end is kept."""
        return BuildLogs(self.steps)

    @property
    def provenance(self) -> Provenance:
        """Where the image comes from, with all that is known; a Dockerfile's secrets are not in it."""
        return self.provenance_as("max")

    def provenance_as(self, mode: str, builder_id: str = "") -> Provenance:
        """The same, `mode` min or max, with another name of who built it."""
        steps = [(step.stage, step.text, step.line) for step in self.steps]
        return Provenance(self.inputs or BuildInputs("", ""), self.image.platform, steps, mode=mode, builder_id=builder_id)

    @property
    def sbom(self) -> Bill:
        """The packages in the image; blocks when it is first asked for."""
        return self.image.sbom()

    @property
    def cached_steps(self) -> int:
        """How many steps were found in the cache."""
        return sum(step.cached for step in self.steps)

    def _name(self) -> str:
        return ", ".join(self.image.tags) or self.image.short_id

    def __repr__(self) -> str:
        done = f"{len(self.steps)} steps, {self.cached_steps} cached"
        size = format_bytes(self.image.size_bytes)
        verified = "" if self.verification is None else f"\n{self.verification!r}"
        return f"<Build {self._name()}: {self.image.short_id}, {done}, {format_duration(self.duration_s)}, {size}>{verified}"

    def _repr_html_(self) -> str:
        stages = len({step.stage for step in self.steps}) > 1
        rows = "".join(_row(step, stages) for step in self.steps)
        notes = "".join(f'<div style="color:#b26a00">{html.escape(str(warning))}</div>' for warning in self.warnings)
        head = (
            f"<b>{html.escape(self._name())}</b> · {html.escape(self.image.short_id)} · {format_bytes(self.image.size_bytes)} · "
            f"{len(self.steps)} steps, {self.cached_steps} cached · {format_duration(self.duration_s)}"
        )
        table = f'<table style="border-collapse:collapse;margin:4px 0 0 14px">{rows}</table>'
        steps = f"<details><summary>{head}</summary>{table}</details>"
        notes += "" if self.verification is None else self.verification._repr_html_()
        return f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%">{steps}{notes}</div>'


def _node(step: StepRecord) -> Node:
    """The step, without what it wrote."""
    size = step.layer_size_bytes
    return Node(
        step.index, step.stage, step.number, step.count, step.text, step.line, step.cached, step.reason, step.duration_s, size
    )  # fmt: skip


def _row(step: StepRecord, stages: bool) -> str:
    cell = 'style="text-align:left;padding:1px 10px 1px 0;vertical-align:top;white-space:nowrap"'
    wide = cell.replace("nowrap", "pre-wrap")
    state = "cached" if step.cached else format_duration(step.duration_s)
    colour = "#808080" if step.cached else "#2e7d32"
    size = format_bytes(step.layer_size_bytes) if step.layer_size_bytes else ""
    text = html.escape(step.text)
    output = step.output[-_SHOWN_OUTPUT:].rstrip()
    if output:
        body = f'<pre style="margin:2px 0 2px 12px;opacity:.8;background:none">{html.escape(output)}</pre>'
        text = f"<details><summary>{text}</summary>{body}</details>"
    title = f' title="{html.escape(step.reason)}"' if step.reason else ""
    stage = f"<td {cell}>{html.escape(step.stage)}</td>" if stages else ""
    return (
        f'<tr style="background:none"><td {cell}>#{step.index}</td>{stage}<td {wide}>{text}</td>'
        f'<td {cell}{title}><span style="color:{colour}">●</span> {state}</td><td {cell}>{size}</td></tr>'
    )
