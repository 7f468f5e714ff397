"""The single attempts of `doctor`: each does one thing for real in a process of its own and raises OSError where the kernel refuses.

It must not explain a refusal, and leaves nothing behind that does not end with its process, but files in the scratch directory.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from labcontainers.kernel import mounts, syscalls

_IFF_UP = 1
_IFF_TUN_NO_PI = 0x1001
_SIOCSIFFLAGS = 0x8914
_TUNSETIFF = 0x400454CA
_ALLOW_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


def user_namespace() -> None:
    """unshare(CLONE_NEWUSER)."""
    syscalls.unshare(syscalls.CLONE_NEWUSER)


def write_single_map(uid: int, gid: int) -> None:
    """Map root of the own new user namespace to one user, which needs no helper: user_namespaces(7)."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def single_id_map(uid: int, gid: int) -> str:
    """A user namespace with this user alone as its root."""
    user_namespace()
    write_single_map(uid, gid)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return "root inside is this user"


def take_subordinate_id() -> None:
    """Become user 1 of a mapped namespace, which is a subordinate id."""
    os.setgroups([])
    os.setresgid(1, 1, 1)
    os.setresuid(1, 1, 1)


def _own_mounts(flags: int = 0) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS | flags)
    mounts.mount("none", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)


def _in_new_pid_namespace(action: Callable[[], None]) -> None:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def tmpfs(scratch: str, user_namespace: bool) -> str:
    """A tmpfs in a mount namespace of its own."""
    _own_mounts()
    mounts.mount("tmpfs", scratch, "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, "size=64k")
    with open(f"{scratch}/file", "w", encoding="ascii") as file:
        file.write("x")
    return ""


def overlay(scratch: str, user_namespace: bool) -> str:
    """An overlay on the store's own file system: read through it, write, and delete a file of the lower layer."""
    _own_mounts()
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{scratch}/{name}", 0o755)
    with open(f"{scratch}/lower/file", "w", encoding="ascii") as file:
        file.write("x")
    options = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work"
    mounts.mount("overlay", f"{scratch}/merged", "overlay", 0, options + ",userxattr" * user_namespace)
    with open(f"{scratch}/merged/new", "w", encoding="ascii") as file:
        file.write("x")
    os.unlink(f"{scratch}/merged/file")
    if os.listdir(f"{scratch}/merged") != ["new"]:
        raise OSError(5, "a deleted file is still there")
    return "userxattr" if user_namespace else ""


def fresh_proc(scratch: str, user_namespace: bool) -> str:
    """A /proc of a new process namespace, which shows its own processes alone."""
    _own_mounts()
    _in_new_pid_namespace(lambda: mounts.mount("proc", scratch, "proc", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC))
    return ""


def sysfs(scratch: str, user_namespace: bool) -> str:
    """A /sys of a new network namespace."""
    _own_mounts(syscalls.CLONE_NEWNET)
    mounts.mount("sysfs", scratch, "sysfs", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC | mounts.MS_RDONLY)
    return ""


def pivot_root(scratch: str, user_namespace: bool) -> str:
    """Change the root directory for good, as a container's first process does."""
    _own_mounts()
    mounts.mount("tmpfs", scratch, "tmpfs", 0, "size=64k")
    os.chdir(scratch)
    mounts.pivot_root(".", ".")
    mounts.umount2(".", mounts.MNT_DETACH)
    os.chdir("/")
    if os.listdir("/"):
        raise OSError(5, "the old root is still there")
    return ""


def host_name(scratch: str, user_namespace: bool) -> str:
    """A name of its own for a new UTS namespace: sethostname(2)."""
    syscalls.unshare(syscalls.CLONE_NEWUTS)
    syscalls.call("sethostname", b"lab", 3)
    return ""


def network_namespace(scratch: str, user_namespace: bool) -> str:
    """A network namespace with its loopback up."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    return ""


def veth_and_bridge(scratch: str, user_namespace: bool) -> str:
    """A bridge and a veth pair in a network namespace of their own: rtnetlink(7)."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        for kind, name in ((b"bridge", b"lab-b"), (b"veth", b"lab-v")):
            try:
                _add_link(route, kind, name)
            except OSError as error:
                raise OSError(error.errno, f"{kind.decode()}: {error.strerror}") from None
    return ""


def _add_link(route: socket.socket, kind: bytes, name: bytes) -> None:
    def attribute(number: int, value: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)

    body = bytes(16) + attribute(3, name + b"\0") + attribute(18, attribute(1, kind))  # IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND
    route.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)  # RTM_NEWLINK; REQUEST ACK CREATE EXCL
    (code,) = struct.unpack_from("=i", route.recv(4096), 16)
    if code:
        raise OSError(-code, os.strerror(-code))


