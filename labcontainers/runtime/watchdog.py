"""A memory limit where no control group can hold one: it looks at the container's memory ten times a second, and ends it.

It must not import anything but what the launcher holds. It sees what processes have for themselves and share, and files of the container's
own tmpfs mounts, /dev/shm among them; not the cache of files that the kernel keeps, nor a tmpfs that the container mounts itself, and
what is taken between two looks it sees late: it keeps a forgotten program from taking the machine's memory, and is no wall against one
that means to.
"""

from __future__ import annotations

import os

from labcontainers.kernel.lean import Callable
from labcontainers.runtime.handshake import Message
from labcontainers.runtime.reactor import Reactor, Timer
from labcontainers.runtime.used_memory import FilesInMemory, at_most, exact

EVERY_S = 0.1
_MEBIBYTE = 1 << 20
# For how many looks it is believed that processes share as much as when their page tables were walked, which takes long.
_BELIEVED = 10


class Watchdog:
    """Watches the descendants of this process, the shim, save `ignored`, from now on: calls `end` once they have more memory than allowed.

    That is `request["memory_watch"]` in bytes, which may change meanwhile. `init` is the container's first process, whose mounts count.
    """

    def __init__(self, request: Message, reactor: Reactor, init: int, ignored: int, end: Callable[[], None]) -> None:
        self._request = request
        self._reactor = reactor
        self._ignored = ignored
        self._end = end
        self._timer: Timer | None = None
        self._overrun = ""
        self._files = FilesInMemory(init)
        # what was counted more than once when it was last looked into, and the looks since
        self._twice = self._looks = 0
        self._look()

    def stop(self) -> str:
        """Look no more; why it ended this life of the container, or ""."""
        self._reactor.cancel(self._timer)
        self._files.close()
        return self._overrun

    def _look(self) -> None:
        most = self._request["memory_watch"]
        used = self._used(most) if most else 0
        if most and used > most:
            had, may = (f"{size / _MEBIBYTE:.4g} MiB" for size in (used, most))
            self._overrun = f"ended by the memory watchdog: its processes and files in memory had {had}, and {may} are allowed"
            self._end()
        else:
            self._timer = self._reactor.later(EVERY_S, self._look)

    def _used(self, most: int) -> int:
        """How much it is: what is counted at most, where that is allowed, else exactly."""
        self._looks += 1
        if self._looks > _BELIEVED:
            self._twice = 0
        files = self._files.used_bytes()
        counted = at_most(os.getpid(), self._ignored) + files
        if counted - self._twice > most:
            used = exact(os.getpid(), self._ignored, self._files.devices) + files
            self._twice, self._looks = max(counted - used, 0), 0
            return used
        return counted - self._twice
