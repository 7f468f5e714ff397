"""What a bundle's process does for itself before it becomes the program: the operations that the engine's containers do not have.

It must not import anything once it has entered the container's root: whatever it needs is imported with this module. What it loads the
filter with comes last, so that a profile need not allow what a Python does.
"""

from __future__ import annotations

import os
import stat
import struct
import sys

from labcontainers.bundles.hooks import run_hooks
from labcontainers.bundles.mounting import BundleRoot
from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import socket
from labcontainers.runtime import account, init, special_mounts
from labcontainers.runtime.handshake import Channel, accept
from labcontainers.runtime.init import CannotExecute
from labcontainers.runtime.rootfs import Refused, operation_table
from labcontainers.runtime.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labcontainers.oci.runtime_spec import Document

_CAP_SYS_ADMIN = 21
_PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}  # PER_* of <linux/personality.h>
# <linux/sched.h>, <linux/ioprio.h>
_POLICIES = {
    "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6,
}  # fmt: skip
_SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 1, "SCHED_FLAG_RECLAIM": 2, "SCHED_FLAG_DL_OVERRUN": 4, "SCHED_FLAG_KEEP_POLICY": 8,
    "SCHED_FLAG_KEEP_PARAMS": 16, "SCHED_FLAG_UTIL_CLAMP_MIN": 32, "SCHED_FLAG_UTIL_CLAMP_MAX": 64,
}  # fmt: skip
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


