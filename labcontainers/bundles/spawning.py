"""Cloning a process into its namespaces: new ones, those of a path, and a user namespace with its ids (namespaces(7), user_namespaces(7)).

It must not know bundles' files, mounts or states. Where anything is joined, or a user or time namespace is made, an usher process goes
ahead and clones the process as its sibling, since these hold for children or must be there first.
"""

from __future__ import annotations

import os
import sys

from labcontainers.kernel import births, syscalls, user_namespaces
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.init import enter_cgroups
from labcontainers.runtime.rootfs import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LATER = syscalls.CLONE_NEWCGROUP


class Wanted:
    """The namespaces of one process: `new` ones as CLONE_NEW* flags, `joined` as (descriptor, flag, name), those of the process `pidfd`.

    `uids` and `gids` are rows of the new user namespace (first inside, first outside, count); `offsets` are clock -> text for
    /proc/PID/timens_offsets. `unified` is a descriptor of the group of version 2 to be born in, or -1; `procs` are files to enter other
    groups by.
    """

    def __init__(self) -> None:
        self.new = 0
        self.joined: list[tuple[int, int, str]] = []
        self.pidfd = -1
        self.pidfd_flags = 0
        self.uids: list[list[int]] = []
        self.gids: list[list[int]] = []
        self.offsets: dict[str, str] = {}
        self.unified = -1
        self.unified_procs = ""
        self.procs: list[str] = []
        self.affinity: frozenset[int] = frozenset()

    @property
    def plain(self) -> bool:
        """Whether one clone(2) does it all."""
        return not (self.joined or self.pidfd >= 0 or self.new & (syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWTIME))


def spawn(wanted: Wanted, channel: Channel, begin: Callable[[], None]) -> int:
    """Clone a child of this process that runs `begin`; its pid. It tells by `channel` what fails before. Raises OSError and Refused."""
    if wanted.plain:
        pid = _clone(wanted, wanted.new & ~_LATER)
        if pid == 0:
            _run(wanted, channel, begin)
        return pid
    ours, theirs = Channel.pair()
    usher = os.fork()
    if usher == 0:
        try:
            ours.close()
            _usher(wanted, theirs, channel, begin)
        except OSError as error:
            theirs.send({"error": error.strerror or str(error), "errno": error.errno or 0, "about": getattr(error, "about", "")})
        except Refused as error:
            theirs.send({"error": str(error), "errno": 0, "about": ""})
        finally:
            os._exit(0)
    theirs.close()
    try:
        return _attend(wanted, ours, usher)
    finally:
        ours.close()
        os.waitpid(usher, 0)


def _attend(wanted: Wanted, ours: Channel, usher: int) -> int:
    while True:
        message, _ = ours.receive()
        if not isinstance(message, dict):
            raise Refused("the process that enters the namespaces died")
        if "map" in message:
            map_ids(usher, wanted.uids, wanted.gids)
            ours.send({"mapped": True})
        elif "error" in message:
            about = message["about"] or "the namespaces"
            raise Refused(f"{about}: {str(message['error']).lower()}")
        else:
            return int(message["pid"])


def _clone(wanted: Wanted, flags: int) -> int:
    if wanted.unified < 0:
        return syscalls.clone(flags)
    pid, there = births.clone_in(wanted.unified, flags)
    if not there:
        wanted.procs = [*wanted.procs, wanted.unified_procs]
    return pid


def _run(wanted: Wanted, channel: Channel, begin: Callable[[], None]) -> None:
    try:
        if wanted.affinity:
            os.sched_setaffinity(0, wanted.affinity)
        if wanted.procs:
            enter_cgroups(wanted.procs)
        begin()
    except BaseException as error:
        failure = {"operation": "enter_cgroups", "about": "", "message": str(error), "exit_code": 1}
        channel.send({"error": failure})
    os._exit(125)


def _usher(wanted: Wanted, theirs: Channel, channel: Channel, begin: Callable[[], None]) -> None:
    # Nobody in what is joined may trace this process, or read its descriptors (CVE-2016-9962).
    joins = bool(wanted.joined or wanted.pidfd >= 0)
    # Nor may it load anything that lies there.
    sys.path.clear()
    sys.meta_path.clear()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, not joins)
    if wanted.procs:
        enter_cgroups(wanted.procs)
        wanted.procs = []
    if wanted.pidfd >= 0:
        _named(lambda: syscalls.setns(wanted.pidfd, wanted.pidfd_flags), "the namespaces of the container")
    first = [one for one in wanted.joined if one[1] != syscalls.CLONE_NEWUSER]
    refused = [one for one in first if not _joins(*one, again=bool(wanted.new & syscalls.CLONE_NEWUSER) or len(first) < len(wanted.joined))]
    for fd, flag, name in wanted.joined:
        if flag == syscalls.CLONE_NEWUSER:
            _joins(fd, flag, name, again=False)
            _become_root()
    new = wanted.new & ~_LATER
    if new & syscalls.CLONE_NEWUSER:
        _named(lambda: syscalls.unshare(syscalls.CLONE_NEWUSER), "a new user namespace")
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        theirs.send({"map": True})
        if not isinstance(theirs.receive()[0], dict):
            os._exit(1)
        _become_root()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, not joins)
        new &= ~syscalls.CLONE_NEWUSER
    for fd, flag, name in refused:
        _joins(fd, flag, name, again=False)
    if new & syscalls.CLONE_NEWTIME:
        _new_time(wanted.offsets)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, not joins)
        new &= ~syscalls.CLONE_NEWTIME
    pid = _clone(wanted, new | syscalls.CLONE_PARENT)
    if pid == 0:
        theirs.close()
        _run(wanted, channel, begin)
    theirs.send({"pid": pid})


