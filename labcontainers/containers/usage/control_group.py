"""What a container may use and what it uses, as its control groups tell it at one moment, with a text and an HTML form.

It must not read anything. Where there are no control groups, it tells the limits of each process instead (getrlimit(2)).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from labcontainers.markup import NO_FORMULAS, TABLE, preformatted

_BAR_LETTERS = 20
_LONGEST = 40
# what a limit says that is none
_UNSET = ("no limit", "none", "max", "unlimited")


@dataclass(frozen=True, slots=True)
class GroupFile:
    """A file of a control group, or a limit of a process: `kind` is "limit", "usage", "events" or "state"; `path` is "" for the latter.

    `value` is the text as it stands there, `plain` the same for people where that is another.
    """

    name: str
    controller: str
    kind: str
    path: str
    value: str
    plain: str
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is used of a resource: `used` and `limit` in the same unit, told in `text`; `limit` is None where there is none.

    `own` says that the limit is the container's, and not the machine's.
    """

    name: str
    used: float
    limit: float | None
    own: bool
    text: str

    @property
    def share(self) -> float | None:
        """From 0 to 1; None without a limit."""
        return None if not self.limit else min(1.0, max(0.0, self.used / self.limit))


@dataclass(frozen=True, slots=True)
class Pressure:
    """The percentage of time in which some, or all at once (`full`), waited for a resource: over 10, 60 and 300 seconds."""

    resource: str
    some: tuple[float, float, float]
    full: tuple[float, float, float] | None
    note: str


@dataclass(frozen=True, repr=False)
class ControlGroup(Sequence[GroupFile]):
    """The control groups of the container `name`; a sequence of their files; `id` is the container's.

    `version` is "v1", "v2", "v1 and v2" or "none", and `reason` says why some or all of it is missing. `pressure_of` is "container", or
    "machine" where only that is known, or "".
    `again()` is another look, whose CPU is since this one (of a first look it is since the start); it raises Conflict once the container
    does not run, NotFound when it is gone.
    """

    name: str
    version: str
    directories: tuple[str, ...]
    reason: str
    gauges: tuple[Gauge, ...]
    files: tuple[GroupFile, ...]
    pressure: tuple[Pressure, ...] = ()
    pressure_of: str = ""
    sample: Any = field(default=None, compare=False)
    id: str = field(default="", compare=False)
    look: Callable[[ControlGroup], ControlGroup] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        return self.files[index]

    def again(self) -> ControlGroup:
        """The groups as they are now."""
        return self if self.look is None else self.look(self)

    def file(self, name: str) -> GroupFile:
        """The file of this name; raises KeyError."""
        for file in self.files:
            if file.name == name:
                return file
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "directories": list(self.directories),
            "reason": self.reason,
            "gauges": [asdict(gauge) for gauge in self.gauges],
            "pressure": [asdict(one) for one in self.pressure],
            "pressure_of": self.pressure_of,
            "files": [asdict(file) for file in self.files],
        }

    def summary(self) -> str:
        """What stands at the top."""
        if self.version == "none":
            return f"{self.name} has no control group; each of its processes has the limits of setrlimit(2)"
        return f"{self.name}: control groups of {'version' if ' ' not in self.version else 'versions'} {self.version.replace('v', '')}"

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self._texts()), default=0)
        return "\n".join([*self._head(), *(f"  {name:<{width}}  {value}".rstrip() for name, value in self._texts())])

    def brief(self) -> list[str]:
        """The same in few lines, for what is kept many times: of the files only the limits that are set."""
        names = [file.name for file in self.files if file.kind == "limit" and (file.plain or file.value) not in _UNSET]
        limits = [f"  {name}  {value}" for name, value in self._texts() if name in names]
        return [*self._head(), *limits, f"  {len(self.files)} files in all"]

    def _head(self) -> list[str]:
        """All but the files, as lines."""
        lines = [self.summary(), *([self.reason] if self.reason else [])]
        width = max((len(gauge.name) for gauge in self.gauges), default=0)
        lines += [f"  {gauge.name:<{width}}  {_bar(gauge)}  {gauge.text}" for gauge in self.gauges]
        if self.pressure:
            lines.append(f"  pressure of the {self.pressure_of} over 10, 60 and 300 s")
            lines += [f"    {one.resource:<6}  {_pressure_text(one)}" for one in self.pressure]
        return lines

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:1px 14px 1px 0"'
        rows = [(gauge.name, _bar(gauge), gauge.text) for gauge in self.gauges]
        rows += [(f"pressure: {one.resource}", "", _pressure_text(one)) for one in self.pressure]
        body = "".join("<tr>" + "".join(f"<td {cell}>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        reason = f"<div style='opacity:.8'>{html.escape(self.reason)}</div>" if self.reason else ""
        texts = self._texts()
        name, value = (max((len(text[column]) for text in texts), default=0) for column in (0, 1))
        notes = (f"{file.note} ({file.source})" for file in self.files)
        files = [f"{one:<{name}}  {other:<{value}}  {note}" for (one, other), note in zip(texts, notes, strict=True)]
        return f"<div {NO_FORMULAS}><b>{html.escape(self.summary())}</b>{reason}{TABLE}{body}</table>{preformatted(files)}</div>"

    def _texts(self) -> list[tuple[str, str]]:
        """Name and value of each file."""
        return [(file.name, _short(file)) for file in self.files]


def _bar(gauge: Gauge) -> str:
    share = gauge.share
    filled = 0 if share is None else round(share * _BAR_LETTERS)
    return "█" * filled + "░" * (_BAR_LETTERS - filled)


def _pressure_text(one: Pressure) -> str:
    some = ", ".join(f"{value:g} %" for value in one.some)
    full = "" if one.full is None else f"; all at once {', '.join(f'{value:g} %' for value in one.full)}"
    return some + full


def _short(file: GroupFile) -> str:
    text = " · ".join((file.plain or file.value).splitlines())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
