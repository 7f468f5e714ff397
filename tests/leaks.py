"""What a test may leave behind on the machine: taken before, taken after, and compared.

It must not know the engine: it looks at the machine only, so that it also catches what the engine forgets.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
OURS = {"labcontainers", "labcontainers-oci"}


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it, so that no process that a test starts can get out of sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Traces:
    """What is there at one moment; every entry is text that a person can read."""

    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    processes: frozenset[str]
    threads: frozenset[str]
    descriptors: frozenset[str]

    @classmethod
    def take(cls) -> Traces:
        """Look now. Reaps children that ended."""
        gc.collect()
        processes = descendants()
        return cls(
            mounts=frozenset(mounts()),
            namespaces=frozenset(namespaces(processes)),
            # an ordinary user makes links in namespaces of its own alone
            links=frozenset(os.listdir("/sys/class/net") if os.geteuid() == 0 else ()),
            cgroups=frozenset(cgroups(processes)),
            processes=frozenset(f"{pid} {describe(pid)}" for pid in processes),
            threads=frozenset(f"{thread.ident} {thread.name}" for thread in threading.enumerate()),
            descriptors=frozenset(descriptors()),
        )

    def since(self, before: Traces, *, except_for: Iterable[str] = ()) -> list[str]:
        """What is here and was not `before`, as "kind: entry", but for the kinds `except_for`."""
        return [
            f"{field.name}: {entry}"
            for field in fields(self)
            if field.name not in set(except_for)
            for entry in sorted(getattr(self, field.name) - getattr(before, field.name))
        ]


def wait_until_nothing_is_left(before: Traces, *, except_for: Iterable[str] = (), grace_s: float = 3.0) -> list[str]:
    """What a test left behind once `grace_s` seconds have given the kernel and closing threads their time."""
    kinds = tuple(except_for)
    return wait_for_nothing(lambda: Traces.take().since(before, except_for=kinds), grace_s)


def wait_for_nothing(look: Callable[[], list[str]], grace_s: float) -> list[str]:
    """What `look` still finds after `grace_s` seconds, or [] as soon as it finds nothing."""
    end = time.monotonic() + grace_s
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def mounts() -> list[str]:
    """The mounts of this mount namespace: where, of what type, from what."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        found.append(f"{left.split()[4]} ({' '.join(right.split()[:2])})")
    return found


def descendants() -> list[int]:
    """Every living process below this one; those that ended are reaped when they are orphans that we adopted."""
    children: dict[int, list[int]] = {}
    ended: list[int] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            after_name = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if after_name[0] == "Z":
            ended.append(int(entry))
            continue
        children.setdefault(int(after_name[1]), []).append(int(entry))
    reap_orphans(ended)
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def reap_orphans(pids: Iterable[int]) -> None:
    """Reap those of `pids` that lead a session of their own and are children of this process: nobody else will."""
    for pid in pids:
        try:
            if os.getsid(pid) != os.getsid(0):
                os.waitpid(pid, os.WNOHANG)
        except OSError:
            continue


def describe(pid: int) -> str:
    """The command line of a process, or its name."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return words[:120] or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "(gone)"


def namespaces(pids: Iterable[int]) -> set[str]:
    """The namespaces that our processes are in or that our descriptors and mounts keep alive."""
    found = set()
    for pid in [os.getpid(), *pids]:
        for kind in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                continue
    return found


def cgroups(pids: Iterable[int]) -> list[str]:
    """This user's groups labcontainers and labcontainers-oci and those in them, but for those in which only processes of others live."""
    ours = {os.getpid(), *pids}
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] in ("cgroup", "cgroup2"):
            found += [str(path) for path in lab_cgroups(Path(left.split()[4])) if made_by_us(path, ours)]
    return found


def lab_cgroups(top: Path) -> list[Path]:
    """Any folder called labcontainers or labcontainers-oci below `top`, and the groups under it."""
    return [Path(folder) for folder, _, _ in os.walk(top) if OURS & set(Path(folder).relative_to(top).parts)]


def made_by_us(group: Path, ours: set[int]) -> bool:
    """Whether this user owns it, and no processes but ours live in it."""
    try:
        owner = group.stat().st_uid
        members = {int(word) for word in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return False
    return owner == os.geteuid() and (not members or bool(members & ours))


def descriptors() -> list[str]:
    """This process's open descriptors, with what they lead to."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{entry} -> {os.readlink(f'/proc/self/fd/{entry}')}")
        except OSError:
            continue
    return found


def end_processes(entries: Iterable[str]) -> None:
    """Kill the processes that Traces named, so that one test's leak does not fail the next."""
    for entry in entries:
        if entry.startswith("processes: "):
            try:
                os.kill(int(entry.split()[1]), signal.SIGKILL)
            except OSError:
                continue
