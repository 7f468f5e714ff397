"""Two processes side by side: what each has of its own, what they share, and where they differ; it must not read anything."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.containers.isolation.process_facts import KINDS, MountFacts, ProcessFacts, as_json, id_map_text
from labcontainers.kernel import capabilities
from labcontainers.markup import TABLE

_HIDDEN = "not readable by this user"
_KIND_NAMES = {"mnt": "mount", "net": "network", "uts": "uts (host name)"}
_LONGEST = 48


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: what it is called, its first process, and limits by name that its `inspect` tells (empty for the host)."""

    name: str
    facts: ProcessFacts
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing compared: `topic` groups rows; `values` are those of both sides; `same` is None where it cannot be known."""

    topic: str
    name: str
    values: tuple[str, str]
    same: bool | None
    note: str = ""


class Comparison(Sequence[Row]):
    """All rows, topic by topic; prints as a table in which a difference is marked by `≠`, what is shared by `=`."""

    def __init__(self, first: Side, second: Side) -> None:
        self.sides = (first, second)
        self.rows = tuple(_rows(first, second))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    @property
    def names(self) -> tuple[str, str]:
        """What both sides are called."""
        return (self.sides[0].name, self.sides[1].name)

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows in which they are known to differ."""
        return tuple(row for row in self.rows if row.same is False)

    def row(self, topic: str, name: str) -> Row:
        """The row of this topic and name; raises KeyError."""
        for row in self.rows:
            if (row.topic, row.name) == (topic, name):
                return row
        raise KeyError((topic, name))

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the rows, and the facts of both processes as they were read."""
        return {
            "names": list(self.names),
            "rows": [
                {"topic": row.topic, "name": row.name, "values": list(row.values), "same": row.same, "note": row.note} for row in self.rows
            ],
            "processes": [as_json(side.facts) for side in self.sides],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _summary(self) -> str:
        namespaces = [row for row in self.rows if row.topic == "namespaces"]
        shared = [row.name for row in namespaces if row.same]
        told = f"share {', '.join(shared)}" if shared else "share no namespace"
        return f"{self.names[0]} and {self.names[1]} {told}; {len(self.differences)} of {len(self.rows)} rows differ"

    def __repr__(self) -> str:
        cells = [(row.name, *(_short(value) for value in row.values), row.note) for row in self.rows]
        widths = [max(len(cell[column]) for cell in (*cells, ("", *self.names, ""))) for column in range(3)]
        lines = ["  ".join(["   ", "".ljust(widths[0]), self.names[0].ljust(widths[1]), self.names[1]]).rstrip()]
        topic = ""
        for row, cell in zip(self.rows, cells, strict=True):
            if row.topic != topic:
                topic = row.topic
                lines.append(topic)
            texts = [text.ljust(width) for text, width in zip(cell, widths, strict=False)]
            lines.append("  ".join([f"  {_MARKS[row.same]}", *texts, row.note]).rstrip())
        return "\n".join([*lines, self._summary()])

    def _repr_html_(self) -> str:
        place = "text-align:left;vertical-align:top;padding:1px 14px 1px 0;white-space:pre-wrap;overflow-wrap:anywhere"
        cell, name, value = (f'style="{place};min-width:{width}em"' for width in (0, 11, 7))
        heads = "".join(f"<th {cell}>{html.escape(title)}</th>" for title in ("", "", *self.names, ""))
        body = ""
        for topic, rows in self._by_topic():
            body += f'<tr><th colspan="5" style="text-align:left;padding:6px 0 1px;opacity:.7">{html.escape(topic)}</th></tr>'
            for row in rows:
                body += f"<tr{_TONES[row.same]}><td {cell}>{_MARKS[row.same]}</td><td {name}>{html.escape(row.name)}</td>"
                body += (
                    "".join(f"<td {value}>{html.escape(text)}</td>" for text in row.values)
                    + f"<td {cell}>{html.escape(row.note)}</td></tr>"
                )
        return (
            f'<div style="max-height:34em;overflow:auto">{TABLE}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
            f"<div style='opacity:.8'>{html.escape(self._summary())}</div>"
        )

    def _by_topic(self) -> Iterator[tuple[str, list[Row]]]:
        for topic in dict.fromkeys(row.topic for row in self.rows):
            yield topic, [row for row in self.rows if row.topic == topic]


_MARKS = {True: "=", False: "≠", None: "?"}
_TONES = {True: "", False: ' style="background:rgba(210,153,34,.14)"', None: ' style="opacity:.6"'}


def _rows(first: Side, second: Side) -> Iterator[Row]:
    one, other = first.facts, second.facts
    yield from _namespaces(one, other)
    yield _row("ids", "user and group", f"{one.uid}:{one.gid}", f"{other.uid}:{other.gid}", "as this machine sees them")
    yield _row("ids", "user id map", id_map_text(one.uid_map), id_map_text(other.uid_map))
    yield _row("ids", "group id map", id_map_text(one.gid_map), id_map_text(other.gid_map))
    yield from _capabilities(one, other)
    yield _row("confinement", "seccomp", _seccomp(one), _seccomp(other), "a filter of system calls")
    yield _row("confinement", "no new privileges", _yes(one.no_new_privileges), _yes(other.no_new_privileges))
    yield _row("confinement", "security label", one.security_label or "none", other.security_label or "none")
    yield _row("control group", "path", one.cgroup, other.cgroup)
    for name in dict.fromkeys((*first.limits, *second.limits)):
        yield _row("control group", name, first.limits.get(name, "no limit"), second.limits.get(name, "no limit"))
    yield from _mounts(one, other)
    yield from _network(one, other)


def _row(topic: str, name: str, one: str, other: str, note: str = "") -> Row:
    known = _HIDDEN not in (one, other)
    return Row(topic, name, (one, other), one == other if known else None, note)


def _namespaces(one: ProcessFacts, other: ProcessFacts) -> Iterator[Row]:
    for kind in KINDS:
        if kind in one.namespaces or kind in other.namespaces:
            inodes = one.namespaces.get(kind), other.namespaces.get(kind)
            same = None if None in inodes else inodes[0] == inodes[1]
            note = {True: "the same", False: "each its own", None: ""}[same]
            values = (_HIDDEN if inodes[0] is None else str(inodes[0]), _HIDDEN if inodes[1] is None else str(inodes[1]))
            yield Row("namespaces", _KIND_NAMES.get(kind, kind), values, same, note)


def _capabilities(one: ProcessFacts, other: ProcessFacts) -> Iterator[Row]:
    for name, ours, theirs in (("in effect", one.effective, other.effective), ("that can be had", one.bounding, other.bounding)):
        added, missing = sorted(theirs - ours), sorted(ours - theirs)
        note = " ".join([*(f"+{word}" for word in added), *(f"-{word}" for word in missing)])
        yield Row("capabilities", name, (_count(ours), _count(theirs)), ours == theirs, note)


def _count(names: frozenset[str]) -> str:
    every = capabilities.of_this_kernel()
    return "none" if not names else "all" if names >= every else f"{len(names)}: {' '.join(sorted(names))}"


def _seccomp(facts: ProcessFacts) -> str:
    several = f" ({facts.seccomp_filters} filters)" if facts.seccomp_filters > 1 else ""
    return facts.seccomp + several


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _mounts(one: ProcessFacts, other: ProcessFacts) -> Iterator[Row]:
    if one.mounts is None or other.mounts is None:
        yield Row("mounts", "all", (_HIDDEN if one.mounts is None else "", _HIDDEN if other.mounts is None else ""), None)
        return
    mine, theirs = _by_target(one.mounts), _by_target(other.mounts)
    same_table = one.namespaces.get("mnt") is not None and one.namespaces.get("mnt") == other.namespaces.get("mnt")
    yield _row("mounts", "in all", _totals(one.mounts, other.mounts), _totals(other.mounts, one.mounts))
    for target in sorted({*mine, *theirs}):
        here, there = mine.get(target), theirs.get(target)
        same = same_table or (here is not None and there is not None and _alike(here, there))
        note = ""
        if here is not None and there is not None:
            note = "the same files" if (here.device, here.root) == (there.device, there.root) else "each its own"
        yield Row("mounts", target, (_mount(here, other.mounts), _mount(there, one.mounts)), same, note)


def _by_target(mounts: Sequence[MountFacts]) -> dict[str, MountFacts]:
    """What is seen at each place: the mount that came last."""
    return {mount.target: mount for mount in mounts}


def _alike(here: MountFacts, there: MountFacts) -> bool:
    return (here.device, here.root, here.read_only) == (there.device, there.root, there.read_only)


def _shared(mount: MountFacts, others: Sequence[MountFacts]) -> bool:
    return any(other.shows(mount) for other in others)


def _mount(mount: MountFacts | None, others: Sequence[MountFacts]) -> str:
    if mount is None:
        return "–"
    words = [mount.fstype, "read-only" if mount.read_only else "writable", "shared" if _shared(mount, others) else "own"]
    return ", ".join([*words, *([f"propagation {mount.propagation}"] if mount.propagation != "private" else [])])


def _totals(mounts: Sequence[MountFacts], others: Sequence[MountFacts]) -> str:
    shared = sum(_shared(mount, others) for mount in mounts)
    read_only = sum(mount.read_only for mount in mounts)
    return f"{len(mounts) - shared} own, {shared} shared, {read_only} read-only"


def _network(one: ProcessFacts, other: ProcessFacts) -> Iterator[Row]:
    for name in ("interfaces", "addresses"):
        values = [getattr(facts, name) for facts in (one, other)]
        texts = [_HIDDEN if value is None else ", ".join(value) or "none" for value in values]
        yield _row("network", name, texts[0], texts[1])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
