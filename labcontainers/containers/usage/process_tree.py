"""The processes of a container as a tree, as they were at one moment, with a text and an HTML form; it must not read anything."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from labcontainers.markup import NO_FORMULAS, preformatted
from labcontainers.units import format_memory

UNKNOWN = "?"
_TITLES = ("PID", "INSIDE", "USER", "STATE", "CPU %", "RSS", "THREADS", "OTHER NAMESPACES", "PORTS", "COMMAND")
_LONGEST = 100
# rows that a brief form has
_KEPT = 8
_MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread: its id on this machine, the name that the kernel knows it by, its state in words, percent of one CPU."""

    tid: int
    name: str
    state: str
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process. `pid` and `parent` are this machine's, `pid_inside` the container's; `memory_bytes` is what is resident (RSS).

    `user` is a name or id inside, "" where that is not known, `user_outside` this machine's. `threads` are listed where there are several.
    `namespaces` are those that differ from those of the container's first process, `ports` what it listens at; None where this user may
    not look. `depth` is the number of its ancestors in the tree.
    """

    pid: int
    pid_inside: int | None
    parent: int
    user: str
    user_outside: str
    state: str
    cpu_percent: float
    memory_bytes: int
    thread_count: int
    threads: tuple[ThreadRow, ...]
    namespaces: tuple[str, ...] | None
    ports: tuple[Any, ...] | None
    command: str
    depth: int = 0

    def at(self, depth: int) -> ProcessRow:
        """The same at another depth of the tree."""
        return replace(self, depth=depth)

    @property
    def user_text(self) -> str:
        """Both users, where they are not the same."""
        return self.user_outside if self.user in ("", self.user_outside) else f"{self.user} ({self.user_outside})"


@dataclass(frozen=True, repr=False)
class ProcessTree(Sequence[ProcessRow]):
    """All processes of the container `name`, parents before children; prints as a table. `notes` say what could not be
    seen, `id` is the container's.

    `again()` is another look, whose CPU is since this one (of a first look it is since each process' start); it raises Conflict once the
    container does not run, NotFound when it is gone.
    """

    name: str
    rows: tuple[ProcessRow, ...]
    notes: tuple[str, ...] = ()
    seen: Mapping[tuple[int, int], tuple[float, int]] = field(default_factory=dict, compare=False)
    id: str = field(default="", compare=False)
    look: Callable[[ProcessTree], ProcessTree] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def again(self) -> ProcessTree:
        """The processes as they are now."""
        return self if self.look is None else self.look(self)

    def process(self, pid: int) -> ProcessRow:
        """The process with this pid of the machine; raises KeyError."""
        for row in self.rows:
            if row.pid == pid:
                return row
        raise KeyError(pid)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [{**asdict(row), "ports": None if row.ports is None else list(map(str, row.ports))} for row in self.rows]
        return {"name": self.name, "processes": rows, "notes": list(self.notes)}

    def _summary(self) -> str:
        threads = sum(row.thread_count for row in self.rows)
        return f"{self.name}: {_count(len(self.rows), 'process', 'processes')}, {_count(threads, 'thread', 'threads')}"

    def _table(self) -> list[str]:
        """Lines of text; of very many processes the first."""
        table = [_TITLES, *(_cells(row) for row in self.rows[:_MOST_ROWS])]
        widths = [max(len(cells[column]) for cells in table) for column in range(len(_TITLES) - 1)]
        lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), cells[-1]]) for cells in table]
        left = len(self.rows) - _MOST_ROWS
        return [*(line.rstrip() for line in lines), *([f"… {left} more; to_dict() has all"] if left > 0 else [])]

    def __repr__(self) -> str:
        return "\n".join([self._summary(), *self._table(), *self.notes])

    def brief(self) -> list[str]:
        """The same in few lines, for what is kept many times: the first processes, and how many more there are."""
        table = [line.rstrip() for line in self._table()]
        more = len(self) - _KEPT
        return [self._summary(), *table[: 1 + _KEPT], *([f"… and {more} more"] if more > 0 else []), *self.notes]

    def _repr_html_(self) -> str:
        notes = "".join(f"<div style='opacity:.8'>{html.escape(note)}</div>" for note in self.notes)
        return f"<div {NO_FORMULAS}><b>{html.escape(self._summary())}</b>{preformatted(self._table())}{notes}</div>"


def _cells(row: ProcessRow) -> tuple[str, ...]:
    command = row.command if len(row.command) <= _LONGEST else f"{row.command[: _LONGEST - 1]}…"
    return (
        str(row.pid),
        UNKNOWN if row.pid_inside is None else str(row.pid_inside),
        row.user_text,
        row.state,
        f"{row.cpu_percent:.1f}",
        format_memory(row.memory_bytes),
        str(row.thread_count),
        _listed(row.namespaces),
        _listed(row.ports),
        "  " * row.depth + command,
    )


def _listed(values: Sequence[Any] | None) -> str:
    return UNKNOWN if values is None else ", ".join(map(str, values))


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
