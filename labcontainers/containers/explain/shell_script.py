"""A container's plan as a shell script that makes the same by hand: for reading, and as root for running; it must not run anything.

The engine's order is kept, but for `pivot_root`: commands of the machine are needed until the last line, which is a chroot. Whatever the
script cannot do, it says in a comment that begins by "not done".
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labcontainers.containers.explain.shell_account import Account
from labcontainers.containers.explain.shell_inside import FUNCTIONS, commands_of, not_done
from labcontainers.kernel import syscalls

Arguments = Mapping[str, Any]
_UNSHARE = {
    syscalls.CLONE_NEWNS: "--mount",
    syscalls.CLONE_NEWPID: "--pid --fork",
    syscalls.CLONE_NEWNET: "--net",
    syscalls.CLONE_NEWIPC: "--ipc",
    syscalls.CLONE_NEWUTS: "--uts",
    syscalls.CLONE_NEWCGROUP: "--cgroup",
}
_KINDS = {syscalls.CLONE_NEWPID: "pid", syscalls.CLONE_NEWIPC: "ipc", syscalls.CLONE_NEWNET: "network"}
_HEAD = (
    "#!/bin/sh",
    "# The same container by hand: as root, while it does not run; with util-linux, coreutils, awk, iproute2, and here and there libcap.",
    "# The engine goes by descriptors and follows no symbolic link out of the image; commands go by paths, and follow any.",
    "set -eu",
    "umask 022",
)
# What a plan says in the place of an address that is not chosen yet.
UNKNOWN = "ADDRESS"
_quote = shlex.quote


def script(start: Arguments) -> str:
    """The script for what the engine wrote down at a start (`start.json`): limits, namespaces, file system, identity, program."""
    plan: Sequence[Sequence[Any]] = start["plan"]
    flags = start["clone_flags"] | next((arguments["flags"] for name, arguments in plan if name == "unshare"), 0)
    network = _Network(start)
    lines = [*_HEAD, *_control_groups(start), *_shared(start)]
    if network:
        lines += network.commands()
        flags &= ~syscalls.CLONE_NEWNET
    inner = "\n".join(_inside(plan))
    end = next(word for word in (f"INSIDE{number or ''}" for number in range(100)) if word not in inner)
    lines += [f"inside=$(cat <<'{end}'", inner, end, ")"]
    words = " ".join(word for bit, word in _UNSHARE.items() if flags & bit)
    enter = "in_network " if network else "exec "
    lines.append(f'{enter}unshare {words} sh -euc "$inside"')
    return "\n".join(lines) + "\n"


def _inside(plan: Sequence[Sequence[Any]]) -> Iterable[str]:
    """The commands of the first process, in the order of the plan."""
    yield from FUNCTIONS
    account = Account()
    for name, arguments in plan:
        commands = commands_of(name, arguments)
        if commands is None:
            account.take(name, arguments)
        else:
            yield from commands
    yield from account.commands()


def _control_groups(start: Arguments) -> Iterable[str]:
    """Made and limited as the engine did it, and entered before there are namespaces."""
    engine: Sequence[Sequence[Any]] = start.get("engine", ())
    groups = start.get("cgroups", {})
    limited = [arguments["path"].rpartition("/")[2].partition(".")[0] for name, arguments, *_ in engine if name == "limit"]
    for name, arguments, _, *error in engine:
        if name == "user_namespace":
            yield not_done("an ordinary user's engine is root of a user namespace; here it is the machine's root")
        elif name == "make_cgroups":
            yield from _make(arguments.get("paths", ()), groups, sorted(set(limited)))
        elif name in ("limit", "device_rule"):
            line = f"echo {_quote(arguments['value'])} > {_quote(arguments['path'])}"
            yield not_done(f"{line} ({error[0]})") if error else line
        elif name == "device_filter":
            yield not_done(f"a program for the kernel denies all devices but {', '.join(arguments['rules'])} (bpf(2))")
        elif name == "listen":
            what = f"port {arguments['port']} of {arguments['address']}"
            yield not_done(f"a process of the engine passes on what comes to {what} to port {arguments['to']} of the container")
    entered = [path for name, arguments in start["plan"] if name == "join_cgroups" for path in arguments["procs"]]
    entered += [f"{groups['unified']}/cgroup.procs"] if groups.get("unified") else []
    if entered:
        yield "# from here on the limits hold for this script, too"
    yield from (f"echo $$ > {_quote(path)}" for path in entered)


def _make(paths: Sequence[str], groups: Arguments, limited: Sequence[str]) -> Iterable[str]:
    """Directories; in version 2 with their controllers handed on, in version 1 with the CPUs of the group above."""
    for path in paths:
        parent = path.rpartition("/")[0]
        if path == groups.get("unified"):
            yield f"mkdir -p {_quote(parent)}"
            for controller in limited:
                for directory in (parent.rpartition("/")[0], parent):
                    yield f"echo +{controller} > {_quote(directory + '/cgroup.subtree_control')} 2>/dev/null || :"
        yield f"mkdir -p {_quote(path)}"
        if path == groups.get("v1", {}).get("cpuset"):
            yield f"for group in {_quote(parent)} {_quote(path)}; do for file in cpuset.cpus cpuset.mems; do"
            yield '    [ -n "$(cat $group/$file)" ] || cat $group/../$file > $group/$file'
            yield "done; done"


def _shared(start: Arguments) -> Iterable[str]:
    for join in start.get("joins", ()):
        kinds = " and ".join(kind for bit, kind in _KINDS.items() if join["flags"] & bit)
        where = "nsenter(1) enters those of a process; without it they are this machine's"
        yield not_done(f"the {kinds} namespace of the container {join['owner']} is joined: {where}")


class _Network:
    """A place in the bridge network; false where the container has none, or where it is not known."""

    def __init__(self, start: Arguments) -> None:
        entries = [entry[:2] for entry in (*start.get("engine", ()), *start.get("connect", ()))]
        self._veth: Arguments = next((arguments for name, arguments in entries if name == "veth"), {})
        inside = [(name, arguments) for name, arguments in entries if arguments.get("inside") is True]
        # earlier versions had all of it in one entry
        self._address = next((a["address"] for name, a in inside if name == "address"), self._veth.get("address", ""))
        self._gateway = next((a["gateway"] for name, a in inside if name == "route"), self._veth.get("gateway", ""))
        self._mac = next((a["mac"] for name, a in entries if name == "bridge"), "")

    def __bool__(self) -> bool:
        return bool(self._veth and self._address and self._gateway)

    def commands(self) -> Iterable[str]:
        """A network namespace that is held by a file, furnished before the container is in it; both go at the end of the script."""
        name, bridge, inside = (_quote(self._veth[key]) for key in ("outside", "bridge", "inside"))
        own = f" address {mac}" if (mac := self._veth.get("mac")) else ""
        yield "# the network, which the engine makes while the container's first process waits for it"
        if self._address.startswith(UNKNOWN):
            yield not_done(f"{UNKNOWN} and others in capitals are chosen at the start")
        yield f"made=; if ! ip link show {bridge} >/dev/null 2>&1; then"
        yield f"    ip link add {bridge}{f' address {self._mac}' if self._mac else ''} type bridge; made=yes"
        yield f"    ip address add {self._gateway}/{self._address.rpartition('/')[2]} dev {bridge}; ip link set {bridge} up"
        yield "fi"
        yield 'netns=$(mktemp); unshare --net="$netns" true'
        yield f"""trap 'umount "$netns"; rm "$netns"; [ -z "$made" ] || ip link del {bridge}' EXIT; trap 'exit 130' INT TERM"""
        yield 'in_network() { nsenter --net="$netns" "$@"; }'
        yield f"in_network ip link add {inside}{own} type veth peer name {name} netns $$; ip link set {name} master {bridge} up"
        yield f"in_network ip address add {self._address} dev {inside}"
        yield f"in_network ip link set {inside} up; in_network ip link set lo up"
        yield f"in_network ip route add default via {self._gateway}"
