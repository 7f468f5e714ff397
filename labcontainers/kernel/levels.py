"""What holds containers on this machine, by how much it lets their user do: each level with what it protects and what it lacks.

`doctor` finds them by trying; `info`, `inspect --security`, cards and docs/security.md tell them. It must not know containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Level:
    """`means` is one line; `protects` and `lacks` are for the documentation."""

    name: str
    means: str
    protects: str
    lacks: str


ROOT: Final = "root"
SUBORDINATE: Final = "subordinate ids"
SINGLE: Final = "single id"
MASKED_PROC: Final = "shared /proc"
UNLIMITED: Final = "no control groups"
NO_NAMESPACES: Final = "no user namespaces"

# The first three are whole levels; the next two are told beside one of them.
LEVELS: Final[dict[str, Level]] = {
    one.name: one
    for one in (
        Level(
            ROOT,
            "root of the container is root of this machine, held by everything below",
            "the machine, by namespaces, eleven capabilities, the filter of system calls, hidden paths, the device filter and limits",
            "a second wall: an escape by a bug of the kernel, or by a capability that was added, is root of the machine",
        ),
        Level(
            SUBORDINATE,
            "root of the container is an ordinary user of this machine, with further ids for its other users",
            "as root, and besides: who escapes is an ordinary user, and other users of the container are ids that own nothing",
            "files of the user's own from who escapes as root of the container; bridges reach the network by a process of the user",
        ),
        Level(
            SINGLE,
            "root of the container is the user who started it, and it has no other ids",
            "as with subordinate ids, but for the other ids",
            "users inside: everything in the container runs as one user, so that a server that gives its rights up to another one, "
            "as databases do, cannot; in a build's steps, what package managers give to others stays root's",
        ),
        Level(
            MASKED_PROC,
            "its /proc is that of an outer container, since the kernel allows no fresh one where parts of the outer one are masked",
            "processes outside from signals, and their memory, files and variables from being read: their namespaces are others; "
            "nothing in that /proc can be written",
            "hiding: names and arguments of the outer container's processes can be read, and numbers in /proc are not its own; "
            "nor can it be allowed to listen below port 1024 or to ping without a capability",
        ),
        Level(
            UNLIMITED,
            "this user may not make control groups, so that no limit is the kernel's",
            "nothing by itself; `-m`, of builds too, is held by a watchdog that looks ten times a second, and `--ulimit` by the kernel",
            "limits of CPU, processes and disks; memory that is taken between two looks; pause",
        ),
        Level(
            NO_NAMESPACES,
            "containers cannot run, and nothing pretends to",
            "everything, since nothing runs: images can be pulled, looked into and built as far as no RUN is needed",
            "running: the filter of an outer container (as Docker's default one), a setting or a security module forbids it; "
            "`doctor` tells which, and how to mend it",
        ),
    )
}


def has_fresh_proc(scratch: str) -> bool:
    """Whether the kernel lets this user mount a /proc of a new process namespace, at the empty folder `scratch`; in a worker of its own.

    Leaves the process in namespaces that nothing else is for, so that it must end soon.
    """
    from labcontainers.kernel.probe_attempts import fresh_proc

    try:
        fresh_proc(scratch, True)
    except OSError:
        return False
    return True


def filtered() -> bool:
    """Whether a filter of system calls is in force for this process already (proc_pid_status(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return any(line.split()[1] != "0" for line in file if line.startswith("Seccomp:"))


def may_set_names() -> bool:
    """Whether the kernel lets this user name a new UTS namespace, which filters of outer containers may refuse beside allowing its making.

    In a worker of its own, as `has_fresh_proc`.
    """
    from labcontainers.kernel.probe_attempts import host_name

    try:
        host_name("", True)
    except PermissionError:
        return False
    return True


def told(ids: str, *, masked_proc: bool = False, limited: bool = True) -> str:
    """A level with what it lacks, as one text; `ids` is "host", "subordinate" or "single"."""
    base = {"host": ROOT, "subordinate": SUBORDINATE, "single": SINGLE}[ids]
    return ", ".join([base, *([MASKED_PROC] if masked_proc else []), *([] if limited else [UNLIMITED])])


def lacking(level: str) -> list[tuple[str, str]]:
    """Each part of a text of `told` with what it does not protect from, or lacks."""
    return [(name, LEVELS[name].lacks) for name in level.split(", ")] if level else []


def meaning(level: str) -> str:
    """What a text of `told` means, each part after the other."""
    return "; ".join(LEVELS[name].means for name in level.split(", "))
