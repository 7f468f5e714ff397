"""What proc(5) tells of how one process is set apart: namespaces, ids, capabilities, filters, control group, mounts, network.

It must not know containers. What this user may not look at is None, and never guessed. Sources: proc_pid_status(5),
proc_pid_mountinfo(5), namespaces(7), user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from labcontainers.kernel import capabilities

# In the order in which they are told; the files of /proc/PID/ns. `time` is of Linux 5.6.
KINDS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time")
# Ranges of ids: (inside, outside, count).
IdMap = tuple[tuple[int, int, int], ...]
_INODE = re.compile(r"\[(\d+)\]")
_ESCAPED = re.compile(r"\\([0-7]{3})")
_SECCOMP = {"0": "off", "1": "strict", "2": "filter"}


@dataclass(frozen=True, slots=True)
class MountFacts:
    """One mount: where it is, of which file system (`device` is major:minor, `root` the part of it), and how changes travel.

    `propagation` is "private", or such as "shared", "follows" (a slave) and "unbindable".
    """

    target: str
    fstype: str
    source: str
    device: str
    root: str
    read_only: bool
    propagation: str = "private"

    def shows(self, other: MountFacts) -> bool:
        """Whether all that `other` shows is of the same file system and lies in what this one shows."""
        root = self.root.rstrip("/")
        return self.device == other.device and (other.root == self.root or other.root.startswith(f"{root}/"))


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process as it is now. `namespaces` are inodes by kind; capability sets are names; maps are (inside, outside, count)."""

    pid: int
    command: str
    namespaces: dict[str, int | None]
    uid: int
    gid: int
    groups: tuple[int, ...]
    uid_map: tuple[tuple[int, int, int], ...] | None
    gid_map: tuple[tuple[int, int, int], ...] | None
    effective: frozenset[str]
    bounding: frozenset[str]
    seccomp: str
    seccomp_filters: int
    no_new_privileges: bool
    security_label: str
    cgroup: str
    mounts: tuple[MountFacts, ...] | None
    interfaces: tuple[str, ...] | None
    addresses: tuple[str, ...] | None


