"""What state a container is in, read from disk alone: the file that its shim writes, and the lock that its shim holds.

It must not start or stop anything, but for ending what a dead shim left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict
from labcontainers.runtime import cleanup
from labcontainers.runtime.handshake import boot_id, start_time, write_file

_SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class ContainerState:
    """`status` is Docker's word; times are seconds since the epoch or None; `pid` is 0 unless it runs."""

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused")


def shim_alive(directory: Path) -> bool:
    """Whether the container's shim lives: it holds a lock on the file `lock` that ends with it, whatever became of its pid."""
    try:
        with FileIO(directory / "lock") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def kept_from_shims(directory: Path, name: str) -> Iterator[None]:
    """Hold the lock of a container that has no shim, so that none begins meanwhile; raises Conflict when it has one."""
    with FileIO(directory / "lock") as file:
        for attempt in range(200):
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # Whoever asks whether there is a shim holds the lock for a moment, and a shim does after it told of the end.
                if attempt == 199:
                    raise Conflict(f"container {name} is being started or ended by another process", "try again") from None
                time.sleep(0.005)
        yield


def read_state(directory: Path) -> ContainerState:
    """The state of the container in `directory`. One whose shim died is ended and recorded as such first.

    A container that is being started or ended by its shim right now is told by the last state that was written.
    """
    values = _load(directory)
    if values.get("status") in ("running", "paused") and not shim_alive(directory):
        # The shim writes the end before it lets the lock go, so what is written now is the truth.
        values = _load(directory)
        if values.get("status") in ("running", "paused"):
            values = _bury(directory, values)
    failure = values.get("error") or ""
    return ContainerState(
        status=values.get("status", "created"),
        pid=values.get("pid", 0) if values.get("status") in ("running", "paused") else 0,
        exit_code=values.get("exit_code", 0),
        oom_killed=values.get("oom_killed", False),
        error=failure["message"] if isinstance(failure, dict) else failure,
        started_at=values.get("started_at"),
        finished_at=values.get("finished_at"),
    )


def settle(directory: Path, name: str) -> ContainerState:
    """The state once no shim is just starting or ending the container; blocks meanwhile. Raises Conflict after ten seconds."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        state = read_state(directory)
        if state.running:
            return state
        if not shim_alive(directory):
            return read_state(directory)
        if time.monotonic() > deadline:
            raise Conflict(f"container {name} is being started or ended by another process", "try again")
        time.sleep(0.001)


def read_start(directory: Path) -> dict[str, Any]:
    """What the engine wrote down at the last start: control groups, plan, warnings, network; empty before the first."""
    try:
        loaded: dict[str, Any] = json.loads((directory / "start.json").read_bytes())
    except FileNotFoundError:
        return {}
    return loaded


def _load(directory: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads((directory / "state.json").read_bytes())
    except FileNotFoundError:
        return {}
    return loaded


def _bury(directory: Path, values: dict[str, Any]) -> dict[str, Any]:
    """End what is left of a container whose shim died, and write that down: exit code 137, as nobody saw the true one."""
    pid = values.get("pid", 0)
    if values.get("boot_id") == boot_id() and pid and start_time(pid) == values.get("pid_start"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if start_time(pid) != values.get("pid_start"):
                break
            time.sleep(0.005)
    cleanup.remove_cgroups(read_start(directory).get("cgroups", {}))
    buried = {**values, "status": "exited", "exit_code": 137, "finished_at": time.time(), "error": "its shim died"}
    write_file(str(directory / "state.json"), json.dumps(buried))
    return buried
