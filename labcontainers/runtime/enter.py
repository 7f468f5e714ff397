"""Entering a running container: `exec`, and the forwarder of published ports, both forked from the shim.

It must not import anything but what the launcher holds. A process that is about to join is made undumpable first, so that the
container's root can neither trace it nor read its descriptors (CVE-2016-9962).
"""

from __future__ import annotations

import os
import time

from labcontainers.kernel import births, syscalls
from labcontainers.kernel.lean import Callable, signal
from labcontainers.runtime import forward
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.init import Process, report, run_plan
from labcontainers.runtime.stdio import Client


def exit_code(status: int) -> int:
    """A shell's exit code from a wait status: 128 + signal for a killed process (waitpid(2))."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Entered:
    """One `exec`: the process between the shim and the workload, then the workload itself; `terminal` are both ends of one, or none.

    `exec_id` is what its events call it, or "". With `hang_up` it gets SIGHUP when its client goes; `left` tells that this one has gone.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.pid = 0
        self.pidfd = -1
        self.exec_id = ""
        self.hang_up = False
        self.left = False
        self.terminal: tuple[int, ...] = ()
        self._answer: Message | None = None

    def start(self, init_pidfd: int, request: Message, fds: list[int], become: Callable[[int, int, int], None]) -> None:
        """Fork the joiner, which joins the cgroups and all namespaces of init at once and clones the workload as our child.

        Raises KeyError or ValueError for a request that lacks something.
        """
        self.status, theirs = Channel.pair()
        directory = request.get("cgroup_directory", "")
        cgroup_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if directory else -1
        try:
            status = self._join(cgroup_fd, init_pidfd, request, fds, become, theirs)
            if cgroup_fd >= 0 and os.WIFSIGNALED(status) and births.kills(cgroup_fd):
                self._join(cgroup_fd, init_pidfd, request, fds, become, theirs, moves=True)
        finally:
            theirs.close()
            if cgroup_fd >= 0:
                os.close(cgroup_fd)

    def _join(
        self,
        cgroup_fd: int,
        init_pidfd: int,
        request: Message,
        fds: list[int],
        become: Callable[[int, int, int], None],
        theirs: Channel,
        *,
        moves: bool = False,
    ) -> int:
        """The joiner, to its end: its wait status. It is born in the group of version 2, if there is one, or moves there."""
        plan, procs, namespaces = request["plan"], request["procs"], request["namespaces"]
        stdin, stdout, stderr = fds
        joiner, there = (os.fork(), cgroup_fd < 0) if moves or cgroup_fd < 0 else births.clone_in(cgroup_fd)
        if joiner == 0:
            try:
                syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
                if not there:
                    births.move_in(cgroup_fd)
                Process(theirs).join_cgroups(procs)
                try:
                    syscalls.setns(init_pidfd, namespaces)
                except ProcessLookupError:
                    # The container has just ended: the shim is about to notice it.
                    theirs.send({"too_late": True})
                    os._exit(0)
                pid = syscalls.clone(syscalls.CLONE_PARENT)
                if pid == 0:
                    become(stdin, stdout, stderr)
                    run_plan(plan, theirs)
                theirs.send({"pid": pid})
            except BaseException as error:
                report(theirs, plan, [], error)
            os._exit(0)
        return os.waitpid(joiner, 0)[1]

    def on_status(self) -> Message | None:
        """Read one message of the joiner or the workload; the answer for the client once it is known, else None."""
        message, fds = self.status.receive()
        self.terminal = tuple(fds) or self.terminal
        if isinstance(message, dict):
            if "too_late" in message:
                self._answer = {"not_running": True}
            elif "pid" in message:
                self.pid = message["pid"]
            elif "error" in message:
                self._answer = {"error": message["error"]}
            return None
        if self._answer is not None or not self.pid:
            if self.pid:
                os.waitpid(self.pid, 0)
                self.pid = 0
            died = {"operation": "exec", "about": "", "message": "the joining process died", "exit_code": 125}
            return self._answer or {"error": died}
        self.pidfd = syscalls.pidfd_open(self.pid)
        return {"started": self.pid}

    def kill(self, number: int) -> None:
        """Send a signal to the workload."""
        if self.pidfd >= 0:
            try:
                syscalls.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                pass

    def reap(self) -> int:
        """The workload's exit code; blocks until it is dead."""
        for fd in self.terminal:
            os.close(fd)
        self.terminal = ()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if not self.pid:
            return 137
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return exit_code(status)


def start_forwarder(init_pidfd: int, listeners: list[int], targets: list[tuple[str, int]]) -> tuple[int, int]:
    """Fork the process that accepts on `listeners` (made outside) and connects inside the container; its pid, and microseconds."""
    began = time.monotonic_ns()
    pid = os.fork()
    if pid:
        return pid, (time.monotonic_ns() - began) // 1000
    try:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.set_process_title("lab-forward")
        syscalls.setns(init_pidfd, syscalls.CLONE_NEWNET)
        keep = set(listeners)
        for fd in range(3, 256):
            if fd not in keep:
                try:
                    os.close(fd)
                except OSError:
                    pass
        syscalls.capset(0, 0)
        forward.serve(dict(zip(listeners, targets, strict=True)))
    finally:
        os._exit(1)


def stop(pid: int) -> None:
    """Kill and reap a helper process of this shim."""
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
