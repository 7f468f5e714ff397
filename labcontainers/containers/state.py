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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, NotFound
from labcontainers.runtime import cleanup
from labcontainers.runtime.handshake import boot_id, start_time, write_file
from labcontainers.runtime.process import start_failure

_SETTLE_S = 10.0
# The words of a container that has a shim; "restarting" is one whose next start is due.
_ALIVE = ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """`status` is Docker's word; times are seconds since the epoch or None; `pid` is 0 unless it runs.

    `health` is "" where nothing is checked, `log_lost_bytes` what a full disk kept out of the log, `memory_peak_bytes` the most memory that
    the control group of one that failed had, None where nobody tells. `unattended` says that no shim
    has seen this boot of the machine, or the end: then a restart policy is for the next engine to follow.
    """

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    restart_count: int = 0
    health: str = ""
    failing_streak: int = 0
    log_lost_bytes: int = 0
    memory_peak_bytes: int | None = None
    stopped_by_hand: bool = False
    unattended: bool = False

    @property
    def running(self) -> bool:
        """Whether it lives on, as Docker has it: also while it is paused, or waits for its next start."""
        return self.status in _ALIVE


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


def shims_lock(directory: Path) -> FileIO:
    """The file that a shim holds locked for its whole life, to wait for its end even when the directory is gone by then."""
    return FileIO(directory / "lock")


def wait_until_shim_ended(lock: FileIO, timeout_s: float = _SETTLE_S) -> bool:
    """Block until the shim whose shims_lock() this is has ended; False when it has not after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
            continue
        fcntl.flock(lock.fileno(), fcntl.LOCK_UN)
        return True


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


def read_state(
    directory: Path, name: str, *, boot: str = "", on_lost: Callable[[ContainerState], None] = lambda state: None
) -> ContainerState:
    """The state of the container in `directory`. One whose shim died is ended and recorded as such first, and `on_lost` told of that once.

    A container that is being started or ended by its shim right now is told by the last state that was written. `boot` is the id
    of this machine's boot, if it is not to be looked up. Raises NotFound when the container is gone.
    """
    boot = boot or _this_boot()
    values = read_values(directory, name)
    if values.get("status") in _ALIVE and not shim_alive(directory):
        # The shim writes the end before it lets the lock go, so what is written now is the truth.
        values = read_values(directory, name)
        if values.get("status") in _ALIVE:
            try:
                return _bury(directory, boot, on_lost)
            except FileNotFoundError:
                raise gone(name) from None
    return _state(values, boot)


def read_values(directory: Path, name: str) -> dict[str, Any]:
    """What the container's shim wrote down last, empty before its first start; raises NotFound when the container is gone."""
    values = _load(directory)
    if not values and not directory.is_dir():
        raise gone(name)
    return values


def gone(name: str) -> NotFound:
    """The error that tells that there is no such container any more."""
    return NotFound(f"no such container: {name}", "`ps -a` lists all containers")


def _state(values: dict[str, Any], boot: str) -> ContainerState:
    failure = values.get("error") or ""
    health = values.get("health") or {}
    return ContainerState(
        status=values.get("status", "created"),
        pid=values.get("pid", 0) if values.get("status") in ("running", "paused") else 0,
        exit_code=values.get("exit_code", 0),
        oom_killed=values.get("oom_killed", False),
        error=start_failure(failure).message if isinstance(failure, dict) else failure,
        started_at=values.get("started_at"),
        finished_at=values.get("finished_at"),
        restart_count=values.get("restart_count", 0),
        health=health.get("status", ""),
        failing_streak=health.get("streak", 0),
        log_lost_bytes=values.get("log_lost_bytes", 0),
        memory_peak_bytes=values.get("memory_peak_bytes"),
        stopped_by_hand=values.get("stopped_by_hand", False),
        unattended=bool(values.get("lost")) or values.get("boot_id", boot) != boot,
    )


def settle(directory: Path, name: str, on_lost: Callable[[ContainerState], None] = lambda state: None) -> ContainerState:
    """The state once no shim is just starting or ending the container; blocks meanwhile. Raises Conflict after ten seconds, NotFound."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        state = read_state(directory, name, on_lost=on_lost)
        if state.running:
            return state
        if not shim_alive(directory):
            return read_state(directory, name, on_lost=on_lost)
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


def write_failure(directory: Path, message: str, **more: Any) -> None:
    """Record why a container that should have been started was not, and what `more` its state is to say; raises OSError."""
    values = _load(directory)
    if isinstance(failure := values.get("error"), dict) and "timings_us" in failure:
        # how far the container's first process came is known, though the reason that is told is another
        values["timings_us"] = failure["timings_us"]
    values = {**values, "error": message, "lost": False, "boot_id": _this_boot(), **more}
    write_file(str(directory / "state.json"), json.dumps(values))


@lru_cache(maxsize=1)
def _this_boot() -> str:
    return boot_id()


def _bury(directory: Path, boot: str, on_lost: Callable[[ContainerState], None]) -> ContainerState:
    """End what is left of a container whose shim died, and write that down once: nobody saw its true exit code.

    It is 137 (SIGKILL) where the shim alone died, as its container dies with it, and 255 after a restart of the machine, as in Docker.
    """
    with FileIO(directory / "lock") as lock:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except BlockingIOError:
            # Somebody else is at it, or a shim begins: who has the lock writes.
            mine = False
        values = _load(directory)
        if values.get("status") not in _ALIVE:
            return _state(values, boot)
        same_boot = values.get("boot_id") == boot
        if same_boot:
            _kill(values)
        cleanup.remove_cgroups(read_start(directory).get("cgroups", {}))
        buried = {**values, "status": "exited", "finished_at": time.time(), "lost": True}
        buried["error"] = "its shim died" if same_boot else "the machine was restarted while it ran"
        if values["status"] != "restarting":
            buried["exit_code"] = 137 if same_boot else 255
        if values.get("health"):
            buried["health"] = {**values["health"], "status": "unhealthy"}
        if mine:
            write_file(str(directory / "state.json"), json.dumps(buried))
    state = _state(buried, boot)
    if mine and values["status"] != "restarting":
        on_lost(state)
    return state


def _kill(values: dict[str, Any]) -> None:
    """Kill the container's first process, if it is still the one that was written down, and wait until it is dead."""
    pid = values.get("pid", 0)
    if pid and start_time(pid) == values.get("pid_start"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if start_time(pid) != values.get("pid_start"):
                break
            time.sleep(0.005)
