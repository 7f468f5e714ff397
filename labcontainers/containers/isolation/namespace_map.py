"""Which processes share which namespaces, all over the machine: grouped by the inodes of /proc/PID/ns (namespaces(7)).

It must not know the engine: it is told which pids are whose first processes.
"""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.containers.isolation.process_facts import KINDS, command_of, processes, read_namespaces
from labcontainers.markup import TABLE

HOST = "host"
# Colours that can be told apart on white and on black, as red, green and blue; the host's own namespaces have none.
_COLOURS = ("56,139,253", "46,160,67", "219,109,40", "163,113,247", "219,97,162", "191,135,0", "57,197,207", "248,81,73")
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """Processes that have all their namespaces in common. `kind` is "host", "container" or "process"."""

    name: str
    kind: str
    pids: tuple[int, ...]
    namespaces: Mapping[str, int]


class NamespaceMap(Sequence[Subject]):
    """The host first, then containers, then what is in neither; prints as a table with a column for each kind of namespace."""

    def __init__(self, subjects: Sequence[Subject], unseen: int = 0) -> None:
        self.subjects = tuple(subjects)
        self.unseen = unseen
        self.kinds = tuple(kind for kind in KINDS if any(kind in subject.namespaces for subject in self.subjects))

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, index: Any) -> Any:
        return self.subjects[index]

    def subject(self, name: str) -> Subject:
        """The host, or a container by its name; raises KeyError."""
        for subject in self.subjects:
            if subject.name == name:
                return subject
        raise KeyError(name)

    def groups(self, kind: str) -> dict[int, tuple[str, ...]]:
        """The names of those in each namespace of this kind, by its inode."""
        found: dict[int, list[str]] = {}
        for subject in self.subjects:
            if kind in subject.namespaces:
                found.setdefault(subject.namespaces[kind], []).append(subject.name)
        return {inode: tuple(names) for inode, names in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "kinds": list(self.kinds),
            "subjects": [
                {"name": subject.name, "kind": subject.kind, "pids": list(subject.pids), "namespaces": dict(subject.namespaces)}
                for subject in self.subjects
            ],
            "unseen": self.unseen,
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def shades(self) -> dict[tuple[str, int], int]:
        """A number from 1 for each namespace that is not the host's, the same for those who share it; those of the host are left out."""
        host = next((subject.namespaces for subject in self.subjects if subject.kind == "host"), {})
        found: dict[tuple[str, int], int] = {}
        for kind in self.kinds:
            others = [inode for inode in self.groups(kind) if inode != host.get(kind)]
            found.update({(kind, inode): number for number, inode in enumerate(others, 1)})
        return found

    def _summary(self) -> str:
        shared = sum(len(names) > 1 for kind in self.kinds for names in self.groups(kind).values())
        total = sum(len(self.groups(kind)) for kind in self.kinds)
        unseen = f"; {self.unseen} processes of other users may not be looked at" if self.unseen else ""
        return f"{total} namespaces, {shared} of them shared by several{unseen}"

    def _cells(self, subject: Subject) -> list[str]:
        return [str(subject.namespaces.get(kind, "?")) for kind in self.kinds]

    def __repr__(self) -> str:
        shades = self.shades()
        rows = [["", "processes", *self.kinds]]
        for subject in self.subjects:
            marks = [
                f"{inode}{'' if inode == '?' else _mark(shades.get((kind, int(inode)), 0))}"
                for kind, inode in zip(self.kinds, self._cells(subject), strict=True)
            ]
            rows.append([subject.name, str(len(subject.pids)), *marks])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, f"{self._summary()} (letters tell those that are not the host's apart)"])

    def _repr_html_(self) -> str:
        shades = self.shades()
        cell = "text-align:left;padding:2px 10px;white-space:nowrap"
        head = "".join(f'<th style="{cell}">{html.escape(title)}</th>' for title in ("", "processes", *self.kinds))
        body = ""
        for subject in self.subjects:
            pids = ", ".join(map(str, subject.pids[:20])) + (" …" if len(subject.pids) > 20 else "")
            weight = "normal" if subject.kind == "process" else "bold"
            body += f'<tr><th scope="row" style="{cell};font-weight:{weight}">{html.escape(subject.name)}</th>'
            body += f'<td style="{cell}" title="pid {pids}">{len(subject.pids)}</td>'
            for kind, inode in zip(self.kinds, self._cells(subject), strict=True):
                shade = 0 if inode == "?" else shades.get((kind, int(inode)), 0)
                others = [name for name in self.groups(kind).get(int(inode), ()) if name != subject.name] if inode != "?" else []
                title = f"{kind} namespace, shared with {', '.join(others)}" if others else f"{kind} namespace of its own"
                tint = f";background:rgba({_COLOURS[(shade - 1) % len(_COLOURS)]},.28)" if shade else ";opacity:.75"
                body += f'<td style="{cell}{tint}" title="{html.escape(title)}">{inode}{_mark(shade)}</td>'
            body += "</tr>"
        return (
            f'<div style="max-height:34em;overflow:auto">{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
            f"<div style='opacity:.8'>{html.escape(self._summary())}; equal colours in a column are one namespace</div>"
        )


def _mark(shade: int) -> str:
    """A letter for a namespace that is not the host's: a, b, … z, aa, ab …"""
    letters = ""
    while shade:
        shade, digit = divmod(shade - 1, 26)
        letters = chr(97 + digit) + letters
    return f" {letters}" if letters else ""


def namespace_map(own_pid: int, containers: Mapping[int, str], proc: str = "/proc") -> NamespaceMap:
    """The map of all processes that this user may look at; `containers` are names by the pid of their first process.

    Who has every namespace in common with the process `own_pid` is of the host, who has those of a container's first process of that.
    """
    found: dict[int, dict[str, int]] = {}
    unseen = 0
    for pid in processes(proc):
        namespaces = read_namespaces(pid, proc)
        known = {kind: inode for kind, inode in namespaces.items() if inode is not None}
        if known:
            found[pid] = known
        elif namespaces:
            unseen += 1
    host = found.get(own_pid, {})
    by_key: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for pid, namespaces_of in found.items():
        by_key.setdefault(tuple(namespaces_of.items()), []).append(pid)
    subjects: list[Subject] = []
    for key, pids in by_key.items():
        firsts = [pid for pid in pids if pid in containers]
        if dict(key) == host:
            subjects.append(Subject(HOST, "host", tuple(pids), dict(key)))
            subjects += [Subject(containers[pid], "container", (pid,), dict(key)) for pid in firsts]
        elif firsts:
            # several containers may have all in common: whose the others are, nobody can tell
            subjects += [Subject(containers[pid], "container", tuple(pids) if len(firsts) == 1 else (pid,), dict(key)) for pid in firsts]
        else:
            subjects.append(Subject(_commands(pids, proc), "process", tuple(pids), dict(key)))
    order = {"host": 0, "container": 1, "process": 2}
    return NamespaceMap(sorted(subjects, key=lambda subject: (order[subject.kind], subject.name, subject.pids)), unseen)


def _commands(pids: Sequence[int], proc: str) -> str:
    counted = Counter(command_of(pid, proc) for pid in pids)
    shown = [name if count == 1 else f"{name} ×{count}" for name, count in counted.most_common(_NAMES_SHOWN) if name]
    return ", ".join([*shown, *(["…"] if len(counted) > _NAMES_SHOWN else [])]) or "a process that has ended"
