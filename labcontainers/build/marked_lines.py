"""What was found in a Dockerfile as HTML: its lines, and below each what is said of it.

It must not know what finds it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from labcontainers.build.dockerfile.checks import BY_NAME
from labcontainers.build.dockerfile.lint import BuildWarning
from labcontainers.build.dockerfile.source import Source
from labcontainers.errors import DockerfileError, LabError
from labcontainers.markup import NO_FORMULAS

_AROUND = 2
_WARNING, _FAULT = "#b26a00", "#c62828"


def marked_lines(source: Source, warnings: Sequence[BuildWarning], faults: Sequence[LabError]) -> str:
    """The lines with findings and those around them; a finding that has no line stands at the end."""
    notes: dict[int, list[str]] = {}
    for warning in warnings:
        notes.setdefault(warning.place.last_line, []).append(_note(_named(warning.rule), warning.message, _WARNING))
    for fault in faults:
        line = fault.last_line if isinstance(fault, DockerfileError) else 0
        hint = f" ({fault.hint})" if fault.hint else ""
        notes.setdefault(line, []).append(_note("<b>fault</b>", fault.message + hint, _FAULT))
    counts = ((len(warnings), "warning"), (len(faults), "fault"))
    told = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count) or "nothing found"
    head = f"<b>{html.escape(source.file)}</b> · {told}"
    body = "".join([*_lines(source, notes), *notes.get(0, ())])
    return f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%"><div>{head}</div>{body}</div>'


def _lines(source: Source, notes: dict[int, list[str]]) -> Iterator[str]:
    shown = {number for line in notes if line for number in range(line - _AROUND, line + _AROUND + 1) if 1 <= number <= len(source.lines)}
    before = 0
    for number in sorted(shown):
        if number > before + 1:
            yield '<div style="opacity:.5;padding-left:2em">⋯</div>'
        before = number
        text = html.escape(source.lines[number - 1].encode(errors="replace").decode())
        label = f'<span style="opacity:.5;display:inline-block;width:2.5em;text-align:right;margin-right:1em">{number}</span>'
        yield f'<div style="white-space:pre-wrap">{label}{text}</div>'
        yield from notes.get(number, ())


def _named(rule: str) -> str:
    known = BY_NAME.get(rule)
    name = html.escape(rule)
    return f'<a href="{html.escape(known.url)}" target="_blank" rel="noopener" style="color:inherit">{name}</a>' if known else name


def _note(name: str, message: str, colour: str) -> str:
    text = html.escape(message.encode(errors="replace").decode())
    return f'<div style="color:{colour};padding-left:3.5em"><span style="opacity:.7">▲</span> {name}: {text}</div>'
