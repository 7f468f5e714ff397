"""Reads the processes of a container from proc(5), one look after the other, so that each has its share of the CPU since the last.

It must not know containers, nor keep a thread. What this user may not see is None, and told in a note.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache

from labcontainers.containers.isolation.process_facts import IdMap, read_id_map, read_namespaces
from labcontainers.containers.usage.ports import Listening, listening
from labcontainers.containers.usage.proc_usage import members, start_time_ns
from labcontainers.containers.usage.process_tree import ProcessRow, ProcessTree, ThreadRow
from labcontainers.kernel.cgroup_files import read

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting for a device",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "I": "idle",
    "X": "dead",
}
MOST_PROCESSES = 1000
MOST_THREADS = 100
_LONGEST_COMMAND = 4096
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat, counted from the one after the command's name (proc_pid_stat(5) counts them from 3).
_STATE, _PARENT, _USER, _SYSTEM, _THREADS, _START = 0, 1, 11, 12, 17, 19

# When a process or thread was seen last: (seconds, ticks of CPU), by id and the tick of its start.
Seen = Mapping[tuple[int, int], tuple[float, int]]


def read_tree(name: str, init: int, previous: ProcessTree | None = None, proc: str = "/proc") -> ProcessTree:
    """The processes of the container `name` whose first process is `init`; rates are since `previous`, else since each one's start."""
    return _Look(name, init, previous.seen if previous is not None else {}, proc).tree()


