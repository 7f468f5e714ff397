"""How an ordinary user's launcher becomes root of a user namespace, one for all notebooks of that user, while any process of it lives.

It must not import anything but what the launcher holds. Members of the namespace are files `<run>/members/PID`, so that a later
launcher joins the namespace of the containers that outlived an earlier one.
"""

from __future__ import annotations

import fcntl
import os

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import dumps, loads, socket
from labcontainers.runtime.handshake import Channel, start_time, write_file


class Member:
    """This process' entry among the members of the user namespace; `ids` is "subordinate" or "single"."""

    def __init__(self, directory: str, ids: str) -> None:
        self.directory = directory
        self.ids = ids

    def register(self, bridge_fd: int = -1) -> None:
        """Tell later launchers that this process holds the namespace, and at which descriptor the bridge's network namespace."""
        entry = {"start": start_time(os.getpid()), "ids": self.ids, "bridge_fd": bridge_fd}
        write_file(f"{self.directory}/{os.getpid()}", dumps(entry))

    def leave(self) -> None:
        """Forget this process."""
        try:
            os.unlink(f"{self.directory}/{os.getpid()}")
        except OSError:
            pass


def enter(channel: Channel, directory: str, ids: str) -> tuple[Member, int]:
    """Become root of the user's namespace: that of a living member, or a new one with `ids` mapped.

    Returns the entry and a descriptor of the bridge's network namespace (-1 when there is none yet). The engine is asked over
    `channel` to map subordinate ids by newuidmap(1), since that needs a process outside. Raises OSError.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    lock = os.open(directory + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        joined = _join(directory)
        if joined is None:
            _create(channel, ids)
            bridge_fd = -1
        else:
            ids, bridge_fd = joined
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        if ids == "subordinate":
            os.setgroups([])
        # Changed credentials made this process undumpable; others of the same user must be able to join.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        member = Member(directory, ids)
        member.register(bridge_fd)
        return member, bridge_fd
    finally:
        os.close(lock)


def _join(directory: str) -> tuple[str, int] | None:
    found: tuple[str, int] | None = None
    for name in sorted(os.listdir(directory)):
        try:
            with open(f"{directory}/{name}", encoding="utf-8") as file:
                entry = loads(file.read())
            pid = int(name)
            if start_time(pid) != entry["start"]:
                os.unlink(f"{directory}/{name}")
                continue
            if found is None:
                fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
                syscalls.setns(fd, syscalls.CLONE_NEWUSER)
                os.close(fd)
                found = entry["ids"], -1
            if found[1] < 0 and entry["bridge_fd"] >= 0:
                found = entry["ids"], os.open(f"/proc/{pid}/fd/{entry['bridge_fd']}", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError, KeyError):
            continue
    return found


def _create(channel: Channel, ids: str) -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    if ids == "subordinate":
        channel.send({"map": os.getpid()})
        message, _ = channel.receive()
        if not isinstance(message, dict) or not message.get("mapped"):
            raise OSError(1, "the subordinate ids could not be mapped")
        return
    for path, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{path}", "w", encoding="ascii") as file:
            file.write(text)


def bridge_namespace(fd: int) -> tuple[int, int]:
    """(descriptor of the bridge's network namespace, netlink socket opened inside it); made when `fd` is -1. Raises OSError."""
    ours, theirs = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            if fd < 0:
                syscalls.unshare(syscalls.CLONE_NEWNET)
                fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            else:
                syscalls.setns(fd, syscalls.CLONE_NEWNET)
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
            theirs.send({}, (fd, sock.fileno()))
        except OSError as error:
            theirs.send({"errno": error.errno, "message": str(error)})
        os._exit(0)
    theirs.close()
    try:
        message, fds = ours.receive()
    finally:
        ours.close()
    if not isinstance(message, dict) or len(fds) != 2:
        error_number = message.get("errno", 5) if isinstance(message, dict) else 5
        raise OSError(error_number, "no network namespace for the bridge")
    return fds[0], fds[1]
