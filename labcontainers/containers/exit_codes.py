"""What an exit code means, in a sentence; it must not read anything.

Sources: docs.docker.com "docker run", exit status; POSIX.1-2024 2.8.2, exit status of commands; signal(7).
"""

from __future__ import annotations

import signal

_OWN = {
    125: "the container could not be made or started: what was asked for was refused",
    126: "the program was found and cannot be executed: no permission, a directory, or a format that this machine does not know",
    127: "there is no such program: neither in the image's PATH, nor for a shell in it that was asked to run it",
}
_SENDERS = {
    signal.SIGHUP: "sent when a terminal is closed",
    signal.SIGINT: "sent by Ctrl-C, or by interrupting a cell",
    signal.SIGQUIT: "sent by Ctrl-\\, or by `kill -s QUIT`",
    signal.SIGILL: "the program has instructions that this processor does not know, or is damaged",
    signal.SIGTRAP: "sent by debuggers, and by programs that stop at a trap of their own",
    signal.SIGABRT: "the program ended itself by abort(): a failed assertion, or memory that it found damaged",
    signal.SIGBUS: "the program used memory without anything behind it: a file that became shorter, or a full /dev/shm (--shm-size)",
    signal.SIGFPE: "the program divided by zero, or the like",
    signal.SIGSEGV: "the program used memory that is not its own: a fault of the program, or a library that does not fit",
    signal.SIGPIPE: "the program wrote to somebody who reads no longer",
    signal.SIGALRM: "a timer of the program itself",
    signal.SIGTERM: "sent by `stop`, `kill -s TERM`, a time limit, or a machine that shuts down: it was asked to end",
    signal.SIGXCPU: "a limit of CPU time (--ulimit cpu)",
    signal.SIGXFSZ: "a limit of the size of files (--ulimit fsize)",
    signal.SIGSYS: "a system call that the seccomp profile forbids",
}
_KILLED = (
    "nobody can catch it: sent by `kill`, by `stop` and time limits when the program does not end, or by the machine for lack of memory"
)
_OOM = "the kernel killed a process of the container when its memory limit was reached, which its control group has counted"

ASKED_TO_END = tuple(128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
"""What a container ends with that somebody has stopped, which is no failure of its own."""


def signal_of(exit_code: int) -> signal.Signals | None:
    """The signal that an exit code above 128 stands for."""
    try:
        return signal.Signals(exit_code - 128) if exit_code > 128 else None
    except ValueError:
        return None


def explained(exit_code: int, *, oom_killed: bool = False) -> str:
    """What the code says beyond its number; "" for one that only its program knows."""
    if oom_killed:
        return _OOM if exit_code == 137 else f"{_OOM}; the program went on for a while, and ended with {exit_code}"
    number = signal_of(exit_code)
    if number is not None:
        sender = _KILLED if number == signal.SIGKILL else _SENDERS.get(number, "sent by `kill`, or by another process")
        return f"{number.name} ended it: {sender}"
    return _OWN.get(exit_code, "")
