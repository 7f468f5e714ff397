"""A container that is not there: a CardSource that plays one, for the tests of the card and for looking at it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labcontainers.containers.logs import LogLine
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import LabError
from labcontainers.widgets.messages import Facts, PortLink, State
from labcontainers.widgets.source import removed

ESC = "\x1b["
TALK = (
    (1, f"{ESC}32mINFO{ESC}0m  listening on {ESC}4mhttp://0.0.0.0:80{ESC}0m"),
    (1, f"{ESC}32mINFO{ESC}0m  GET / {ESC}32m200{ESC}0m 1.2 ms"),
    (1, f"{ESC}32mINFO{ESC}0m  GET /style.css {ESC}36m304{ESC}0m 0.4 ms"),
    (2, f"{ESC}33mWARN{ESC}0m  cache is cold: {ESC}1m17{ESC}0m misses in the last minute"),
    (1, f"{ESC}34mDEBUG{ESC}0m {ESC}38;5;208mworker-3{ESC}0m picked up job {ESC}38;2;180;120;255m#a41f{ESC}0m"),
    (2, f"{ESC}1;31mERROR{ESC}0m could not reach db:5432 (connection refused), retrying"),
)


@dataclass
class FakeContainer:
    """Writes `lines_per_s` lines, uses some CPU and memory, and does what its card says. `stop_takes_s` seconds pass before it stops."""

    name: str = "web"
    lines_per_s: float = 2.0
    stop_takes_s: float = 0.3
    fails_to: str = ""
    memory_limit_bytes: int | None = 256 * 2**20
    warnings: tuple[str, ...] = ()
    ports: tuple[PortLink, ...] = ()
    say: Callable[[int], tuple[int, str]] = lambda number: TALK[number % len(TALK)]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._status = "running"
        self._started_at = time.time() - 187
        self._finished_at: float | None = None
        self._from = time.monotonic()
        self._written = 0
        self._queue: list[LogLine] = []
        self.acts: list[str] = []
        self.closed = False
        self.reads = 0

    def facts(self) -> Facts:
        return {
            "id": ("c0ffee" + self.name.encode().hex()).ljust(64, "0"),
            "name": self.name,
            "image": "lesson/clock:latest",
            "command": "/srv/clock.sh --tick 1",
            "created_at": self._started_at,
            "ports": list(self.ports),
            "level": "root",
            "level_means": "",
        }

    def state(self) -> State:
        if self._status == "removed":
            return removed()
        return {
            "status": self._status,
            "exit_code": 0,
            "oom_killed": False,
            "error": "",
            "started_at": self._started_at,
            "finished_at": self._finished_at,
            "warnings": list(self.warnings),
        }

    def sample(self) -> StatsSample | None:
        if self._status != "running":
            return None
        now = time.time()
        wave = 34 + 22 * math.sin(now / 5) + 9 * math.sin(now * 1.7)
        used = int((96 + 40 * math.sin(now / 17) + 6 * math.sin(now / 2)) * 2**20)
        steady = int(now * 3000)
        return StatsSample(
            time_ns=int(now * 1e9),
            cpu_percent=wave,
            cpu_ns=int(now * 3.4e8 + 1.1e9 * (1 - math.cos(now / 5))),
            memory_bytes=used,
            memory_limit_bytes=self.memory_limit_bytes,
            pids=3,
            block_read_bytes=0,
            block_write_bytes=steady,
            network_rx_bytes=steady * 4,
            network_tx_bytes=steady,
        )

    def write(self, *texts: str, stream: int = 1) -> None:
        """Let it say something now."""
        with self._lock:
            self._queue += [LogLine(time.time_ns(), stream, (text + "\n").encode()) for text in texts]

    def new_lines(self, limit: int) -> Sequence[LogLine]:
        self.reads += 1
        with self._lock:
            if self._status == "running":
                due = int((time.monotonic() - self._from) * self.lines_per_s)
                for number in range(self._written, due):
                    stream, text = self.say(number)
                    self._queue.append(LogLine(time.time_ns(), stream, (text + "\n").encode()))
                self._written = max(self._written, due)
            lines, self._queue = self._queue[:limit], self._queue[limit:]
        return lines

    def act(self, action: str) -> None:
        self.acts.append(action)
        time.sleep(self.stop_takes_s)
        if action == self.fails_to:
            raise LabError(f"cannot {action} {self.name}: the shim does not answer", "try again, or look at its log")
        with self._lock:
            if action == "restart":
                self._status, self._started_at = "running", time.time()
                self._from, self._written = time.monotonic(), 0
            else:
                self._queue.append(LogLine(time.time_ns(), 1, b"goodbye\n"))
                self._status, self._finished_at = {"stop": "exited", "remove": "removed"}[action], time.time()

    def close(self) -> None:
        self.closed = True
