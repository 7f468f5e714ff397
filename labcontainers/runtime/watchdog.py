"""A memory limit where no control group can hold one: it looks at the container's processes ten times a second, and ends it.

It must not import anything but what the launcher holds. It sees what processes have for themselves and share in memory (RssAnon and
RssShmem of proc_pid_status(5)), not the cache of files that the kernel keeps for them, and what is taken between two looks it sees late:
it keeps a forgotten program from taking the machine's memory, and is no wall against one that means to.
"""

from __future__ import annotations

import os

from labcontainers.kernel.lean import Callable
from labcontainers.runtime.handshake import Message
from labcontainers.runtime.reactor import Reactor, Timer

EVERY_S = 0.1
_MEBIBYTE = 1 << 20


class Watchdog:
    """Watches the descendants of this process, the shim, save `ignored`, from now on: calls `end` once they have more memory than allowed.

    That is `request["memory_watch"]` in bytes, which may change meanwhile.
    """

    def __init__(self, request: Message, reactor: Reactor, ignored: int, end: Callable[[], None]) -> None:
        self._request = request
        self._reactor = reactor
        self._ignored = ignored
        self._end = end
        self._timer: Timer | None = None
        self._overrun = ""
        self._look()

    def stop(self) -> str:
        """Look no more; why it ended this life of the container, or ""."""
        self._reactor.cancel(self._timer)
        return self._overrun

    def _look(self) -> None:
        used, most = used_bytes(os.getpid(), self._ignored), self._request["memory_watch"]
        if most and used > most:
            had, may = (f"{size / _MEBIBYTE:.4g} MiB" for size in (used, most))
            self._overrun = f"ended by the memory watchdog: its processes had {had}, and {may} are allowed"
            self._end()
        else:
            self._timer = self._reactor.later(EVERY_S, self._look)


def used_bytes(pid: int, ignored: int = 0) -> int:
    """What the descendants of the process `pid` have in memory, without the one that is `ignored`; who ends meanwhile has nothing."""
    waiting, used = _children(pid), 0
    while waiting:
        child = waiting.pop()
        if child != ignored:
            used += _own_bytes(child)
            waiting += _children(child)
    return used


def _children(pid: int) -> list[int]:
    """proc_pid_task_children(5); all threads count, as each may have forked."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        pass
    return found


def _own_bytes(pid: int) -> int:
    kibibytes = 0
    for line in _read(f"/proc/{pid}/status").split(b"\n"):
        if line.startswith((b"RssAnon:", b"RssShmem:")):
            kibibytes += int(line.split()[1])
    return kibibytes << 10


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)
