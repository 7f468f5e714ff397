"""`--init`: the process that stays as number 1 of a container, passes signals on to the workload and reaps what is left behind.

It must not import or open anything, since it lives inside the container's root, and it never executes a program: what it is
made of is the launcher's memory, whose executable is the sealed copy of the interpreter.

No process of the container may look into it or change it: it keeps one capability that they lack, so that ptrace(2) and most of
/proc/1 are refused to them (capabilities(7), CAP_SYS_PTRACE; the kernel's cap_ptrace_access_check), while the shim, which has
all, still joins its namespaces for `exec`.
"""

from __future__ import annotations

import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import signal

KILL = 1 << 5
SYS_PTRACE = 1 << 19
_EVERY = signal.valid_signals()
# The kernel stops who reads from or writes to a terminal in the background: that is not for the workload to hear.
_NOT_PASSED_ON = (signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU)


def kept(permitted: int) -> int:
    """What number 1 keeps beside what the workload gets: killing processes of other users, and what locks it against them."""
    return permitted & (KILL | SYS_PTRACE)


def split(capabilities: int) -> None:
    """Fork: returns in the child, which is to become the workload with no more than `capabilities`; the parent never returns.

    The child leads a process group of its own, in the foreground of the terminal if there is one. Every signal is blocked
    meanwhile, so that none is lost that comes before anybody can pass it on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _EVERY)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        try:
            os.tcsetpgrp(0, os.getpid())
        except OSError:
            pass
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.capset(capabilities, capabilities)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EVERY)
        return
    try:
        _settle()
        code = _serve(pid)
    except BaseException:
        code = 255
    os._exit(code)


def _settle() -> None:
    """Let go of all that is the workload's: descriptors, the folder, capabilities; and be called by what it is."""
    syscalls.set_process_title("lab-init")
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.close_range(0, flags=0)
    os.chdir("/")
    permitted, _, _ = syscalls.capget()
    syscalls.capset(permitted & (KILL | SYS_PTRACE), permitted & KILL)
    # A changed user id has taken this away, and without it nobody but root of the machine could join the container (setns(2)).
    locked = bool(permitted & SYS_PTRACE)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1 if locked else 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(child: int) -> int:
    """Pass signals on and reap until `child` has ended; its exit code, 128 and the signal's number if it was killed."""
    while True:
        received = signal.sigwait(_EVERY)
        if received == signal.SIGCHLD:
            code = _reap(child)
            if code is not None:
                return code
        elif received not in _NOT_PASSED_ON:
            try:
                os.kill(child, received)
            except OSError:
                pass


def _reap(child: int) -> int | None:
    """Take the end of every process that has ended; the exit code of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
