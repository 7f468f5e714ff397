"""What each operation of a plan is called by the kernel, and how its arguments read: data for `explain`; it must not do any of them."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.cgroups import PARENT

_NAMESPACES = {
    syscalls.CLONE_NEWNS: "CLONE_NEWNS",
    syscalls.CLONE_NEWPID: "CLONE_NEWPID",
    syscalls.CLONE_NEWNET: "CLONE_NEWNET",
    syscalls.CLONE_NEWIPC: "CLONE_NEWIPC",
    syscalls.CLONE_NEWUTS: "CLONE_NEWUTS",
    syscalls.CLONE_NEWCGROUP: "CLONE_NEWCGROUP",
    syscalls.CLONE_NEWUSER: "CLONE_NEWUSER",
}
_MOUNT_FLAGS = {
    mounts.MS_RDONLY: "MS_RDONLY",
    mounts.MS_NOSUID: "MS_NOSUID",
    mounts.MS_NODEV: "MS_NODEV",
    mounts.MS_NOEXEC: "MS_NOEXEC",
    mounts.MS_SYNCHRONOUS: "MS_SYNCHRONOUS",
    mounts.MS_DIRSYNC: "MS_DIRSYNC",
    mounts.MS_NOATIME: "MS_NOATIME",
    mounts.MS_NODIRATIME: "MS_NODIRATIME",
    mounts.MS_RELATIME: "MS_RELATIME",
    mounts.MS_STRICTATIME: "MS_STRICTATIME",
}
MAN = {
    "join_cgroups": "cgroups(7)",
    "unshare": "unshare(2)",
    "network_offer": "rtnetlink(7)",
    "network_wait": "rtnetlink(7)",
    "pause": "recvmsg(2)",
    "loopback": "netdevice(7)",
    "private": "mount(2)",
    "overlay": "mount(2)",
    "bind_root": "open_tree(2)",
    "mount": "mount(2)",
    "join": "mount_namespaces(7)",
    "layers": "mount(2)",
    "tmpfs": "mount(2)",
    "secret": "tmpfs(5)",
    "bind": "move_mount(2)",
    "device": "mknod(2)",
    "symlink": "symlink(2)",
    "mask": "mount(2)",
    "readonly": "mount_setattr(2)",
    "make_directory": "mkdir(2)",
    "pivot": "pivot_root(2)",
    "finish": "mount_setattr(2)",
    "hostname": "sethostname(2)",
    "sysctl": "proc(5)",
    "rlimit": "setrlimit(2)",
    "keyring": "keyctl(2)",
    "account": "passwd(5)",
    "bounding": "capabilities(7)",
    "no_new_privs": "prctl(2)",
    "seccomp": "seccomp(2)",
    "identity": "capabilities(7)",
    "chdir": "chdir(2)",
    "exec": "execve(2)",
    "clone": "clone(2)",
    "apparmor": "apparmor(7)",
    "attach_shared": "move_mount(2)",
    "bind_device": "move_mount(2)",
    "bind_kernel": "move_mount(2)",
    "device_node": "mknod(2)",
    "domainname": "setdomainname(2)",
    "oom_score": "proc_pid_oom_score_adj(5)",
    "terminal": "pty(7)",
    # what the engine and the shim do outside
    "make_directories": "mkdir(2)",
    "make_volume": "mkdir(2)",
    "copy_up": "sendfile(2)",
    "user_namespace": "user_namespaces(7)",
    "make_cgroups": "cgroups(7)",
    "limit": "cgroups(7)",
    "device_rule": "cgroups(7)",
    "device_filter": "bpf(2)",
    "listen": "listen(2)",
    "network": "rtnetlink(7)",
    "bridge": "rtnetlink(7)",
    "address": "rtnetlink(7)",
    "link_up": "rtnetlink(7)",
    "route": "rtnetlink(7)",
    "veth": "veth(4)",
    "join_namespaces": "setns(2)",
    "forward": "accept(2)",
}
# The files of /etc, each with a page of its own.
_ETC_PAGES = {"hostname": "hostname(5)", "hosts": "hosts(5)", "resolv.conf": "resolv.conf(5)"}


def _flags(value: int, names: Mapping[int, str]) -> str:
    return "|".join(name for bit, name in names.items() if value & bit) or "0"


def _overlay(arguments: Mapping[str, Any]) -> str:
    lower = ":".join(arguments["lower"])
    return f'overlay "/" lowerdir={lower},upperdir={arguments["upper"]},workdir={arguments["work"]}'


def _bind(arguments: Mapping[str, Any]) -> str:
    source = f"{arguments['source']}/{arguments['subpath']}" if arguments.get("subpath") else arguments["source"]
    words = ["read-only"] * bool(arguments.get("attributes")) + ["without what is mounted below"] * (arguments.get("recursive") is False)
    return f'"{source}" on "{arguments["target"]}" {", ".join(words)}'.rstrip()


def _groups(procs: Sequence[str]) -> str:
    """The groups of version 1 as `cpu memory pids: /labcontainers/ID`, since they differ in the controller alone."""
    parents = [path.removesuffix("/cgroup.procs").rpartition(f"/{PARENT}/") for path in procs]
    return f"{' '.join(parent.rpartition('/')[2] for parent, _, _ in parents)}: /{PARENT}/{parents[0][2]}" if parents else ""


def _where(arguments: Mapping[str, Any]) -> str:
    return " inside" if arguments.get("inside") else ""


def _veth(a: Mapping[str, Any]) -> str:
    text = f"{a['outside']} on {a['bridge']} to {a['inside']}"
    # earlier versions told of the whole network in this one
    return (
        f"{text}: {a['address']}, default route by {a['gateway']}" if "gateway" in a else f"RTM_NEWLINK {text} with the address {a['mac']}"
    )


# What was made while nothing was to be done (runtime.cradle); the clone(2) that follows makes the other namespaces.
_SPARE = "a spare one, in which a process waits that has new network, IPC and UTS namespaces, renamed to "
_TEXT: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "clone": lambda a: _flags(a["flags"], _NAMESPACES) + ("|CLONE_INTO_CGROUP" if a.get("into_cgroup") else ""),
    "join_cgroups": lambda a: _groups(a["procs"]),
    "unshare": lambda a: _flags(a["flags"], _NAMESPACES),
    "network_offer": lambda a: "open a netlink socket in the new namespace for the engine",
    "network_wait": lambda a: "wait for the veth pair, the address and the route",
    "loopback": lambda a: 'ioctl SIOCSIFFLAGS "lo" IFF_UP',
    "private": lambda a: '"/" MS_REC|MS_PRIVATE',
    "overlay": _overlay,
    "mount": lambda a: f'{a["fstype"]} "{a["target"]}" {_flags(a["flags"], _MOUNT_FLAGS)} {a["data"]}'.rstrip(),
    "join": lambda a: f'open_tree "{a["source"]}" and make it {a["propagation"]}',
    "layers": lambda a: f'overlay "{a["target"]}" lowerdir={":".join(a["lower"])}',
    "tmpfs": lambda a: f'tmpfs "{a["target"]}" {_flags(a["flags"], _MOUNT_FLAGS)} {a["data"]}'.rstrip(),
    "secret": lambda a: f'"{a["target"]}" of a tmpfs, mode {a["mode"]:o}, what it says is not told',
    "bind": _bind,
    "device": lambda a: f'"{a["path"]}" {a["major"]}:{a["minor"]}' + (" bound from the host" if a["bind"] else ""),
    "symlink": lambda a: f'"{a["path"]}" -> "{a["target"]}"',
    "mask": lambda a: f'hide "{a["path"]}"',
    "readonly": lambda a: f'"{a["path"]}" MOUNT_ATTR_RDONLY',
    "pivot": lambda a: '"." "." then umount2 MNT_DETACH',
    "finish": lambda a: '"/" MOUNT_ATTR_RDONLY' if a["readonly"] else '"/" stays writable',
    "sysctl": lambda a: f"{a['name']} = {a['value']}",
    "bounding": lambda a: f"keep {a['keep']:#x}",
    "identity": lambda a: f"setgroups, setresgid, setresuid, capset keep {a['keep']:#x}",
    "seccomp": lambda a: f"SECCOMP_SET_MODE_FILTER, {a.get('bytes', 0) // 8} instructions",
    "exec": lambda a: " ".join(a["arguments"]) + (" as a child of the small init" if a.get("init") else ""),
    "account": lambda a: f"find {a['user'] or 'root'!r} in the image's /etc/passwd" + _more_groups(a),
    "apparmor": lambda a: f"exec {a['name']}",
    "attach_shared": lambda a: f'"{a["target"]}" of the container whose ipc namespace is joined',
    "bind_device": lambda a: f'"{a["source"]}" on "{a["target"]}"',
    "bind_kernel": lambda a: f'"{a["source"]}" on "{a["target"]}"',
    "device_node": lambda a: f'"{a["path"]}" {a["kind"]} {a["major"]}:{a["minor"]} mode {a["mode"]:o}',
    "terminal": lambda a: f"posix_openpt, {a['rows']} rows of {a['columns']} columns" + (', bound on "/dev/console"' * bool(a["console"])),
    "rlimit": lambda a: f"{_limit_name(a['kind'])} {_limit(a['soft'])}:{_limit(a['hard'])}",
    "keyring": lambda a: "KEYCTL_JOIN_SESSION_KEYRING",
    "no_new_privs": lambda a: "PR_SET_NO_NEW_PRIVS",
    "make_directory": lambda a: f'"{a["path"]}" mode {a["mode"]:o}',
    "hostname": lambda a: f'"{a["name"]}"',
    "domainname": lambda a: f'"{a["name"]}"',
    "chdir": lambda a: f'"{a["path"]}"',
    "oom_score": lambda a: str(a["value"]),
    "user_namespace": lambda a: _USER_NAMESPACES[a["ids"]],
    "make_directories": lambda a: f'"{a["path"]}" with upper, work, root and etc in it',
    "make_volume": lambda a: f'"{a["path"]}"',
    "copy_up": lambda a: f'what the image has at "{a["source"]}" into "{a["target"]}"',
    "etc_file": lambda a: f'"{a["path"]}"',
    "make_cgroups": lambda a: (_SPARE if a.get("spare") else "mkdir ") + _groups([f"{path}/cgroup.procs" for path in a.get("paths", ())]),
    "device_rule": lambda a: f"{a['value']} into {a['path'].rpartition('/')[2]}",
    "device_filter": lambda a: f"BPF_PROG_LOAD and BPF_PROG_ATTACH BPF_CGROUP_DEVICE: {', '.join(a['rules'])}",
    "limit": lambda a: f"{a['value']} into {a['path'].rpartition('/')[2]}",
    "listen": lambda a: f"{a['address']}:{a['port']} for port {a['to']} of the container",
    "network": lambda a: f"a place in the network {a['name']}",
    "bridge": lambda a: f"RTM_NEWLINK {a['interface']}: a bridge with the address {a['mac']}",
    "address": lambda a: f"RTM_NEWADDR {a['address']} on {a['interface']}{_where(a)}",
    "link_up": lambda a: f"RTM_SETLINK {a['interface']} up{_where(a)}",
    "route": lambda a: f"RTM_NEWROUTE default by {a['gateway']}{_where(a)}",
    "veth": _veth,
    "join_namespaces": lambda a: f"{_flags(a['flags'], _NAMESPACES)} of the container {a['owner']}",
    "forward": lambda a: (
        "a process in the container's network namespace passes on what comes to port "
        + ", ".join(f"{outside} (to {inside})" for outside, inside in a["ports"])
    ),
    "prepare": lambda a: "see what this host can give of what was asked for",
}

_USER_NAMESPACES: Mapping[str, str] = {
    "subordinate": "CLONE_NEWUSER by the launcher, once: root inside is this user, all other ids are its subordinate ones (newuidmap)",
    "single": "CLONE_NEWUSER by the launcher, once: root inside is this user, and there is no other id",
}


def _more_groups(arguments: Mapping[str, Any]) -> str:
    return f", and the groups {', '.join(arguments['groups'])}" if arguments.get("groups") else ""


def _limit(value: int) -> str:
    return "unlimited" if value in (resource.RLIM_INFINITY, -1) else str(value)


def _limit_name(kind: int) -> str:
    return next((name for name in dir(resource) if name.startswith("RLIMIT_") and getattr(resource, name) == kind), str(kind))


def describe(operation: str, arguments: Mapping[str, Any]) -> str:
    """The arguments of an operation, readable."""
    return _TEXT.get(operation, _plain)(arguments)


def man_page(operation: str, arguments: Mapping[str, Any]) -> str:
    """The page that tells of it, or ""."""
    if operation == "etc_file":
        return _ETC_PAGES[arguments["path"].rpartition("/")[2]]
    return MAN.get(operation, "")


def _plain(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())