class _Look:
    """One look at /proc."""

    def __init__(self, name: str, init: int, seen: Seen, proc: str) -> None:
        self._name = name
        self._init = init
        self._proc = proc
        self._before = seen
        self._now = time.monotonic()
        self._seen: dict[tuple[int, int], tuple[float, int]] = {}
        self._own = read_namespaces(init, proc)
        self._depth = len(_ids(_status(init, proc).get("NSpid", "")))

    def tree(self) -> ProcessTree:
        pids = sorted(members(self._init, self._proc))
        spaces = {pid: read_namespaces(pid, self._proc) for pid in pids[:MOST_PROCESSES]}
        ports = listening({pid: found.get("net") for pid, found in spaces.items()}, self._private_network(), self._proc)
        rows = {row.pid: row for pid, own in spaces.items() if (row := self._row(pid, own, ports)) is not None}
        return ProcessTree(self._name, tuple(_in_order(rows)), tuple(self._notes(len(pids), rows, ports)), self._seen)

    def _private_network(self) -> int | None:
        """The container's network namespace, unless it is that of who looks."""
        own = self._own.get("net")
        return None if own == read_namespaces(os.getpid(), self._proc).get("net") else own

    def _row(self, pid: int, spaces: Mapping[str, int | None], ports: Listening) -> ProcessRow | None:
        """One process; None when it is gone."""
        base = f"{self._proc}/{pid}"
        command, fields = _stat(f"{base}/stat")
        status = _status(pid, self._proc)
        if not fields or "Uid" not in status:
            return None
        inside = _ids(status.get("NSpid", ""))
        uid = int(status["Uid"].split()[1])
        words = _printable((read(f"{base}/cmdline") or "")[:_LONGEST_COMMAND].rstrip("\0").replace("\0", " "))
        count = int(fields[_THREADS])
        return ProcessRow(
            pid=pid,
            pid_inside=inside[self._depth - 1] if 0 < self._depth <= len(inside) else None,
            parent=int(fields[_PARENT]),
            user=_user_inside(uid, read_id_map(pid, self._proc)),
            user_outside=_user(uid),
            state=STATES.get(fields[_STATE], fields[_STATE]),
            cpu_percent=self._share(pid, fields),
            memory_bytes=_resident_bytes(read(f"{base}/statm") or ""),
            thread_count=count,
            threads=tuple(self._threads(pid)) if count > 1 else (),
            namespaces=self._differing(spaces),
            ports=None if pid in ports.hidden else ports.by_process.get(pid, ()),
            command=words or f"[{command}]",
        )

    def _differing(self, spaces: Mapping[str, int | None]) -> tuple[str, ...] | None:
        """The kinds of namespaces that are not the container's own; None where they cannot be known."""
        known = {kind: inode for kind, inode in spaces.items() if inode is not None}
        if not known or all(inode is None for inode in self._own.values()):
            return None
        return tuple(kind for kind, inode in known.items() if self._own.get(kind) not in (None, inode))

    def _threads(self, pid: int) -> Iterator[ThreadRow]:
        folder = f"{self._proc}/{pid}/task"
        try:
            tids = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
        except OSError:
            return
        for tid in tids[:MOST_THREADS]:
            name, fields = _stat(f"{folder}/{tid}/stat")
            if fields:
                # the first has its process' id: told apart by a sign
                yield ThreadRow(tid, name, STATES.get(fields[_STATE], fields[_STATE]), self._share(-tid, fields))

    def _share(self, number: int, fields: list[str]) -> float:
        """Percent of one CPU."""
        key = number, int(fields[_START])
        ticks = int(fields[_USER]) + int(fields[_SYSTEM])
        self._seen[key] = self._now, ticks
        before = self._before.get(key)
        if before is not None:
            seconds, used = self._now - before[0], ticks - before[1]
        else:
            seconds, used = _lived_s(abs(number), self._proc), ticks
        return round(100 * used / _TICKS / seconds, 1) if seconds > 0 else 0.0

    def _notes(self, count: int, rows: Mapping[int, ProcessRow], ports: Listening) -> Iterator[str]:
        if count > MOST_PROCESSES:
            yield f"only the first {MOST_PROCESSES} of {count} processes are shown"
        if hidden := len(ports.hidden & rows.keys()):
            yield f"the ports of {_processes(hidden)} are not known: this user may not look at their open files (/proc/PID/fd)"
        if unknown := sum(row.namespaces is None for row in rows.values()):
            yield f"the namespaces of {_processes(unknown)} are not known: this user may not look at them (/proc/PID/ns)"
        if ports.nobodys:
            yield f"listened at by no process that was seen: {', '.join(map(str, ports.nobodys))}"


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _in_order(rows: Mapping[int, ProcessRow]) -> Iterator[ProcessRow]:
    """Parents before their children, with the depth of each; who has no parent among them stands at the top."""
    children: dict[int, list[ProcessRow]] = {}
    for row in rows.values():
        children.setdefault(row.parent if row.parent in rows and row.parent != row.pid else 0, []).append(row)
    waiting = [(row, 0) for row in reversed(children.get(0, ()))]
    while waiting:
        row, depth = waiting.pop()
        yield row.at(depth)
        waiting += [(child, depth + 1) for child in reversed(children.get(row.pid, ()))]


def _stat(path: str) -> tuple[str, list[str]]:
    """The command's name, which may hold anything, and the fields after it."""
    before, _, after = (read(path) or "").rpartition(")")
    fields = after.split()
    return (_printable(before.partition("(")[2]), fields) if len(fields) > _START else ("", [])


def _printable(text: str) -> str:
    """A program may call itself anything, also with letters that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def _status(pid: int, proc: str) -> dict[str, str]:
    lines = (read(f"{proc}/{pid}/status") or "").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _ids(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def _resident_bytes(statm: str) -> int:
    fields = statm.split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _lived_s(pid: int, proc: str) -> float:
    started = start_time_ns(pid, proc)
    return 0.0 if started is None else max(time.time() - started / 1e9, 0.01)


def _user_inside(uid: int, id_map: IdMap | None) -> str:
    """An id as the process' own user namespace has it; "" where that is not known."""
    for inside, outside, count in id_map or ():
        if outside <= uid < outside + count:
            number = inside + uid - outside
            return "root" if number == 0 else str(number)
    return ""


@lru_cache(maxsize=256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
