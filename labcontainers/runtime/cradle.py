"""A process that waits inside control groups of version 1 and new namespaces, so that a container's init is born there.

It must not import anything but what the launcher holds. The kernel takes more than a millisecond to make a network namespace and
the directories of the groups, and on some kernels ten to move a process between groups (see init.enter_cgroups). So a child of the
process that waits for the next request does all that ahead of time, in groups that get their name when used.
"""

from __future__ import annotations

import os
import sys

from labcontainers.kernel import syscalls
from labcontainers.runtime import cleanup
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.init import begin, enter_cgroups, loopback

_AHEAD = {syscalls.CLONE_NEWNET: "net", syscalls.CLONE_NEWIPC: "ipc", syscalls.CLONE_NEWUTS: "uts"}


class Cradle:
    """The waiting child; `token` names the start that it is meant for, `procs` are the cgroup.procs files of its groups.

    `parents` are the directories of all groups.
    """

    def __init__(self, token: str, procs: list[str], parents: list[str], leave: tuple[int, ...]) -> None:
        """Fork it; it closes the descriptors `leave`, by whose end others notice things."""
        self.token = token
        self._procs = procs
        self._parents = parents
        self._channel, theirs = Channel.pair()
        self._pid = syscalls.clone(0)
        if self._pid == 0:
            try:
                for fd in (*leave, self._channel.fileno()):
                    os.close(fd)
                _wait(theirs, procs)
            finally:
                os._exit(1)
        theirs.close()

    def clone(self, flags: int, cgroup_fd: int, fds: tuple[int, int, int, int, int]) -> int:
        """Let it clone init as a child of this process; `fds` are those of init.begin. The pid, or 0 when it could not.

        Source: clone(2), CLONE_PARENT. The cradle ends by that.
        """
        answer: object = None
        try:
            self._channel.send({"flags": flags}, (*fds, *([cgroup_fd] if cgroup_fd >= 0 else [])))
            answer, _ = self._channel.receive()
        except OSError:
            pass
        self._end()
        return int(answer["pid"]) if isinstance(answer, dict) else 0

    def discard(self) -> None:
        """End it, and remove its groups unless they have got another name meanwhile; with them their parents if they were the last."""
        self._end()
        cleanup.remove_cgroups({"v1": {path: os.path.dirname(path) for path in self._procs}})
        cleanup.remove_if_empty(self._parents)

    def close(self) -> None:
        """Let go of it, in a fork of the process that it waits for."""
        self._channel.close()

    def _end(self) -> None:
        self.close()
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            # The launcher's processes ignore SIGCHLD: the kernel has reaped it, and this call has waited for that.
            pass


def _wait(channel: Channel, procs: list[str]) -> None:
    """In the child: enter the groups, then clone init when told; returns at the end of the channel."""
    syscalls.set_process_title("lab-cradle")
    sys.path.clear()
    sys.meta_path.clear()
    enter_cgroups(procs)
    homes = {flag: os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for flag, name in _AHEAD.items()}
    syscalls.unshare(sum(homes))
    loopback()
    message, fds = channel.receive()
    if not isinstance(message, dict):
        return
    flags = _still_to_make(message["flags"], homes)
    pid = syscalls.clone(flags | syscalls.CLONE_PARENT, cgroup_fd=fds[5] if len(fds) > 5 else -1)
    if pid == 0:
        stdin, stdout, stderr, plan, status = fds[:5]
        begin(stdin, stdout, stderr, plan, Channel.from_fd(status))
    answer: Message = {"pid": pid}
    channel.send(answer)


def _still_to_make(flags: int, homes: dict[int, int]) -> int:
    """The flags without those namespaces that the child inherits; where it wants the old ones, go back there. Raises OSError.

    What belongs to a new user namespace has to be made with that.
    """
    for flag, fd in homes.items():
        if flags & flag and not flags & syscalls.CLONE_NEWUSER:
            flags &= ~flag
        else:
            syscalls.setns(fd, flag)
        os.close(fd)
    return flags
