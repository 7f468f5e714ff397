"""The processes of one session in the kernel's sense (setsid(2), credentials(7)): found, told a signal, and ended.

It must not know whose they are. It runs in a worker, which may signal what belongs to container ids. A process is told by its pid and
its start in clock ticks since boot, since pids are used again. Sources: proc_pid_stat(5), fields 6 and 22; pidfd_open(2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

_GRACE_S = 1.0
_STEP_S = 0.02


def now_ticks() -> int:
    """The present in clock ticks since boot, as starts of processes are told."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def members(leader: int, began_ticks: int, since_ticks: int) -> list[tuple[int, int]]:
    """Pid and start of each process of the session that `leader` began, without itself, that started at `since_ticks` or later.

    There are none when the leader's pid is another process' by now.
    """
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        session, start = _session_and_start(pid)
        if pid == leader and start != began_ticks:
            return []
        if pid != leader and session == leader and start >= max(began_ticks, since_ticks):
            found.append((pid, start))
    return found


def _session_and_start(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return -1, 0  # it has ended meanwhile
    return (-1 if fields[0] in (b"Z", b"X") else int(fields[3])), int(fields[19])


def signal_members(leader: int, began_ticks: int, since_ticks: int, number: int, with_leader: bool = False) -> int:
    """Send a signal to members(), `with_leader` to that one just before the others, as a terminal's key does; how many got it."""
    found = members(leader, began_ticks, since_ticks)
    return sum(_signal(pid, start, number) for pid, start in ([(leader, began_ticks)] if with_leader else []) + found)


def end_members(leader: int, began_ticks: int) -> int:
    """SIGHUP for all that its leader left behind, and SIGKILL after a second for what is still there; how many there were."""
    count = signal_members(leader, began_ticks, 0, signal.SIGHUP)
    end = time.monotonic() + _GRACE_S
    while count and members(leader, began_ticks, 0) and time.monotonic() < end:
        time.sleep(_STEP_S)
    while count and signal_members(leader, began_ticks, 0, signal.SIGKILL) and time.monotonic() < end + _GRACE_S:
        time.sleep(_STEP_S)
    return count


def _signal(pid: int, start: int, number: int) -> bool:
    """Through a descriptor, so that no other process that got this pid meanwhile is hit."""
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        try:
            if _session_and_start(pid)[1] == start:
                signal.pidfd_send_signal(fd, number)
                return True
        finally:
            os.close(fd)
    return False
