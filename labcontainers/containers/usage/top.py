"""The processes of a running container, as `docker top` shows them: with this machine's pids; it must not change anything.

Without options the table is made from proc(5) alone; with options the machine's own ps(1) makes it, and the container's rows are kept.
"""

from __future__ import annotations

import html
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from labcontainers.containers.usage.proc_usage import members, start_time_ns
from labcontainers.errors import Failed, InvalidArgument, Unsupported
from labcontainers.markup import TABLE

TITLES = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_TICKS = os.sysconf("SC_CLK_TCK")
_DAY_S = 86400


class Processes(Sequence[tuple[str, ...]]):
    """Rows of text under `titles`; prints as a table. `to_dict()` is docker-py's {"Titles": …, "Processes": …}."""

    def __init__(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.titles = tuple(titles)
        self.rows = [tuple(row) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def to_dict(self) -> dict[str, list[str] | list[list[str]]]:
        """Docker's document."""
        return {"Titles": list(self.titles), "Processes": [list(row) for row in self.rows]}

    def __repr__(self) -> str:
        table = [self.titles, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.titles) - 1)]
        lines = ("   ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in table)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:2px 14px 2px 0;white-space:pre"'
        head = "".join(f"<th {cell}>{html.escape(title)}</th>" for title in self.titles)
        body = "".join("<tr>" + "".join(f"<td {cell}>{html.escape(text)}</td>" for text in row) + "</tr>" for row in self.rows)
        return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def processes(init: int, options: Sequence[str] = ()) -> Processes:
    """The processes of the container whose first process is `init`. `options` are those of ps(1), such as ["-o", "pid,cmd"].

    Raises InvalidArgument for options that ps does not take or that leave the pid out, Unsupported when there is no ps.
    """
    pids = sorted(members(init))
    return _by_ps(pids, options) if options else Processes(TITLES, [row for pid in pids if (row := _row(pid)) is not None])


def _by_ps(pids: list[int], options: Sequence[str]) -> Processes:
    program = shutil.which("ps")
    if program is None:
        raise Unsupported("top with options needs the program ps on this machine", "install procps, or leave the options out")
    answer = subprocess.run([program, *options], capture_output=True, text=True, errors="replace", check=False, env={"PATH": os.defpath})
    lines = answer.stdout.splitlines()
    if answer.returncode or not lines:
        said = (answer.stderr.strip().splitlines() or ["nothing"])[0]
        raise InvalidArgument(f"ps {' '.join(options)}: {said.removeprefix('error: ')}", "options are those of ps(1), such as -o pid,cmd")
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidArgument("couldn't find PID field in ps output", "let ps show the pid: -o pid,cmd")
    column, wanted = titles.index("PID"), {str(pid) for pid in pids}
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    if any(len(row) <= column for row in rows):
        raise Failed(f"ps {' '.join(options)} printed lines without a pid", "leave the options out")
    return Processes(titles, [[*row, *[""] * (len(titles) - len(row))] for row in rows if row[column] in wanted])


def _row(pid: int) -> list[str] | None:
    """One process as `ps -ef` tells it; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = rest.split()
    started_at = (start_time_ns(pid) or 0) / 1e9
    cpu_s = (int(fields[11]) + int(fields[12])) // _TICKS
    lived_s = max(time.time() - started_at, 1.0)
    command = words or f"[{name.decode('utf-8', 'replace')}]"
    clock = f"{cpu_s // 3600:02d}:{cpu_s // 60 % 60:02d}:{cpu_s % 60:02d}"
    share = str(int(100 * cpu_s / lived_s))
    return [_user(uid), str(pid), fields[1].decode(), share, _moment(started_at), _terminal(int(fields[4])), clock, command]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _moment(at: float) -> str:
    """The time of day, or the day when that was long ago, as ps(1) has it under STIME."""
    return time.strftime("%H:%M" if time.time() - at < _DAY_S else "%b%d", time.localtime(at))


def _terminal(number: int) -> str:
    """Field 7 of proc_pid_stat(5): the device number of the controlling terminal."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    return f"pts/{minor + (major - 136) * 256}" if 136 <= major <= 143 else "?"
