"""How a container's init comes to be: by a cradle, in namespaces of others, or as a plain child; and whether it was killed at its birth.

It must not import anything but what the launcher holds, and knows nothing of a container's life.
"""

from __future__ import annotations

import os

from labcontainers.kernel import births, syscalls
from labcontainers.kernel.lean import signal
from labcontainers.runtime import joining
from labcontainers.runtime.cradle import Cradle
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.init import begin


def clone_init(
    request: Message,
    cradle: Cradle | None,
    joined: tuple[list[int], int],
    cgroup_fd: int,
    fds: tuple[int, int, int, int],
    status: Channel,
    *,
    again: bool,
) -> tuple[int, bool]:
    """Clone init, by the cradle if one waits in its control groups; its pid, and whether the cradle did it. Raises as joining.clone().

    `joined` are the pidfds of those whose namespaces the request wants, and the network namespace of an earlier life or -1. `again` says
    that init was born before in the group `cgroup_fd`, in which all may have been killed since (kernel.births).
    """
    (owners, netns), flags, joins = joined, request["clone_flags"], request.get("joins", ())
    if netns >= 0:
        joins = [*joins, {"flags": syscalls.CLONE_NEWNET, "shm": False, "owner": request["name"]}]
        owners, flags = [*owners, netns], flags & ~syscalls.CLONE_NEWNET
    if joins or "joins" in request or (again and cgroup_fd >= 0 and births.kills(cgroup_fd)):
        return joining.clone(joins, owners, flags, cgroup_fd, fds, status), False
    if cradle is not None:
        pid = cradle.clone(flags, cgroup_fd, (*fds, status.fileno()))
        if pid:
            return pid, True
    pid = syscalls.clone(flags, cgroup_fd=cgroup_fd)
    if pid == 0:
        begin(*fds, status)
    return pid, False


def was_killed_by_group(status: int, directory: str) -> bool:
    """Whether who ended with `status` was killed since all in its control group were, which kills also who is born there later."""
    if not directory or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        return False
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return births.kills(fd)
    finally:
        os.close(fd)