def read_process(pid: int, proc: str = "/proc") -> ProcessFacts:
    """What is known of the process `pid` now; raises ProcessLookupError when there is none."""
    base = f"{proc}/{pid}"
    text = _text(f"{base}/status")
    if not text:
        raise ProcessLookupError(f"no process {pid}")
    status = {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    mounts = _text(f"{base}/mountinfo")
    return ProcessFacts(
        pid=pid,
        command=status.get("Name", ""),
        namespaces=read_namespaces(pid, proc),
        uid=_effective(status["Uid"]),
        gid=_effective(status["Gid"]),
        groups=tuple(map(int, status.get("Groups", "").split())),
        uid_map=_id_map(_text(f"{base}/uid_map")),
        gid_map=_id_map(_text(f"{base}/gid_map")),
        effective=capabilities.names_of(int(status.get("CapEff", "0"), 16)),
        bounding=capabilities.names_of(int(status.get("CapBnd", "0"), 16)),
        seccomp=_SECCOMP.get(status.get("Seccomp", "0"), "off"),
        seccomp_filters=int(status.get("Seccomp_filters", "0") or 0),
        no_new_privileges=status.get("NoNewPrivs", "0") == "1",
        security_label=(_text(f"{base}/attr/current") or "").strip("\0\n "),
        cgroup=_cgroup(_text(f"{base}/cgroup") or ""),
        mounts=None if mounts is None else tuple(map(_mount, filter(None, mounts.split("\n")))),
        interfaces=_interfaces(_text(f"{base}/net/dev")),
        addresses=_addresses(base),
    )


def read_namespaces(pid: int, proc: str = "/proc") -> dict[str, int | None]:
    """The inode of each kind of namespace that this kernel has; None for what this user may not see."""
    found: dict[str, int | None] = {}
    for kind in KINDS:
        try:
            match = _INODE.search(os.readlink(f"{proc}/{pid}/ns/{kind}"))
        except FileNotFoundError:
            continue
        except OSError:
            found[kind] = None
            continue
        found[kind] = int(match[1]) if match else None
    return found


def processes(proc: str = "/proc") -> Iterator[int]:
    """The pids of all processes, in order."""
    yield from sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def read_id_map(pid: int, proc: str = "/proc") -> IdMap | None:
    """How the user ids of a process' user namespace are this machine's; None where that cannot be read."""
    return _id_map(_text(f"{proc}/{pid}/uid_map"))


def command_of(pid: int, proc: str = "/proc") -> str:
    """The name that the kernel knows a process by, or "" when it is gone."""
    return (_text(f"{proc}/{pid}/comm") or "").strip()


def id_map_text(ranges: tuple[tuple[int, int, int], ...] | None) -> str:
    """A map of ids in words: `0 is 1000` or `0-65535 are 100000-165535`."""
    if ranges is None:
        return "not readable"
    if ranges == ((0, 0, 4294967295),):
        return "all ids as they are"
    return ", ".join(_range_text(*one) for one in ranges) or "none"


def _range_text(inside: int, outside: int, count: int) -> str:
    if count == 1:
        return f"{inside} is {outside}"
    return f"{inside}-{inside + count - 1} are {outside}-{outside + count - 1}"


def _effective(ids: str) -> int:
    """Of real, effective, saved and file system's id the second."""
    return int(ids.split()[1])


def _text(path: str) -> str | None:
    """The file as it is. Lines end by line feeds alone: names of others are in it, with what else Python takes for ends of lines."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()
    except OSError:
        return None


def _id_map(text: str | None) -> tuple[tuple[int, int, int], ...] | None:
    if text is None:
        return None
    rows = [tuple(map(int, line.split())) for line in text.split("\n") if len(line.split()) == 3]
    return tuple((row[0], row[1], row[2]) for row in rows)


def _cgroup(text: str) -> str:
    """The path in version 2, or those of version 1 that are not the root's, the same ones once."""
    rows = [line.split(":", 2) for line in text.split("\n") if line.count(":") >= 2]
    unified = [path for number, _, path in rows if number == "0"]
    others = [path for number, controllers, path in rows if number != "0" and controllers and path != "/"]
    if others:
        return ", ".join(dict.fromkeys(others))
    return unified[0] if unified else "/"


def _mount(line: str) -> MountFacts:
    before, _, after = line.partition(" - ")
    fields, (fstype, source, _) = before.split(" "), (*after.split(" ", 2), "", "", "")[:3]
    words = dict(word.partition(":")[::2] for word in fields[6:])
    told = [{"master": "follows"}.get(word, word) for word in words if word in ("shared", "master", "unbindable")]
    return MountFacts(
        target=_plain(fields[4]),
        fstype=fstype,
        source=_plain(source),
        device=fields[2],
        root=_plain(fields[3]),
        read_only="ro" in fields[5].split(","),
        propagation=", ".join(told) or "private",
    )


def _plain(text: str) -> str:
    """Octal escapes stand for space, tab, newline and backslash."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _interfaces(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(sorted(line.partition(":")[0].strip() for line in text.split("\n")[2:] if ":" in line))


def _addresses(base: str) -> tuple[str, ...] | None:
    """Its own IPv4 addresses, from the table of local routes, and those of IPv6 with their interface."""
    trie, six = _text(f"{base}/net/fib_trie"), _text(f"{base}/net/if_inet6")
    if trie is None and six is None:
        return None
    found: dict[str, None] = {}
    address = ""
    for line in (trie or "").split("\n"):
        word = line.strip().removeprefix("|-- ")
        if line.strip().startswith("|-- "):
            address = word
        elif word.startswith("/32 host LOCAL") and address:
            found[address] = None
    for fields in map(str.split, (six or "").split("\n")):
        if len(fields) == 6:
            groups = ":".join(fields[0][start : start + 4] for start in range(0, 32, 4))
            found[f"{ipaddress.IPv6Address(groups)}/{int(fields[2], 16)}"] = None
    return tuple(found)


def as_json(facts: ProcessFacts) -> dict[str, Any]:
    """Plain values, for JSON; sorted where the order means nothing."""
    values = asdict(facts)
    return {key: sorted(value) if isinstance(value, frozenset) else value for key, value in values.items()}
