"""The answer of `doctor` as values, with their text and HTML forms.

It must not know how anything is tried or explained.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from labcontainers.kernel.levels import lacking

_MARKS: Final = {True: "ok", False: "no", None: "--"}
_COLOURS: Final = {True: "#2e9e5b", False: "#d1495b", None: "#8a8f98"}
_WIDTH: Final = 118

LEVELS: Final = {
    "root": "everything works: containers run as root",
    "rootless": "containers run without root, with many user ids",
    "single-id": "containers run without root, with one user id inside (root only)",
    "masked-proc": "containers run, but see a /proc that is not their own",
    "no-openat2": "containers cannot run here: no path of an image can be opened safely without openat2(2)",
    "no-mounts": "containers cannot run here: namespaces can be made, but nothing can be mounted in them",
    "none": "containers cannot run here: no namespaces",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One ability: `ok` is None where it is only told, not judged. `reason` says why not, `fix` is a command or an action."""

    name: str
    ok: bool | None
    detail: str = ""
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in order, and the level that follows from them: a key of LEVELS.

    `holds` is what holds containers then, and what that lacks, in the words of kernel.levels: as `info`, `ps` and cards tell it.
    """

    checks: tuple[Check, ...]
    level: str
    holds: str = ""

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __getitem__(self, name: str) -> Check:
        """The check of this name; raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    @property
    def ok(self) -> bool:
        """Whether containers can run at all."""
        return self.level not in ("no-openat2", "no-mounts", "none")

    def _notes(self) -> Iterator[tuple[Check, str, str]]:
        """Every check with its reason and fix, where one that was given before is only referred to."""
        told: dict[tuple[str, str], str] = {}
        for check in self.checks:
            key = (check.reason, check.fix)
            if check.fix and key in told:
                yield check, f"as for {told[key]}", ""
            else:
                told[key] = check.name
                yield check, check.reason, check.fix

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [f"level: {self.level} ({LEVELS[self.level]})"]
        lines += [f"containers are held by: {self.holds}"] if self.holds else []
        for name, lacks in lacking(self.holds):
            lines += textwrap.wrap(f"{name} lacks {lacks}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
        lines.append("")
        for check, reason, fix in self._notes():
            lines.append(f"{_MARKS[check.ok]}  {check.name:<{width}}  {check.detail}".rstrip())
            # A command must stay in one piece to be copied; a reason may be broken.
            wrapped = textwrap.wrap(reason, max(_WIDTH - width - 11, 30)) if reason else []
            lines += [f"    {'':<{width}}  {'why: ' if index == 0 else '     '}{part}" for index, part in enumerate(wrapped)]
            lines += [f"    {'':<{width}}  fix: {fix}"] if fix else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        cell = "padding:3px 12px 3px 0;vertical-align:top;text-align:left;background:transparent"
        code = "white-space:pre-wrap;background:rgba(128,128,128,.15);padding:1px 4px"
        rows = []
        for check, reason, fix in self._notes():
            notes = [escape(check.detail)] if check.detail else []
            notes += [f'<span style="opacity:.8">{escape(reason)}</span>'] if reason else []
            notes += [f'<code style="{code}">{escape(fix)}</code>'] if fix else []
            mark = f'<b style="color:{_COLOURS[check.ok]}">{_MARKS[check.ok]}</b>'
            rows.append(
                f'<tr style="background:transparent"><td style="{cell}">{mark}</td>'
                f'<td style="{cell};white-space:nowrap">{escape(check.name)}</td><td style="{cell}">{"<br>".join(notes)}</td></tr>'
            )
        head = f'<p style="margin:0 0 6px"><b>{escape(self.level)}</b>: {escape(LEVELS[self.level])}</p>'
        head += f'<p style="margin:0 0 6px">containers are held by: <b>{escape(self.holds)}</b></p>' if self.holds else ""
        missing = "".join(f"<li>{escape(name)} lacks {escape(lacks)}</li>" for name, lacks in lacking(self.holds))
        head += f'<ul style="margin:0 0 6px;opacity:.8">{missing}</ul>' if missing else ""
        table = f'<table style="border-collapse:collapse;font-size:13px;color:inherit">{"".join(rows)}</table>'
        return f'<div style="color:inherit;font-family:inherit">{head}{table}</div>'