def _joins(fd: int, flag: int, name: str, *, again: bool) -> bool:
    """Join one; with `again`, False where that must wait until this process has another user namespace."""
    try:
        syscalls.setns(fd, flag)
    except OSError as error:
        if again and error.errno == 1:
            return False
        raise _about(error, f"the {name} namespace") from None
    return True


def _named(do: Callable[[], None], what: str) -> None:
    try:
        do()
    except OSError as error:
        raise _about(error, what) from None


def _about(error: OSError, what: str) -> OSError:
    named = OSError(error.errno, os.strerror(error.errno or 0))
    named.about = what  # type: ignore[attr-defined]  # told to the process that waits, which has no exception
    return named


def _become_root() -> None:
    """The ids of this process are the namespace's root from here on."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    try:
        os.setgroups([])
    except PermissionError:
        pass  # denied together with a gid_map of one id (user_namespaces(7))


def _new_time(offsets: dict[str, str]) -> None:
    """A time namespace for the children, whose clocks are set before the first of them (time_namespaces(7))."""
    _named(lambda: syscalls.unshare(syscalls.CLONE_NEWTIME), "a new time namespace")
    if offsets:
        # Files of /proc/self belong to the machine's root while this process is undumpable (proc(5)).
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        fd = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
        try:
            text = "".join(f"{clock} {offset}\n" for clock, offset in offsets.items())
            _named(lambda: (os.write(fd, text.encode()), None)[1], "linux.timeOffsets")
        finally:
            os.close(fd)


def map_ids(pid: int, uids: list[list[int]], gids: list[list[int]]) -> None:
    """Write the maps of a new user namespace: as root, for one's own id alone, or by newuidmap(1) and newgidmap(1). Raises Refused."""
    if os.geteuid() == 0:
        _write_maps(pid, uids, gids)
        return
    single = [[os.geteuid(), 1], [os.getegid(), 1]]
    if [rows[0][1:] for rows in (uids, gids)] == single and len(uids) == len(gids) == 1:
        user_namespaces.write(pid, "setgroups", "deny")
        _write_maps(pid, uids, gids)
        return
    for tool, rows in (("newuidmap", uids), ("newgidmap", gids)):
        _run_tool(tool, [str(pid), *(str(number) for row in rows for number in row)])


def _write_maps(pid: int, uids: list[list[int]], gids: list[list[int]]) -> None:
    try:
        user_namespaces.write_maps(pid, uids, gids)
    except OSError as error:
        kind, rows = ("uid", uids) if str(error.filename).endswith("uid_map") else ("gid", gids)
        shown = ", ".join("{} {} {}".format(*row) for row in rows)
        raise Refused(f"linux.{kind}Mappings: the kernel refuses {shown!r}: {os.strerror(error.errno or 0).lower()}") from None


def _run_tool(tool: str, arguments: list[str]) -> None:
    told = os.memfd_create(tool, os.MFD_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, told, 1), (os.POSIX_SPAWN_DUP2, told, 2)]
        pid = os.posix_spawnp(tool, [tool, *arguments], os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        if status:
            words = " ".join(os.pread(told, 400, 0).decode("utf-8", "replace").split())
            raise Refused(f"linux.{tool[3:6]}Mappings: {words or tool + ' failed'}")
    except FileNotFoundError:
        raise Refused(f"linux.{tool[3:6]}Mappings: {tool} is not installed, and without it only one's own id can be mapped") from None
    finally:
        os.close(told)


def user_namespace(uids: list[list[int]], gids: list[list[int]]) -> int:
    """A descriptor of a user namespace with these ids, in which nobody is: for mounts with other ids (mount_setattr(2)). Raises Refused."""
    try:
        return user_namespaces.make(lambda pid: map_ids(pid, uids, gids))
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise Refused(f"no user namespace can be made for a mount with other ids: {why}") from None
