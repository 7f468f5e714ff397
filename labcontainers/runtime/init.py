"""The only code that runs inside a container's namespaces: it carries out the plan, operation by operation, and execs the workload.

It must not import anything once it has entered the container's root, and knows nothing of images or engines.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import struct
import time

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import Any, loads, signal, socket
from labcontainers.runtime import account, apparmor, reaper, special_mounts
from labcontainers.runtime.handshake import Channel, read_all
from labcontainers.runtime.rootfs import Refused, RootFileSystem, operation_table
from labcontainers.runtime.terminal import Terminal

Plan = list[list[Any]]

_SIOCSIFFLAGS = 0x8914
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1
_CAPABILITIES = 64


class CannotExecute(Exception):
    """The workload's program cannot be executed; `exit_code` is 126 or 127 as for a shell."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Process:
    """The operations on the process itself; `channel` leads to the shim."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.uid = self.gid = 0
        self.groups: list[int] = []
        self.added_groups: list[str] = []
        self.capabilities = 0
        self.home = "/"
        # what the engine said of the network before anybody waited for it
        self.early: object = None

    def join_cgroups(self, procs: list[str]) -> None:
        """Move this process into cgroups by their cgroup.procs files (cgroups(7)), but into those that it was born in."""
        enter_cgroups(missing_cgroups(procs))

    def unshare(self, flags: int) -> None:
        """Leave further namespaces, once the cgroups are joined."""
        syscalls.unshare(flags)

    def hostname(self, name: str) -> None:
        """sethostname(2)."""
        syscalls.call("sethostname", name.encode(), len(name.encode()))

    def domainname(self, name: str) -> None:
        """setdomainname(2)."""
        syscalls.call("setdomainname", name.encode(), len(name.encode()))

    def loopback(self) -> None:
        """Bring `lo` up."""
        loopback()

    def network_offer(self) -> None:
        """Pass a netlink socket of this network namespace out, by which the engine configures it meanwhile."""
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
        self.channel.send({"network": True}, (sock.fileno(),))
        sock.close()

    def network_wait(self) -> None:
        """Wait until the engine has configured the network."""
        message = self.early or self.channel.receive()[0]
        if not isinstance(message, dict) or not message.get("go"):
            reason = message.get("error") if isinstance(message, dict) else None
            raise Refused(reason or "the engine did not configure the network")

    def pause(self, stage: str) -> None:
        """Wait before a stage until whoever makes the container step by step lets it go on."""
        self.channel.send({"pause": stage})
        while True:
            message, _ = self.channel.receive()
            if not isinstance(message, dict):
                raise Refused("nobody is there to let it go on")
            if "step" in message:
                return
            self.early = message

    def sysctl(self, name: str, value: str, usual: bool = False) -> None:
        """Write a namespaced kernel parameter through /proc/sys; one that is `usual` may fail on that of an outer container."""
        try:
            fd = os.open("/proc/sys/" + name.replace(".", "/"), os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if usual and error.errno == errno.EROFS:
                return
            raise
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)

    def keyring(self) -> None:
        """A session keyring of the container's own (keyctl(2)); a host without keyrings has nothing to separate."""
        try:
            syscalls.call("keyctl", syscalls.KEYCTL_JOIN_SESSION_KEYRING, None, 0, 0, 0)
        except OSError as error:
            if error.errno not in (38, 1):
                raise

    def rlimit(self, kind: int, soft: int, hard: int) -> None:
        """setrlimit(2); where that is more than this process may have, as much as it may."""
        try:
            resource.setrlimit(kind, (soft, hard))
            return
        except (ValueError, OSError):
            _, limit = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            hard = limit if hard == resource.RLIM_INFINITY else min(hard, limit)
        resource.setrlimit(kind, (hard if soft == resource.RLIM_INFINITY else min(soft, hard), hard))

    def oom_score(self, value: int) -> None:
        """Write /proc/self/oom_score_adj."""
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)

    def account(self, user: str, groups: list[str] | None = None) -> None:
        """Find who the workload runs as in the container's own /etc/passwd and /etc/group; `groups` are names or ids beside its own."""
        self.added_groups = groups or []
        self.uid, self.gid, self.groups, self.home = account.resolve(user, groups=self.added_groups)

    def bounding(self, keep: int) -> None:
        """Drop every capability outside `keep` from the bounding set (capabilities(7))."""
        for capability in range(_CAPABILITIES):
            if not keep >> capability & 1:
                try:
                    syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
                except OSError as error:
                    if error.errno == 22:
                        return
                    raise

    def no_new_privs(self) -> None:
        """prctl(PR_SET_NO_NEW_PRIVS)."""
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)

    def seccomp(self, program: str, flags: int = 0) -> None:
        """Load the compiled filter, given as hexadecimal text of sock_filter records."""
        syscalls.seccomp_filter(bytes.fromhex(program), flags)

    def apparmor(self, name: str) -> None:
        """Change to this profile on execve(2)."""
        apparmor.change_on_exec(name)

    def identity(self, keep: int, single_id: bool, init: bool = False) -> None:
        """Become the user, with no more capabilities than `keep`, and none unless it is root; `init` keeps what number 1 needs."""
        if single_id and (self.uid or self.gid):
            raise Refused(f"cannot become uid {self.uid}: this host gives only one user id (see `doctor`, subordinate ids)")
        if single_id and self.added_groups:
            raise Refused(f"cannot add group {self.added_groups[0]}: this host gives only one group id (see `doctor`, subordinate ids)")
        for fd in (0, 1, 2):
            own_stream(fd, self.uid, self.gid)
        if not single_id:
            os.setgroups(self.groups)
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
        permitted, _, _ = syscalls.capget()
        self.capabilities = keep & permitted if self.uid == 0 else 0
        syscalls.capset(self.capabilities | (reaper.kept(permitted) if init else 0), self.capabilities)
        die_with_parent()

    def chdir(self, path: str) -> None:
        """Enter the working directory as the user, with no descriptor left by which it could lie outside the root."""
        kept = self.channel.fileno()
        if kept > 3:
            syscalls.close_range(3, kept - 1, 0)
        syscalls.close_range(max(kept + 1, 3), flags=0)
        try:
            os.chdir(path or "/")
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            raise CannotExecute(f"working directory {path!r}: {(error.strerror or '').lower()}", code) from None
        if not os.getcwd().startswith("/"):
            raise Refused(f"working directory {path!r} is outside the container")

    def exec(self, arguments: list[str], environment: list[str], init: bool = False) -> None:
        """execve(2), found along the PATH of the container's environment; returns only by an exception.

        With `init` that happens in a child, and this process stays as number 1.
        """
        if init:
            reaper.split(self.capabilities)
        names = {entry.partition("=")[0] for entry in environment}
        if "HOME" not in names:
            environment = [*environment, "HOME=" + self.home]
        variables = {os.fsencode(name): os.fsencode(value) for name, _, value in (entry.partition("=") for entry in environment)}
        if b"" in variables or any("\0" in text for text in (*arguments, *environment)):
            raise CannotExecute("a variable without a name, or a NUL byte in a variable or an argument, cannot be given to a program", 125)
        program = arguments[0]
        denied = False
        if "/" in program:
            candidates = [program]
        else:
            path = os.fsdecode(variables.get(b"PATH", b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
            candidates = [f"{directory or '.'}/{program}" for directory in path.split(":")]
        for candidate in candidates:
            try:
                os.execve(candidate, arguments, variables)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError:
                denied = True
            except OSError as error:
                raise CannotExecute(f"exec {candidate}: {os.strerror(error.errno or 0).lower()}", 126) from None
        if denied:
            raise CannotExecute(f"exec {program}: permission denied", 126)
        where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
        raise CannotExecute(f"exec {program}: {where}", 127)

    def ready(self, timings_us: list[int], made: list[str]) -> None:
        """Tell the shim that all is done but the last operation: how long each took, and which mount points were made."""
        self.channel.send({"ready": True, "timings_us": timings_us, "made": made})

    def table(self) -> dict[str, Any]:
        """Name of each process operation of a plan -> the function that does it."""
        names = (
            "pause join_cgroups unshare hostname domainname loopback network_offer network_wait sysctl keyring rlimit oom_score account "
            "bounding apparmor no_new_privs seccomp identity chdir"
        )
        return {name: getattr(self, name) for name in names.split()}


def own_stream(fd: int, uid: int, gid: int) -> None:
    """Give a pipe, or the terminal that controls this process, to the user, so that /dev/stdout can be opened again."""
    try:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            os.fchown(fd, uid, gid)
        elif os.isatty(fd) and os.tcgetpgrp(fd) > 0:
            os.fchown(fd, uid, -1)
    except OSError:
        pass


def die_with_parent() -> None:
    """Be killed when the shim dies, so that nothing runs that nobody watches. Other ids clear this (PR_SET_PDEATHSIG(2const)).

    A shim that died before is noticed when this process tells it that it is ready.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)


def loopback() -> None:
    """Bring `lo` of this network namespace up (netdevice(7)); at once if it is."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16sH14x", b"lo", 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
    if not flags & _IFF_UP:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    sock.close()


def enter_cgroups(procs: list[str]) -> None:
    """Move this process, which has one thread, into cgroups by their cgroup.procs files.

    In version 1 by the file `tasks` beside it: a thread that moves only itself need not wait for an RCU grace period of 10 ms and more
    (cgroup_procs_write_start in the kernel's cgroup.c, since Linux 5.5).
    """
    for path in procs:
        try:
            fd = os.open(path[: -len("cgroup.procs")] + "tasks", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def missing_cgroups(procs: list[str]) -> list[str]:
    """Those of the cgroup.procs files whose cgroups of version 1 this process is not in (proc_pid_cgroup(5))."""
    fd = os.open("/proc/self/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 65536).decode("utf-8", "surrogateescape").rstrip("\n").split("\n")
    finally:
        os.close(fd)
    own = [
        (controllers.split(","), f"{path}/cgroup.procs") for _, controllers, path in (line.split(":", 2) for line in lines) if path != "/"
    ]

    def holds(procs_file: str) -> bool:
        for controllers, end in own:
            mount = procs_file[: -len(end)]
            if procs_file.endswith(end) and set(controllers) & set(mount.rpartition("/")[2].split(",")):
                return True
        return False

    return [path for path in procs if not holds(path)]


def become_workload(stdin: int, stdout: int, stderr: int) -> None:
    """In a new process: standard streams, a session of its own, and signals as a fresh program expects them."""
    for fd, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
    try:
        os.setsid()
    except PermissionError:
        pass
    # Ignored signals stay ignored across execve(2): those that the interpreter ignores, and those that whoever started us does (nohup).
    # What the interpreter knows to have its default action needs nothing; of the two that libc keeps to itself it knows nothing.
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) != signal.SIG_DFL:
            syscalls.reset_signal(number)
    os.umask(0o022)


def begin(stdin: int, stdout: int, stderr: int, plan: int, channel: Channel, inherited: dict[str, int] | None = None) -> None:
    """What init does as soon as it is cloned: take its streams and carry out the plan in the file `plan`; never returns.

    `inherited` are mounts by name, taken from namespaces that are shared (runtime.joining).
    """
    die_with_parent()
    become_workload(stdin, stdout, stderr)
    syscalls.prctl(syscalls.PR_SET_NAME, b"lab-init\0")
    run_plan(loads(read_all(plan)), channel, inherited)


def run_plan(plan: Plan, channel: Channel, inherited: dict[str, int] | None = None) -> None:
    """Carry out `plan` in this process; its last operation is `exec`, so this returns only by os._exit after an error.

    Each operation's microseconds go to the shim before exec; a failure goes there with those of the operations before it.
    """
    root = RootFileSystem()
    process = Process(channel)
    table = {**operation_table(root), **special_mounts.operations(root, inherited or {}), **process.table()}
    table.update(Terminal(root, channel).table())
    carry_out(plan, table, process, root)


def carry_out(plan: Plan, table: dict[str, Any], process: Process, root: RootFileSystem) -> None:
    """Do the operations of `plan` by the functions of `table`, then `exec`; as run_plan, which does it with those of the engine."""
    timings: list[int] = []
    try:
        for name, arguments in plan[:-1]:
            began = time.monotonic_ns()
            table[name](**arguments)
            timings.append((time.monotonic_ns() - began) // 1000)
        process.ready(timings, root.made)
        process.exec(**plan[-1][1])
    except BaseException as error:
        report(process.channel, plan, timings, error)
    os._exit(127)


def report(channel: Channel, plan: Plan, timings: list[int], error: BaseException) -> None:
    """Tell the shim which operation failed and why, as plain values; it is the one after those that `timings` are of."""
    name, arguments = plan[min(len(timings), len(plan) - 1)]
    about = str(arguments.get("target") or arguments.get("path") or arguments.get("source") or arguments.get("name") or "")
    failure: dict[str, Any] = {"operation": name, "about": about, "message": str(error), "exit_code": getattr(error, "exit_code", 125)}
    if isinstance(error, OSError):
        failure.update(errno=error.errno, message=(error.strerror or str(error)).lower())
    elif isinstance(error, ValueError):
        failure["message"] = "a text of it cannot be given to the kernel: it holds a NUL byte, or half a character"
    elif not isinstance(error, Refused | CannotExecute | account.UnknownAccount):
        failure["message"] = f"{type(error).__name__}: {error}"
    failure["timings_us"] = timings
    failure["refused"] = isinstance(error, Refused | CannotExecute | account.UnknownAccount)
    try:
        channel.send({"error": failure})
    except OSError:
        pass
