"""What came of building twice: step by step whether it made the same files, and of those that differ which and why.

It must not know how it was found out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from labcontainers.markup import NO_FORMULAS

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FileDifference:
    """A file that was not the same; `what` is one or several of content, mode, owner, time, attributes, links, kind, "only in one"."""

    path: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}: {self.detail}"


@dataclass(frozen=True, slots=True)
class VerifiedStep:
    """A step that was done twice on the same files. `differences` are the first of `count`, by path; `diff_ids` are of both layers."""

    index: int
    text: str
    line: int
    stage: str
    diff_ids: tuple[str, str]
    differences: tuple[FileDifference, ...] = ()
    count: int = 0

    def __bool__(self) -> bool:
        return self.diff_ids[0] == self.diff_ids[1]


@dataclass(frozen=True, slots=True, repr=False)
class BuildVerification:
    """The steps that make files; false where one of them did not make the same again."""

    steps: tuple[VerifiedStep, ...]

    def __bool__(self) -> bool:
        return all(self.steps)

    @property
    def first(self) -> VerifiedStep | None:
        """The first step that differs."""
        return next(iter(self.different), None)

    @property
    def different(self) -> Sequence[VerifiedStep]:
        """The steps that differ."""
        return [step for step in self.steps if not step]

    @property
    def summary(self) -> str:
        """One line."""
        if self:
            return f"verified: all of {len(self.steps)} steps made the same files twice"
        return f"not reproducible: {len(self.different)} of {len(self.steps)} steps made other files the second time"

    def __repr__(self) -> str:
        lines = [self.summary]
        for step in self.different:
            lines.append(f"#{step.index} line {step.line}: {step.text}")
            lines += [f"    {difference}" for difference in step.differences[:_SHOWN]]
            lines += [f"    and {step.count - _SHOWN} more"] if step.count > _SHOWN else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = "#2e7d32" if self else "#c62828"
        steps = "".join(_step(step) for step in self.different)
        head = f'<div><span style="color:{colour}">●</span> {html.escape(self.summary)}</div>'
        return f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%">{head}{steps}</div>'


def _step(step: VerifiedStep) -> str:
    shown = [str(difference) for difference in step.differences]
    shown += [f"and {step.count - len(step.differences)} more"] if step.count > len(step.differences) else []
    rows = "".join(f"<li>{html.escape(text)}</li>" for text in shown)
    head = f"#{step.index} line {step.line}: {html.escape(step.text)}"
    return f'<details open style="margin:2px 0 0 14px"><summary>{head}</summary><ul style="margin:0">{rows}</ul></details>'
