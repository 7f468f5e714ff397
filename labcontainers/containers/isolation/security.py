"""What a container really has, beside what containers have by default, each line with its reason; it must not read anything."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labcontainers.containers.isolation.confinement import (
    ABSENT,
    MASKED_STATE,
    NO_LIMIT,
    OPEN,
    READ_ONLY_STATE,
    SETS,
    Confinement,
)
from labcontainers.containers.isolation.process_facts import ProcessFacts, id_map_text
from labcontainers.kernel import capabilities, defaults
from labcontainers.kernel.levels import LEVELS, MASKED_PROC, ROOT, SINGLE, SUBORDINATE, UNLIMITED
from labcontainers.markup import TABLE

_UNREADABLE = "not readable by this user"
_OWN, _MACHINES = "its own", "this machine’s"
_NO_CONTROL_GROUP = "no control group of its own"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: `same` says whether it is as by default, None where this user may not see it; `reason` is that of the default."""

    topic: str
    name: str
    value: str
    default: str
    same: bool | None
    reason: str = ""


class SecurityReport(Sequence[Finding]):
    """All findings on one container, by topics; what differs from the default is marked by `≠`."""

    def __init__(self, name: str, confined: Confinement, host: ProcessFacts) -> None:
        """`host` is the process that asks."""
        self.name = name
        self.level = _level(confined.facts, host)
        self.lacks = tuple(_lacks(confined, host, self.level))
        self.findings = tuple(_findings(confined, host, self.level))

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]

    def finding(self, topic: str, name: str) -> Finding:
        """The finding of this topic and name; raises KeyError."""
        for each in self.findings:
            if (each.topic, each.name) == (topic, name):
                return each
        raise KeyError((topic, name))

    @property
    def differences(self) -> tuple[Finding, ...]:
        """Those that are known to be other than by default."""
        return tuple(each for each in self.findings if each.same is False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"Name": self.name, "Level": self.level, "Lacks": list(self.lacks), "Findings": [asdict(each) for each in self.findings]}

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _heads(self) -> tuple[str, str]:
        count = len(self.differences)
        differs = f"{count} of {len(self)} differ from the default" if count else "all is as by default"
        whole = (self.level, *self.lacks)
        return f"{self.name}: {', '.join(whole)}; {differs}", "; ".join(LEVELS[name].means for name in whole)

    def __repr__(self) -> str:
        width = max(len(each.name) for each in self.findings)
        lines = list(self._heads())
        for topic, found in self._by_topic():
            lines.append(topic)
            for each in found:
                told = f"{each.value}  (by default {each.default})" if each.same is False else each.value
                lines.append(f"  {_MARKS[each.same]} {each.name:<{width}}  {told}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;vertical-align:top;padding:1px 14px 1px 0;white-space:pre-wrap"'
        body = ""
        for topic, found in self._by_topic():
            body += f'<tr><th colspan="5" style="text-align:left;padding:6px 0 1px;opacity:.7">{html.escape(topic)}</th></tr>'
            for each in found:
                default = each.default if each.same is False else ""
                texts = (_MARKS[each.same], each.name, each.value, default, each.reason)
                body += f"<tr{_TONES[each.same]}>" + "".join(f"<td {cell}>{html.escape(text)}</td>" for text in texts) + "</tr>"
        first, second = map(html.escape, self._heads())
        heads = "".join(f"<th {cell}>{title}</th>" for title in ("", "", "it has", "by default", "why"))
        table = f"{TABLE}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div><b>{first}</b></div><div style="opacity:.8">{second}</div><div style="max-height:34em;overflow:auto">{table}</div>'

    def _by_topic(self) -> Iterator[tuple[str, list[Finding]]]:
        for topic in dict.fromkeys(each.topic for each in self.findings):
            yield topic, [each for each in self.findings if each.topic == topic]


_MARKS = {True: " ", False: "≠", None: "?"}
_TONES = {True: "", False: ' style="background:rgba(210,153,34,.14)"', None: ' style="opacity:.6"'}


def _level(facts: ProcessFacts, host: ProcessFacts) -> str:
    if facts.namespaces.get("user") == host.namespaces.get("user"):
        return ROOT
    ids = sum(count for _, _, count in facts.uid_map or ())
    return SUBORDINATE if ids > 1 else SINGLE


def _lacks(confined: Confinement, host: ProcessFacts, level: str) -> Iterator[str]:
    """What the level has not: a /proc of the container's own where its processes are, and control groups."""
    facts = confined.facts
    own_pids = facts.namespaces.get("pid") != host.namespaces.get("pid")
    proc, outer = (next((mount.device for mount in one.mounts or () if mount.target == "/proc"), "") for one in (facts, host))
    if own_pids and proc and proc == outer:
        yield MASKED_PROC
    if confined.limits is None and level != ROOT:
        yield UNLIMITED


def _findings(confined: Confinement, host: ProcessFacts, level: str) -> Iterator[Finding]:
    facts = confined.facts
    yield from _namespaces(facts, host, level)
    yield from _ids(facts, host, level)
    yield from _capabilities(confined.sets)
    yield from _filters(facts, host)
    yield from _files(confined)
    yield from _devices(confined.devices)
    yield from _limits(confined.limits, level)


def _told(topic: str, name: str, value: str, default: str, reason: str = "") -> Finding:
    return Finding(topic, name, value, default, None if value == _UNREADABLE else value == default, reason)


def _namespaces(facts: ProcessFacts, host: ProcessFacts, level: str) -> Iterator[Finding]:
    reasons = {**defaults.NAMESPACES, "user": LEVELS[level].means}
    for kind, inode in facts.namespaces.items():
        value = _UNREADABLE if inode is None else _MACHINES if inode == host.namespaces.get(kind) else _OWN
        default = _OWN if kind in defaults.NAMESPACES or (kind == "user" and level != ROOT) else _MACHINES
        yield _told("namespaces", kind, value, default, reasons.get(kind, ""))


def _ids(facts: ProcessFacts, host: ProcessFacts, level: str) -> Iterator[Finding]:
    mine, machines = id_map_text(facts.uid_map), id_map_text(host.uid_map)
    yield _told("identity", "user ids", mine, machines if level == ROOT else mine)
    groups = " ".join(str(_inside(group, facts.gid_map)) for group in facts.groups)
    who = f"{_inside(facts.uid, facts.uid_map)}:{_inside(facts.gid, facts.gid_map)}"
    yield Finding("identity", "runs as", f"{who}{f', groups {groups}' if groups else ''}", "the image's USER, or --user", True)


def _inside(number: int, ranges: Sequence[tuple[int, int, int]] | None) -> int:
    """An id as the container sees it."""
    return next((inside + number - outside for inside, outside, count in ranges or () if outside <= number < outside + count), number)


def _capabilities(sets: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    usual = sets["bounding"] & capabilities.DEFAULT if sets["permitted"] else frozenset[str]()
    wanted = {"bounding": capabilities.DEFAULT, "effective": usual, "permitted": usual}
    for name in SETS:
        value, default = sets[name], wanted.get(name, frozenset())
        more, less = sorted(value - default), sorted(default - value)
        told = "; ".join([*(["without " + " ".join(more)] if more else []), *(["with " + " ".join(less)] if less else [])])
        reason = "" if default else "what a program gets without asking is what an escape begins with"
        yield Finding("capabilities", name, _names(value), told or _names(default), value == default, reason)


def _names(names: frozenset[str]) -> str:
    if not names:
        return "none"
    lacking = sorted(capabilities.of_this_kernel() - names)
    if len(lacking) < len(names):
        return f"all but {' '.join(lacking)}" if lacking else "all"
    return f"{len(names)}: {' '.join(sorted(names))}"


def _filters(facts: ProcessFacts, host: ProcessFacts) -> Iterator[Finding]:
    more = max(facts.seccomp_filters - host.seccomp_filters, 0)
    count = "" if facts.seccomp == "off" or more < 2 else f", {more} of them its own"
    reason = "system calls that no container needs are refused"
    yield Finding("filters", "seccomp", facts.seccomp + count, "filter", facts.seccomp == "filter", reason)
    yield _told("filters", "no new privileges", "yes" if facts.no_new_privileges else "no", "no", "with it, `su` and `sudo` do not work")
    label = facts.security_label or "none"
    yield _told("filters", "security label", label, host.security_label or "none")


def _files(confined: Confinement) -> Iterator[Finding]:
    mounts = confined.facts.mounts
    if mounts is None:
        yield Finding("files", "mounts", _UNREADABLE, "", None)
        return
    at = {mount.target: mount for mount in mounts}
    root = at.get("/")
    if root is not None:
        yield _told("files", "/", "read-only" if root.read_only else "writable", "writable", "changes go to a layer of the container's own")
    for place, (fstype, read_only, reason) in defaults.MOUNTS.items():
        mount = at.get(place)
        value = "not mounted" if mount is None else f"{mount.fstype}{', read-only' if mount.read_only else ''}"
        yield _told("files", place, value, f"{fstype}{', read-only' if read_only else ''}", reason)
    for paths, state in ((defaults.MASKED, MASKED_STATE), (defaults.READ_ONLY, READ_ONLY_STATE)):
        for path, reason in paths.items():
            value = confined.paths[path]
            yield Finding("files", path, value, state, value in (state, ABSENT) if value != OPEN else False, reason)


def _devices(devices: Sequence[tuple[str, str]] | None) -> Iterator[Finding]:
    if devices is None:
        yield Finding("devices", "/dev", _UNREADABLE, "", None)
        return
    known = {name: f"c {major}:{minor}" for name, (major, minor, _) in defaults.DEVICES.items()}
    reasons = {name: reason for name, (_, _, reason) in defaults.DEVICES.items()}
    found = dict(devices)
    for name, default in known.items():
        yield _told("devices", name, found.get(name, "not there"), default, reasons[name])
    others = " ".join(name for name in found if name not in known)
    yield _told("devices", "others", others or "none", "none", "a device is the machine's, whoever uses it")


def _limits(limits: Mapping[str, str] | None, level: str) -> Iterator[Finding]:
    if limits is None:
        same = level != ROOT
        yield Finding("limits", "all", _NO_CONTROL_GROUP, _NO_CONTROL_GROUP if same else "its own", same, "`doctor` tells why")
        return
    for name, value in limits.items():
        yield _told("limits", name, value, NO_LIMIT)
