"""What the kernel did to make a container: each operation with its arguments, its time and its man page.

It must not run anything: it reads what was written down at the start.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.cgroups import PARENT
from labcontainers.units import format_duration

# Ids and digests are told by their first digits, as everywhere.
_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
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
    mounts.MS_STRICTATIME: "MS_STRICTATIME",
}
_MAN = {
    "join_cgroups": "cgroups(7)",
    "unshare": "unshare(2)",
    "network_offer": "rtnetlink(7)",
    "network_wait": "rtnetlink(7)",
    "loopback": "netdevice(7)",
    "private": "mount(2)",
    "overlay": "mount(2)",
    "bind_root": "open_tree(2)",
    "mount": "mount(2)",
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
}


def _flags(value: int, names: Mapping[int, str]) -> str:
    return "|".join(name for bit, name in names.items() if value & bit) or "0"


def _overlay(arguments: Mapping[str, Any]) -> str:
    lower = ":".join(arguments["lower"])
    return f'overlay "/" lowerdir={lower},upperdir={arguments["upper"]},workdir={arguments["work"]}'


def _groups(procs: Sequence[str]) -> str:
    """The groups of version 1 as `cpu memory pids: /labcontainers/ID`, since they differ in the controller alone."""
    parents = [path.removesuffix("/cgroup.procs").rpartition(f"/{PARENT}/") for path in procs]
    return f"{' '.join(parent.rpartition('/')[2] for parent, _, _ in parents)}: /{PARENT}/{parents[0][2]}" if parents else ""


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
    "bind": lambda a: f'"{a["source"]}" on "{a["target"]}"' + (" read-only" if a.get("attributes") else ""),
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
    "exec": lambda a: " ".join(a["arguments"]),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One kernel operation: `name` as in the plan, `arguments` readable, `result` "ok" or why not, microseconds or None.

    `man_page` is the page that tells of it, such as "pivot_root(2)".
    """

    name: str
    arguments: str
    result: str
    duration_us: int | None
    man_page: str

    @property
    def call(self) -> str:
        """What the kernel knows it as: the name of the manual page, such as "pivot_root"."""
        return self.man_page.partition("(")[0]


class Explanation(Sequence[Operation]):
    """All operations in order; prints as a table."""

    def __init__(self, name: str, operations: Sequence[Operation]) -> None:
        self.name = name
        self.operations = tuple(operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __getitem__(self, index: Any) -> Any:
        return self.operations[index]

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    @property
    def duration_us(self) -> int:
        """The microseconds of all operations together."""
        return sum(operation.duration_us or 0 for operation in self.operations)

    def __repr__(self) -> str:
        rows = [f"{'µs':>6}  {'operation':<14} {'man page':<18} arguments"]
        for operation in self.operations:
            microseconds = "" if operation.duration_us is None else str(operation.duration_us)
            failed = "" if operation.result == "ok" else f"  -> {operation.result}"
            rows.append(f"{microseconds:>6}  {operation.name:<14} {operation.man_page:<18} {operation.arguments[:110]}{failed}")
        rows.append(f"{len(self.operations)} operations made {self.name} in {format_duration(self.duration_us / 1e6)}")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        common = "vertical-align:top;padding:1px 12px 1px 0"
        word = f'style="{common};text-align:left;white-space:nowrap"'
        text = f'style="{common};text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;width:100%"'
        number = f'style="{common};text-align:right;white-space:nowrap;opacity:.7"'
        body = "".join(
            f"<tr><td {number}>{'' if row.duration_us is None else row.duration_us}</td><td {word}><b>{html.escape(row.name)}</b></td>"
            f"<td {word}>{html.escape(row.man_page)}</td>"
            f"<td {text}>{html.escape(row.arguments)}{'' if row.result == 'ok' else ' → ' + html.escape(row.result)}</td></tr>"
            for row in self.operations
        )
        head = f"<tr><th {number}>µs</th><th {word}>operation</th><th {word}>man page</th><th {text}>arguments</th></tr>"
        total = f"{len(self.operations)} operations made {html.escape(self.name)} in {format_duration(self.duration_us / 1e6)}"
        return (
            f'<div style="max-height:28em;overflow:auto"><table style="table-layout:auto;font-family:monospace;font-size:85%;width:100%">'
            f"<thead>{head}</thead><tbody>{body}</tbody></table></div><div style='opacity:.8'>{total}</div>"
        )


def explain(name: str, start: Mapping[str, Any], state: Mapping[str, Any]) -> Explanation:
    """The operations of the last start, from what the engine (`start`) and the shim (`state`) wrote down."""
    plan = start.get("plan", [])
    timings = state.get("timings_us", [])
    failure = state.get("error") if isinstance(state.get("error"), dict) else None
    operations = []
    if plan:
        clone = {"flags": start["clone_flags"], "into_cgroup": bool(start["cgroups"].get("unified"))}
        operations.append(Operation("clone", _TEXT["clone"](clone), "ok", None, _MAN["clone"]))
    reached = len(timings) if timings else None
    for index, (operation, arguments) in enumerate(plan):
        text = _TEXT.get(operation, _plain)(arguments)
        if operation == "join_cgroups" and state.get("in_cradle"):
            text = f"born in {text} (a process that waited there made the clone)"
        result = "ok"
        if failure is not None and (failure["operation"] == operation and (reached is None or index >= reached)):
            result = failure["message"]
        duration = timings[index] if index < len(timings) else None
        operations.append(Operation(operation, _ID.sub(r"\1…", text), result, duration, _MAN.get(operation, "")))
        if result != "ok":
            break
    return Explanation(name, operations)


def _plain(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())
