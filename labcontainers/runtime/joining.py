"""Cloning init into namespaces of another container, and ending what it leaves behind in a pid namespace that is not its own.

It must not import anything but what the launcher holds. The other container is given by a pidfd, so that it cannot be another
process by the time it is joined. Who joins is undumpable, so that nobody in there can trace it or read its descriptors while it
still has those of the host (CVE-2016-9962).
"""

from __future__ import annotations

import errno
import os
import select
import time

from labcontainers.kernel import births, mounts, syscalls
from labcontainers.kernel.lean import Sequence, signal
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.init import begin, report

# How long the owner of a pid namespace may take to die after all others in it.
_OWNER_DIES_S = 0.3


class OwnerEnded(Exception):
    """The container whose namespaces were to be joined has ended."""


def clone(joins: Sequence[Message], pidfds: list[int], flags: int, cgroup_fd: int, fds: tuple[int, int, int, int], status: Channel) -> int:
    """Clone init as a child of this process, in the namespaces of the processes `pidfds`; its pid.

    Each of `joins` has `flags` (CLONE_NEW*), `shm` (whether its /dev/shm is shared) and the `owner`'s name; `flags` are those of
    init's own new namespaces. A pid namespace holds only for children (setns(2)), so the joiner clones init as its sibling. Where the
    group `cgroup_fd` kills who is born in it (kernel.births) the joiner moves there first, so that init has its group from it.
    Raises OwnerEnded and OSError.
    """
    ours, theirs = Channel.pair()
    joiner = os.fork()
    if joiner == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
            if cgroup_fd >= 0 and births.kills(cgroup_fd):
                births.move_in(cgroup_fd)
                cgroup_fd = -1
            shared = [_shm(pidfd) for join, pidfd in zip(joins, pidfds, strict=True) if join["shm"]]
            inherited = {"shm": shared[0]} if shared else {}
            for join, pidfd in zip(joins, pidfds, strict=True):
                syscalls.setns(pidfd, join["flags"])
            pid = syscalls.clone(flags | syscalls.CLONE_PARENT, cgroup_fd=cgroup_fd)
            if pid == 0:
                _begin(fds, status, inherited)
            theirs.send({"pid": pid})
        except ProcessLookupError:
            theirs.send({"ended": True})
        except OSError as error:
            # A pid namespace whose first process is ending takes no other one (pid_namespaces(7)).
            ended = error.errno == errno.ENOMEM and _dead_owner(joins, pidfds)
            theirs.send({"ended": True} if ended else {"errno": error.errno, "message": str(error)})
        finally:
            os._exit(0)
    theirs.close()
    answer, _ = ours.receive()
    ours.close()
    os.waitpid(joiner, 0)
    if not isinstance(answer, dict) or "ended" in answer:
        raise OwnerEnded(f"container {' or '.join(join['owner'] for join in joins)} has ended meanwhile")
    if "errno" in answer:
        raise OSError(answer["errno"], f"cannot join the namespaces: {answer['message']}")
    return int(answer["pid"])


def _begin(fds: tuple[int, int, int, int], status: Channel, inherited: dict[str, int]) -> None:
    try:
        fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        status.send({"mount_namespace": True}, (fd,))
        os.close(fd)
    except OSError as error:
        report(status, [["clone", {}]], [], error)
        os._exit(125)
    begin(*fds, status, inherited)


def _shm(pidfd: int) -> int:
    """A detached copy of the mount at /dev/shm of a container, found below its root without following a link out of it.

    open_tree(2) takes mounts of one's own namespace only, so a child goes there for it.
    """
    ours, theirs = Channel.pair()
    child = os.fork()
    if child == 0:
        try:
            syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            how = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
            shm = syscalls.openat2(root, "dev/shm", os.O_PATH | os.O_DIRECTORY, resolve=how)
            theirs.send({}, (mounts.open_tree("", dirfd=shm),))
        except OSError as error:
            theirs.send({"errno": error.errno, "message": str(error)})
        finally:
            os._exit(0)
    theirs.close()
    answer, fds = ours.receive()
    ours.close()
    os.waitpid(child, 0)
    if not isinstance(answer, dict) or not fds:
        failure = answer if isinstance(answer, dict) else {}
        raise OSError(failure.get("errno", 3), f"/dev/shm of the other container: {failure.get('message', 'it has ended')}")
    return fds[0]


def killed_with(joins: Sequence[Message], pidfds: list[int], status: int) -> str:
    """The owner of the joined pid namespace, if it ended and the kernel killed all in there, this container too; else ""."""
    return _dead_owner(joins, pidfds) if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else ""


def _dead_owner(joins: Sequence[Message], pidfds: list[int]) -> str:
    """The owner of the joined pid namespace, if it has ended or just does; else ""."""
    for join, pidfd in zip(joins, pidfds, strict=True):
        # The owner dies last, when all in its namespace are gone; then its pidfd is readable (pidfd_open(2)).
        if join["flags"] & syscalls.CLONE_NEWPID and select.select([pidfd], [], [], _OWNER_DIES_S)[0]:
            return str(join["owner"])
    return ""


def end_stragglers(mount_namespace: int, timeout_s: float = 5.0) -> None:
    """Kill every process in a container's mount namespace, which in a pid namespace of its own the kernel would have done; closes it.

    It is a descriptor, held since before the container's first process ended: the number of one that nobody has any more is given to
    the next container that starts. A process that made itself another mount namespace is found by its control group alone.
    """
    number = os.fstat(mount_namespace).st_ino
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_in(int(name), number)]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not found:
            break
        time.sleep(0.002)
    os.close(mount_namespace)


def _is_in(pid: int, mount_namespace: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino == mount_namespace
    except OSError:
        return False