def tun(scratch: str, user_namespace: bool) -> str:
    """A tun device in a network namespace of its own."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sh22x", b"lab%d", _IFF_TUN_NO_PI))
    return ""


def cgroup(request: dict[str, Any]) -> str:
    """Make and remove a control group in every hierarchy where this process may; says "mode: where"."""
    mode, places = _cgroup_places()
    done, failure = [], OSError(2, "no control groups are mounted")
    for label, path in places:
        trial = f"{path}/labcontainers-doctor-{os.getpid()}"
        try:
            os.mkdir(trial)
            os.rmdir(trial)
            done.append(label)
        except OSError as error:
            failure = error
    if not done:
        raise OSError(failure.errno, f"{mode}: {places[0][1] if places else '/sys/fs/cgroup'}")
    return f"{mode}: {' '.join(done)}"


def _cgroup_places() -> tuple[str, list[tuple[str, str]]]:
    """("v2" | "hybrid" | "v1" | "none", [(controllers, directory)]): the top as root, else the own group; cgroups(7)."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    own = {("" if number == "0" else names): path for number, names, path in rows}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = [(before.split(), after.split()) for before, _, after in (line.partition(" - ") for line in file)]
    unified: list[tuple[str, str]] = []
    old: list[tuple[str, str]] = []
    for before, after in lines:
        if after[0] not in ("cgroup", "cgroup2"):
            continue
        names = [name for name in after[2].split(",") if name in ("memory", "pids", "cpu", "cpuset", "freezer", "blkio", "devices")]
        key = "" if after[0] == "cgroup2" else next((one for one in own if names and names[0] in one.split(",")), None)
        if key is None or key not in own:
            continue
        path = before[4] if os.geteuid() == 0 else os.path.normpath(before[4] + "/" + own[key])
        (unified if after[0] == "cgroup2" else old).append((_controllers(path) if after[0] == "cgroup2" else ",".join(names), path))
    mode = ("hybrid" if old else "v2") if unified else ("v1" if old else "none")
    if mode == "hybrid":
        unified = [("unified", path) for _, path in unified]
    return mode, unified + old


def _controllers(path: str) -> str:
    try:
        with open(f"{path}/cgroup.controllers", encoding="utf-8") as file:
            return file.read().strip().replace(" ", ",") or "unified"
    except OSError:
        return "unified"


def no_new_privs(request: dict[str, Any]) -> str:
    """prctl(PR_SET_NO_NEW_PRIVS)."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    return ""


def seccomp(request: dict[str, Any]) -> str:
    """Load a filter that allows everything."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.seccomp_filter(_ALLOW_EVERYTHING)
    return ""


def pidfd(request: dict[str, Any]) -> str:
    """pidfd_open(2) and a signal through it."""
    fd = syscalls.pidfd_open(os.getpid())
    syscalls.pidfd_send_signal(fd, 0)
    return ""


def clone3(request: dict[str, Any]) -> str:
    """clone3(2), without the fall-back to clone(2)."""
    arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    pid = syscalls.call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return ""


def openat2(request: dict[str, Any]) -> str:
    """openat2(2) with a root of its own."""
    root = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.close(syscalls.openat2(root, "/self/../self/stat", os.O_RDONLY))
    return ""


def memfd_exec(request: dict[str, Any]) -> str:
    """Run a copy of the interpreter from a sealed memory file."""
    path = os.path.realpath(sys.executable)
    copy = os.memfd_create("labcontainers-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(path, "rb") as file:
        size, done = os.fstat(file.fileno()).st_size, 0
        while done < size:
            done += os.sendfile(copy, file.fileno(), done, size - done)
    fcntl.fcntl(copy, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    pid = os.fork()
    if pid == 0:
        try:
            os.execve(f"/proc/self/fd/{copy}", [sys.executable, "-I", "-S", "-c", ""], {})
        except OSError as error:
            os._exit(error.errno or 255)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, os.strerror(code) if code > 0 else f"ended by signal {-code}")
    return ""


PRIVILEGED: dict[str, Callable[[str, bool], str]] = {
    "tmpfs": tmpfs,
    "overlay": overlay,
    "fresh /proc": fresh_proc,
    "sysfs": sysfs,
    "pivot_root": pivot_root,
    "host name": host_name,
    "network namespace": network_namespace,
    "veth and bridge": veth_and_bridge,
    "tun device": tun,
}
ORDINARY: dict[str, Callable[[dict[str, Any]], str]] = {
    "control groups": cgroup,
    "seccomp filter": seccomp,
    "no_new_privs": no_new_privs,
    "pidfd": pidfd,
    "clone3": clone3,
    "openat2": openat2,
    "memfd exec": memfd_exec,
}
