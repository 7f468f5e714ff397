"""The only code that runs inside a container's namespaces: it carries out the plan, operation by operation, and execs the workload.

It must not import anything once it has entered the container's root, and knows nothing of images or engines.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import struct
import time
from typing import Any

from labcontainers.kernel import syscalls
from labcontainers.runtime import account
from labcontainers.runtime.handshake import Channel, read_all
from labcontainers.runtime.rootfs import Refused, RootFileSystem, operation_table

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
        self.home = "/"

    def join_cgroups(self, procs: list[str]) -> None:
        """Move this process into cgroups by their cgroup.procs files (cgroups(7)), unless it was born in them."""
        if not in_cgroups(procs):
            enter_cgroups(procs)

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
        """Bring `lo` up (netdevice(7))."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16sH14x", b"lo", 0)
            flags = struct.unpack("16sH14x", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))

    def network_offer(self) -> None:
        """Pass a netlink socket of this network namespace out, by which the engine configures it meanwhile."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0) as sock:
            self.channel.send({"network": True}, (sock.fileno(),))

    def network_wait(self) -> None:
        """Wait until the engine has configured the network."""
        message, _ = self.channel.receive()
        if not isinstance(message, dict) or not message.get("go"):
            reason = message.get("error") if isinstance(message, dict) else None
            raise Refused(reason or "the engine did not configure the network")

    def sysctl(self, name: str, value: str) -> None:
        """Write a namespaced kernel parameter through /proc/sys."""
        fd = os.open("/proc/sys/" + name.replace(".", "/"), os.O_WRONLY | os.O_CLOEXEC)
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
        """setrlimit(2), never above what this process may have."""
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

    def account(self, user: str) -> None:
        """Find who the workload runs as in the container's own /etc/passwd and /etc/group."""
        self.uid, self.gid, self.groups, self.home = account.resolve(user)

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

    def seccomp(self, program: str) -> None:
        """Load the compiled filter, given as hexadecimal text of sock_filter records."""
        syscalls.seccomp_filter(bytes.fromhex(program))

    def identity(self, keep: int, single_id: bool) -> None:
        """Become the user, with no more capabilities than `keep`, and none unless it is root."""
        if single_id and (self.uid or self.gid):
            raise Refused(f"cannot become uid {self.uid}: this host gives only one user id (see `doctor`, subordinate ids)")
        for fd in (0, 1, 2):
            _own_pipe(fd, self.uid, self.gid)
        if not single_id:
            os.setgroups(self.groups)
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
        permitted, _, _ = syscalls.capget()
        mask = keep & permitted if self.uid == 0 else 0
        syscalls.capset(mask, mask)
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
            raise CannotExecute(f"working directory {path!r}: {(error.strerror or '').lower()}", 126) from None
        if not os.getcwd().startswith("/"):
            raise Refused(f"working directory {path!r} is outside the container")

    def exec(self, arguments: list[str], environment: list[str]) -> None:
        """execve(2), found along the PATH of the container's environment; returns only by an exception."""
        names = {entry.partition("=")[0] for entry in environment}
        if "HOME" not in names:
            environment = [*environment, "HOME=" + self.home]
        variables = {os.fsencode(name): os.fsencode(value) for name, _, value in (entry.partition("=") for entry in environment)}
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

    def table(self) -> dict[str, Any]:
        """Name of each process operation of a plan -> the function that does it."""
        names = (
            "join_cgroups unshare hostname domainname loopback network_offer network_wait sysctl keyring rlimit oom_score account "
            "bounding no_new_privs seccomp identity chdir"
        )
        return {name: getattr(self, name) for name in names.split()}


def _own_pipe(fd: int, uid: int, gid: int) -> None:
    """Give a pipe to the user, so that /dev/stdout can be opened again."""
    try:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            os.fchown(fd, uid, gid)
    except OSError:
        pass


def die_with_parent() -> None:
    """Be killed when the shim dies, so that nothing runs that nobody watches. Other ids clear this (PR_SET_PDEATHSIG(2const)).

    A shim that died before is noticed when this process tells it that it is ready.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)


def enter_cgroups(procs: list[str]) -> None:
    """Move this process into cgroups by their cgroup.procs files."""
    for path in procs:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def in_cgroups(procs: list[str]) -> bool:
    """Whether this process is in every one of the cgroups of version 1 whose cgroup.procs files are given (proc_pid_cgroup(5))."""
    fd = os.open("/proc/self/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 65536).decode("utf-8", "surrogateescape").splitlines()
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

    return all(map(holds, procs))


def become_workload(stdin: int, stdout: int, stderr: int) -> None:
    """In a new process: standard streams, a session of its own, and signals as a fresh program expects them."""
    for fd, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
    try:
        os.setsid()
    except PermissionError:
        pass
    # Ignored signals stay ignored across execve(2): those that the interpreter ignores, and those that whoever started us does (nohup).
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            syscalls.reset_signal(number)
    os.umask(0o022)


def begin(stdin: int, stdout: int, stderr: int, plan: int, channel: Channel) -> None:
    """What init does as soon as it is cloned: take its streams and carry out the plan in the file `plan`; never returns."""
    die_with_parent()
    become_workload(stdin, stdout, stderr)
    syscalls.prctl(syscalls.PR_SET_NAME, b"lab-init\0")
    run_plan(json.loads(read_all(plan)), channel)


def run_plan(plan: Plan, channel: Channel) -> None:
    """Carry out `plan` in this process; its last operation is `exec`, so this returns only by os._exit after an error.

    Each operation's microseconds go to the shim before exec; a failure goes there with the operation's index.
    """
    root = RootFileSystem()
    process = Process(channel)
    table = {**operation_table(root), **process.table()}
    timings: list[int] = []
    try:
        for name, arguments in plan[:-1]:
            began = time.monotonic_ns()
            table[name](**arguments)
            timings.append((time.monotonic_ns() - began) // 1000)
        channel.send({"ready": True, "timings_us": timings, "made": root.made})
        process.exec(**plan[-1][1])
    except BaseException as error:
        report(channel, plan, len(timings), error)
    os._exit(127)


def report(channel: Channel, plan: Plan, index: int, error: BaseException) -> None:
    """Tell the shim which operation failed and why, as plain values."""
    name, arguments = plan[min(index, len(plan) - 1)]
    about = str(arguments.get("target") or arguments.get("path") or arguments.get("source") or arguments.get("name") or "")
    failure: dict[str, Any] = {"operation": name, "about": about, "message": str(error), "exit_code": getattr(error, "exit_code", 125)}
    if isinstance(error, OSError):
        failure.update(errno=error.errno, message=(error.strerror or str(error)).lower())
    elif not isinstance(error, Refused | CannotExecute | account.UnknownAccount):
        failure["message"] = f"{type(error).__name__}: {error}"
    failure["refused"] = isinstance(error, Refused | CannotExecute | account.UnknownAccount)
    try:
        channel.send({"error": failure})
    except OSError:
        pass