class BundleProcess(init.Process):
    """The operations on the process itself; `channel` leads to who creates it, and from the start on to who starts it."""

    def __init__(self, channel: Channel, inherited: Document) -> None:
        """`inherited` has the `config`'s hooks and annotations, the container's `state`, the `listener` (or -1) and the `filter`."""
        super().__init__(channel)
        self._inherited = inherited
        self._state: Document = inherited["state"]
        self._final = (0, 0, 0)
        self._ambient = 0
        self._keep: frozenset[int] = frozenset()
        self._answers: list[int] = []
        self._later = ""

    def runtime_hooks(self) -> None:
        """Let the runtime run its hooks; it answers with this process' number as the host has it."""
        self.channel.send({"hooks": True})
        message, _ = self.channel.receive()
        if not isinstance(message, dict):
            raise Refused("whoever created the container is gone")
        self._state["pid"] = message["pid"]

    def hooks(self, kind: str, status: str, confined: Document | None = None) -> None:
        """Run the container's own hooks of this kind; with `confined`, arguments of `last`, they may do what the program may.

        A filter with somebody who answers is the program's alone.
        """
        filtered = confined is not None and confined["seccomp"] and not self._inherited["filter"]["notify"]
        confine = None if confined is None else lambda: self.last(confined["no_new_privileges"], filtered)
        run_hooks(kind, self._inherited["hooks"][kind], {**self._state, "status": status}, confine)

    def personality(self, domain: str) -> None:
        """personality(2)."""
        syscalls.call("personality", _PERSONALITIES[domain])

    def scheduler(
        self,
        policy: str,
        flags: list[str] | None = None,
        nice: int = 0,
        priority: int = 0,
        runtime: int = 0,
        deadline: int = 0,
        period: int = 0,
    ) -> None:
        """sched_setattr(2)."""
        bits = 0
        for flag in flags or ():
            bits |= _SCHEDULER_FLAGS[flag]
        attributes = struct.pack("=IIQiIQQQ", 48, _POLICIES[policy], bits, nice, priority, runtime, deadline, period)
        syscalls.call("sched_setattr", 0, attributes, 0)

    def io_priority(self, kind: str, priority: int) -> None:
        """ioprio_set(2) of this process."""
        syscalls.call("ioprio_set", 1, 0, _IO_CLASSES[kind] << 13 | priority)

    def become(self, uid: int, gid: int, groups: list[int], capabilities: dict[str, int] | None = None) -> None:
        """Take the user's ids and capabilities, as far as this host lets anybody have them; `last` gives up what is kept till then."""
        sets = capabilities or dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), 0)
        available, _, _ = syscalls.capget()
        missing = (sets["permitted"] | sets["bounding"]) & ~available
        if missing:
            self.channel.send({"lacks": missing})
        permitted = sets["permitted"] & available
        inheritable = sets["inheritable"] & sets["bounding"] & available
        self._final = permitted, sets["effective"] & permitted, inheritable
        self._ambient = sets["ambient"] & permitted & inheritable
        self.bounding(sets["bounding"])
        self.uid, self.gid = uid, gid
        self.home = _home(uid)
        for fd in (0, 1, 2):
            init.own_stream(fd, uid, gid)
        try:
            os.setgroups(groups)
        except PermissionError:
            # denied in the user namespaces of those who may map one group alone (user_namespaces(7))
            if groups:
                raise Refused(f"process.user.additionalGids: no group {groups[0]} here: setgroups(2) is denied") from None
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
        syscalls.capset(available, self._final[1])
        if self._later:
            try:
                self._change_directory(self._later)
            except PermissionError as error:
                raise CannotExecute(f"process.cwd: {self._later!r}: {(error.strerror or '').lower()}", 1) from None

    def enter_directory(self, path: str, preserve: list[int]) -> None:
        """Enter the working directory, when nothing is open any more by which it could lie outside the root (CVE-2024-21626).

        What this process may not enter yet, such as a folder of a FUSE mount, its user will (`become`).
        """
        kept = sorted({self.channel.fileno(), *self._own(), *preserve})
        first = 3
        for fd in kept:
            if fd > first:
                syscalls.close_range(first, fd - 1, 0)
            first = max(first, fd + 1)
        syscalls.close_range(first, flags=0)
        self._keep = frozenset(kept)
        try:
            self._change_directory(path)
        except PermissionError:
            self._later = path

    @staticmethod
    def _change_directory(path: str) -> None:
        try:
            os.chdir(path)
        except PermissionError:
            raise
        except OSError as error:
            raise CannotExecute(f"process.cwd: {path!r}: {(error.strerror or '').lower()}", 1) from None
        if not os.getcwd().startswith("/"):
            raise Refused(f"process.cwd: {path!r} is outside the container")

    def _own(self) -> list[int]:
        return [fd for fd in (self._inherited["listener"],) if fd >= 0]

    def umask(self, mask: int) -> None:
        """umask(2)."""
        os.umask(mask)

    def find_program(self, arguments: list[str], environment: list[str]) -> None:
        """Tell now, before anybody waits for the start, that there is no such program or that it cannot be run."""
        program = arguments[0]
        if "/" in program:
            places = [program]
        else:
            path = next((entry[5:] for entry in reversed(environment) if entry.startswith("PATH=")), _PATH)
            places = [f"{folder or '.'}/{program}" for folder in path.split(":")]
        denied = False
        for place in places:
            try:
                status = os.stat(place)
            except PermissionError:
                denied = True
                continue
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
                return
            denied = True
        if denied:
            raise CannotExecute(f"exec: {program!r}: permission denied", 126)
        where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
        raise CannotExecute(f"exec: {program!r}: {where}", 127)

    def wait_start(self) -> None:
        """Tell that all is ready, and wait for who starts it: the creator itself, or anybody who comes to the container's socket."""
        self.channel.send({"created": True})
        listener = self._inherited["listener"]
        if listener < 0:
            self._await(self.channel)
            return
        self.channel.close()
        waiting = socket.socket(fileno=listener)
        while True:
            connection = Channel(accept(waiting))
            try:
                self._await(connection)
            except Refused:
                connection.close()
                continue
            waiting.close()
            self.channel = connection
            return

    def _await(self, channel: Channel) -> None:
        message, fds = channel.receive()
        if not isinstance(message, dict) or "start" not in message:
            raise Refused("whoever created the container is gone")
        self._answers = fds

    def limit(self, rows: list[list[int]]) -> None:
        """setrlimit(2), clamped to what this process may have: at the end, since a Python needs more than some programs may."""
        for kind, soft, hard in rows:
            self.rlimit(kind, soft, hard)

    def last(self, no_new_privileges: bool, seccomp: bool) -> None:
        """Give up all capabilities but the program's own, and load the filter, which takes no_new_privs or CAP_SYS_ADMIN (seccomp(2))."""
        if no_new_privileges:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            self._settle()
            if seccomp:
                self._load()
            return
        if seccomp:
            available, effective, inheritable = syscalls.capget()
            syscalls.capset(available, effective | available & 1 << _CAP_SYS_ADMIN, inheritable)
            self._load()
        self._settle()

    def ready(self, timings_us: list[int], made: list[str]) -> None:
        """Nobody waits for more than `created`, and the filter may be loaded."""

    def _settle(self) -> None:
        syscalls.capset(*self._final)
        bits, number = self._ambient, 0
        while bits >> number:
            if bits >> number & 1:
                syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
            number += 1

    def _load(self) -> None:
        wanted = self._inherited["filter"]
        program, flags = bytes.fromhex(wanted["program"]), wanted["flags"]
        if not wanted["notify"]:
            syscalls.seccomp_filter(program, flags)
            return
        # The descriptor that the filter gives is the lowest free one. Who starts the container takes it by that number, and says so in
        # memory that is shared, since each system call may be one that nobody answers yet.
        page = self._inherited["mmap"].mmap(self._answers[0], 1)
        free = os.open("/", os.O_PATH | os.O_CLOEXEC)
        os.close(free)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        self.channel.send({"listener": free})
        syscalls.seccomp_filter(program, flags | syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
        while page[0] == 0:
            pass

    def bundle_operations(self) -> dict[str, Any]:
        """Name of each operation of this module -> the function that does it."""
        names = "runtime_hooks hooks personality scheduler io_priority become enter_directory umask find_program wait_start limit last"
        return {**self.table(), **{name: getattr(self, name) for name in names.split()}}


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _home(uid: int) -> str:
    try:
        return account.resolve(str(uid))[3]
    except account.UnknownAccount:
        return "/"


def begin(plan: list[list[Any]], channel: Channel, inherited: Document) -> None:
    """What the new process does as soon as it is cloned; never returns.

    Descriptors in `leave` are those of who cloned it: it must notice when that one is gone, and hold no lock of its.
    """
    # Whatever could be found from here on would be the container's.
    sys.path.clear()
    sys.meta_path.clear()
    for fd in inherited["leave"]:
        if fd >= 0:
            os.close(fd)
    init.become_workload(0, 1, 2)
    syscalls.prctl(syscalls.PR_SET_NAME, b"lab-init\0")
    root = BundleRoot()
    process = BundleProcess(channel, inherited)
    table = {**operation_table(root), **special_mounts.operations(root, {}), **process.bundle_operations(), **root.bundle_operations()}
    table.update(Terminal(root, channel).table())
    init.carry_out(plan, table, process, root)
