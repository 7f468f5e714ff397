"""How containers and what runs in them end: signals, `delete`, and waiting for a process in this command's foreground.

It must not know the command line.
"""

from __future__ import annotations

import os
import time

from labcontainers.bundles.consoles import Console
from labcontainers.bundles.hooks import try_hooks
from labcontainers.kernel import cgroup_files, syscalls
from labcontainers.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.bundles.logs import Log
    from labcontainers.bundles.states import State

_DIES_S = 10.0
# What a terminal or a user sends to this command is for the process in the foreground.
_KEPT = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH)


def kill(state: State, number: int, *, everybody: bool = False) -> None:
    """Send a signal to the container's first process, or to all there are; raises Conflict when the first does not run."""
    pid = state.pid
    if everybody:
        groups = state.groups
        if pid or groups.pids():
            groups.kill(number) if groups.entries else os.kill(pid, number)
        return
    if not pid:
        from labcontainers.errors import Conflict

        raise Conflict(f"cannot kill container {state.id!r}: container not running", "`delete` removes it")
    pidfd = syscalls.pidfd_open(pid)
    try:
        # the number may have been given to another process since
        if state.pid == pid:
            syscalls.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)
    if number == signal.SIGKILL:
        _thaw(state)


def _thaw(state: State) -> None:
    """What version 1 has frozen dies only once it is let go."""
    freezer, group = state.freezer, state.groups.v1.get("freezer")
    # looked at once, since it dies about now, and 0 would move this process
    pid = state.pid
    if freezer and state.groups.v1:
        try:
            if group and pid:
                cgroup_files.write(f"{group}/cgroup.procs", str(pid))  # somebody may have frozen it in another group
            freezer.thaw()
        except OSError:
            pass


def delete(state: State, log: Log, *, force: bool = False) -> None:
    """Remove a container with all that was made for it; raises Conflict while it runs, unless by `force`."""
    status = state.status
    if status not in ("stopped", "created") and not force:
        from labcontainers.errors import Conflict

        raise Conflict(f"cannot delete container {state.id!r} that is not stopped: {status}", "`kill` it first, or use --force")
    if state.pid:
        kill(state, signal.SIGKILL)
        _wait_dead(state)
    _thaw(state)
    groups = state.groups
    groups.kill()
    groups.remove()
    for line in try_hooks("poststop", state.values["config"]["hooks"]["poststop"], state.to_json("stopped")):
        log.warn(line)
    state.remove()


def _wait_dead(state: State) -> None:
    deadline = time.monotonic() + _DIES_S
    while state.pid:
        if time.monotonic() > deadline:
            from labcontainers.errors import Failed

            raise Failed(f"container {state.id!r} does not die", "look with `ps` at what its process waits for")
        time.sleep(0.001)


def exit_code(status: int) -> int:
    """A shell's exit code from a wait status: 128 + signal for a killed process (waitpid(2))."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Foreground:
    """What this command is sent while a process runs in its foreground goes to that; what came before is kept for it."""

    def __init__(self) -> None:
        self._pidfd = -1
        self._kept: list[int] = []
        for number in range(1, signal.NSIG):
            if number not in _KEPT and signal.getsignal(number) is not None:
                try:
                    signal.signal(number, self._pass_on)
                except (OSError, ValueError, RuntimeError):
                    continue  # the two that libc keeps to itself (nptl(7))

    def _pass_on(self, number: int, frame: object) -> None:
        if self._pidfd < 0:
            self._kept.append(number)
            return
        try:
            syscalls.pidfd_send_signal(self._pidfd, number)
        except OSError:
            pass  # it has ended

    def wait(self, pid: int, master: int = -1) -> int:
        """Wait for a child of this process, and show its terminal `master` meanwhile; its exit code."""
        self._pidfd = syscalls.pidfd_open(pid)
        while self._kept:
            self._pass_on(self._kept.pop(0), None)
        found: list[int] = []

        def ended() -> bool:
            if not found:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    found.append(status)
            return bool(found)

        if master >= 0:
            with Console(master) as console:
                console.copy(ended)
        if not found:
            found.append(os.waitpid(pid, 0)[1])
        return exit_code(found[0])


def interruptible() -> None:
    """Let signals that end a program end this one as an interrupt does, so that what is half-made is taken away."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)
