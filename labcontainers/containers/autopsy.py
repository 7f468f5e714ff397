"""Why a container died, on one screen: its exit code in words, memory, times, the last lines of its log, and what to try next.

It must not read anything: it is a value, made of what is known (containers.autopsies looks).
"""

from __future__ import annotations

import html
import shlex
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from labcontainers.containers.exit_codes import explained, signal_of
from labcontainers.markup import NO_FORMULAS
from labcontainers.units import format_duration, format_memory

LINES = 10
_BY_OTHERS = "nobody sent it by this engine: another process of this machine did, or the machine itself lacked memory (see dmesg)"
# what busybox' ping, traceroute and arping say of socket(SOCK_RAW)
_NO_RAW_SOCKET = "permission denied (are you root?)"
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True, repr=False)
class Autopsy:
    """What is known of a container's end. Times are seconds since the epoch, None where nobody tells; sizes are bytes.

    `memory_peak_bytes` is the most that its control group had at once. `there` says whether the container still exists; `signals` are
    those that were sent to it by `kill`, `stop` or a time limit, the last one last. `program` is what is written before a command.
    """

    name: str
    image: str
    command: tuple[str, ...]
    status: str
    exit_code: int
    oom_killed: bool = False
    error: str = ""
    memory_limit_bytes: int | None = None
    memory_peak_bytes: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    duration_s: float | None = None
    restart_count: int = 0
    restart_policy: str = "no"
    health: str = ""
    health_said: str = ""
    lines: tuple[str, ...] = ()
    signals: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    there: bool = True
    program: str = "%container"

    @property
    def died(self) -> bool:
        """Whether it has ended with a failure, or could not be started."""
        return self.status not in ("running", "paused", "restarting") and (self.exit_code != 0 or self.oom_killed or bool(self.error))

    @property
    def verdict(self) -> str:
        """One line: what became of it."""
        if self.status in ("running", "paused", "restarting"):
            return f"{self.name} is {self.status}"
        if self.started_at is None and self.duration_s is None:
            return f"{self.name} could not be started" if self.error else f"{self.name} was never started"
        number = signal_of(self.exit_code)
        why = ", out of memory" if self.oom_killed else f", {number.name}" if number else ""
        return f"{self.name} ended with exit code {self.exit_code}{why}" if self.died else f"{self.name} ended well"

    @property
    def explanation(self) -> str:
        """Why, as far as the exit code and what is written down tell it; "" where only the program knows."""
        told = explained(self.exit_code, oom_killed=self.oom_killed) if self.died else ""
        if self.error and (self.started_at is None or not told or self.oom_killed):
            return self.error
        if self.exit_code == 128 + signal.SIGKILL and not self.oom_killed:
            whence = "`kill`, `stop` or a time limit of this engine sent it" if signal.SIGKILL in self.signals else _BY_OTHERS
            return f"{told}. Its memory limit was not the cause; {whence}"
        return told

    @property
    def memory(self) -> str:
        """Limit and peak, as far as they are known."""
        peak = "" if self.memory_peak_bytes is None else f"at most {format_memory(self.memory_peak_bytes)} used"
        limit = "" if self.memory_limit_bytes is None else f"limit {format_memory(self.memory_limit_bytes)}"
        return ", ".join(filter(None, (limit, peak)))

    @property
    def times(self) -> str:
        """When it started and ended, and how long it ran."""
        ran_s = self.duration_s
        if self.started_at and self.finished_at:
            ran_s = max(self.finished_at - self.started_at, 0.0)
        shown = [time.strftime(_TIME, time.localtime(at)) for at in (self.started_at, self.finished_at) if at]
        return ", ".join(filter(None, (" to ".join(shown), f"ran {format_duration(ran_s)}" if ran_s is not None else "")))

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Commands to try, the likeliest first."""
        return tuple(f"{self.program} {step}" for step in self._steps())

    def _steps(self) -> Iterator[str]:
        name, image, program = self.name, shlex.quote(self.image), self.command[0] if self.command else "sh"
        again = f"start -a {name}" if self.there else ""
        if not self.died:
            return
        if self.oom_killed:
            more = f"{max(2 * (self.memory_limit_bytes or 1 << 28) >> 20, 6)}m"
            yield f"update --memory {more} --memory-swap {more} {name}" if self.there else f"run -m {more} {image} …"
        elif self.exit_code == 127:
            yield f"image explore {image}"
            yield f"run --rm --entrypoint sh {image} -c {shlex.quote(f'echo $PATH; command -v {program}')}"
        elif self.exit_code == 126:
            yield f"run --rm --entrypoint sh {image} -c {shlex.quote(f'ls -ld {program}; head -n 1 {program}')}"
        elif self.exit_code == 125 or (self.started_at is None and self.error):
            yield f"explain {name}" if self.there else "doctor"
        elif self.exit_code == 128 + signal.SIGKILL:
            yield f"events --since 1h --until 0s --filter container={name}"
        elif self.exit_code == 128 + signal.SIGSYS:
            yield f"run --security-opt seccomp=unconfined {image} …"
        elif any(_NO_RAW_SOCKET in line for line in self.lines):
            yield f"run --cap-add NET_RAW {image} {shlex.join(self.command)}".rstrip()
        if self.there:
            if self.restart_count:
                yield f"update --restart no {name}"
            yield f"logs --tail 50 {name}" if self.lines else f"diff {name}"
            yield again

    def rows(self) -> list[tuple[str, str]]:
        """What is known, each under its name; without the log and the next steps."""
        health = f"{self.health}: {self.health_said}" if self.health_said else self.health
        restarts = f"{self.restart_count} (policy {self.restart_policy})" if self.restart_count or self.restart_policy != "no" else ""
        known = [
            ("why", self.explanation),
            ("memory", self.memory if self.oom_killed or self.memory_limit_bytes is not None else ""),
            ("time", self.times),
            ("restarts", restarts),
            ("health", health),
            ("command", shlex.join(self.command)),
            ("image", self.image),
            *(("warning", text) for text in self.warnings),
        ]
        return [(key, value) for key, value in known if value]

    def __repr__(self) -> str:
        lines = [self.verdict, *(f"  {key:<9} {value}" for key, value in self.rows())]
        if self.lines:
            lines += ["  last output", *(f"    {line}" for line in self.lines)]
        if self.next_steps:
            lines += ["  try", *(f"    {step}" for step in self.next_steps)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = "#c62828" if self.died else "#2e7d32"
        place = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"
        key_cell, cell = f'style="{place};opacity:.7;white-space:nowrap"', f'style="{place};white-space:pre-wrap"'
        rows = "".join(f"<tr><td {key_cell}>{key}</td><td {cell}>{html.escape(value)}</td></tr>" for key, value in self.rows())
        parts = [("last output", self.lines), ("try", self.next_steps)]
        for title, texts in parts:
            body = "<br>".join(html.escape(text) for text in texts)
            if texts:
                rows += f"<tr><td {key_cell}>{title}</td><td {cell}>{body}</td></tr>"
        head = f'<span style="color:{colour}">●</span> <b>{html.escape(self.verdict)}</b>'
        table = f'<table style="margin:2px 0 0 0;color:inherit">{rows}</table>'
        return f'<div {NO_FORMULAS} style="font-family:monospace;font-size:90%">{head}{table}</div>'
