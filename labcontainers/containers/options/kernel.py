"""Options on kernel settings of a container's processes: ulimits, OOM score, shared memory and sysctls; it must not set any.

Source: docs.docker.com "docker run", --ulimit, --oom-score-adj, --shm-size, --sysctl; setrlimit(2), proc_pid_oom_score_adj(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labcontainers.containers.options.forms import Converters, pairs, shown, whole_number
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_memory_bytes

if TYPE_CHECKING:
    from labcontainers.containers.options.container import ContainerOptions

# The numbers of asm-generic/resource.h, which hold for the machines that this engine knows.
ULIMITS: Mapping[str, int] = {
    "as": 9, "core": 4, "cpu": 0, "data": 2, "fsize": 1, "locks": 10, "memlock": 8, "msgqueue": 12, "nice": 13, "nofile": 7, "nproc": 6,
    "rss": 5, "rtprio": 14, "rttime": 15, "sigpending": 11, "stack": 3,
}  # fmt: skip
UNLIMITED = -1
_MOST = 2**63 - 1
_NAME = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_:@-]+)+", re.ASCII)
# Of kernel.*, what belongs to an IPC namespace (ipc_namespaces(7)); and the names of a UTS namespace.
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced msg_next_id sem_next_id shm_next_id".split()
)
_MOST_SHM_BYTES = 2**62

Ulimit = tuple[str, int, int]
Rlimit = tuple[int, int, int]


def _ulimits(value: object) -> tuple[Ulimit, ...]:
    """`["nofile=1024:2048"]`, docker-py's Ulimit (a dict of Name, Soft, Hard), or `{"nofile": 1024}`; a later one of a name wins."""
    if isinstance(value, Mapping) and "Name" not in value:
        items: list[object] = [f"{name}={limits}" for name, limits in value.items()]
    else:
        items = list(value) if isinstance(value, list | tuple) else [value]
    found: dict[str, Ulimit] = {}
    for item in items:
        limit = _ulimit(item)
        found[limit[0]] = limit
    return tuple(found.values())


def _ulimit(item: object) -> Ulimit:
    if isinstance(item, Mapping):
        keys = {str(key).lower(): part for key, part in item.items()}
        soft = keys.get("soft", keys.get("hard"))
        item = f"{keys.get('name')}={soft}:{keys.get('hard', soft)}"
    name, _, values = str(item).partition("=")
    if name not in ULIMITS:
        raise InvalidArgument(f"invalid ulimit type in {shown(item)}", f"names are {', '.join(ULIMITS)}")
    soft_text, separator, hard_text = values.partition(":")
    soft, hard = _limit(soft_text), _limit(hard_text if separator else soft_text)
    if soft is None or hard is None:
        raise InvalidArgument(f"invalid ulimit {shown(item)}", "write NAME=SOFT[:HARD] with whole numbers, -1 for no limit")
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise InvalidArgument(f"{name}: the soft limit {soft} is above the hard limit {hard}", "write NAME=SOFT:HARD")
    return name, soft, hard


def _limit(text: str) -> int | None:
    if text == "-1":
        return UNLIMITED
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MOST else None


def _shm_size(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidArgument(f"not a size: {shown(value)}", "write a size, such as 128m")
    size = parse_memory_bytes(value)
    if not 0 <= size <= _MOST_SHM_BYTES:
        raise InvalidArgument(f"{shown(value)} is out of range", "write a size above 0, such as 128m")
    return size or None


def _sysctls(value: object) -> tuple[tuple[str, str], ...]:
    """A later one of a name wins; names are kept with dots."""
    found: dict[str, str] = {}
    bare = [item for item in value if "=" not in str(item)] if isinstance(value, list | tuple) else []
    if bare:
        raise InvalidArgument(f"{shown(bare[0])} is not allowed: it has no value", "write NAME=VALUE, such as net.core.somaxconn=1024")
    for name, text in pairs(value, "NAME=VALUE"):
        if not _NAME.fullmatch(name):
            raise InvalidArgument(f"invalid name {shown(name)}", "write NAME=VALUE, such as net.core.somaxconn=1024")
        dotted = name.replace("/", ".") if "." not in name else name
        if (
            dotted not in _IPC_SYSCTLS
            and dotted not in ("kernel.hostname", "kernel.domainname")
            and not dotted.startswith(("net.", "fs.mqueue."))
        ):
            raise InvalidArgument(
                f"{name!r} is not allowed: the whole machine shares it",
                "those of namespaces are net.*, fs.mqueue.*, kernel.msg*, kernel.sem and kernel.shm*",
            )
        if dotted in ("kernel.hostname", "kernel.domainname"):
            option = dotted.partition(".")[2]
            raise InvalidArgument(f"{name!r} is what --{option} sets", f"write --{option} {text}")
        found[dotted] = text
    return tuple(found.items())


def check(options: ContainerOptions) -> None:
    """Sysctls of a namespace that the container does not have of its own; raises InvalidArgument."""
    for name, _ in options.sysctls:
        if name.startswith("net.") and options.network == "host":
            raise InvalidArgument(
                f"conflicting options: --sysctl {name} and --network host, whose settings are the machine's", "use another --network"
            )
        if (name in _IPC_SYSCTLS or name.startswith("fs.mqueue.")) and options.ipc_mode == "host":
            raise InvalidArgument(
                f"conflicting options: --sysctl {name} and --ipc host, whose settings are the machine's", "leave --ipc host out"
            )


def rlimits(
    ulimits: tuple[Ulimit, ...], hard_limit: Callable[[int], int], may_raise: bool, most_files: int
) -> tuple[tuple[Rlimit, ...], tuple[str, ...]]:
    """What setrlimit(2) is given, and a warning for each limit that this user may not raise so far.

    `hard_limit` tells what the launcher has, `may_raise` whether it may go above that (CAP_SYS_RESOURCE), `most_files` is fs.nr_open.
    """
    given, warnings = [], []
    for name, soft, hard in ulimits:
        kind = ULIMITS[name]
        most = UNLIMITED if may_raise else hard_limit(kind)
        if kind == ULIMITS["nofile"]:
            most = most_files if most == UNLIMITED else min(most, most_files)
        clamped = _least(soft, most), _least(hard, most)
        if clamped != (soft, hard):
            warnings.append(
                f"ulimit {name}={soft}:{hard} is lowered to {clamped[0]}:{clamped[1]}: this user may not go above the hard limit of {most}"
            )
        given.append((kind, *clamped))
    return tuple(given), tuple(warnings)


def _least(value: int, most: int) -> int:
    if most == UNLIMITED:
        return value
    return most if value == UNLIMITED else min(value, most)


def oom_score(wanted: int | None, own: int, may_lower: bool) -> tuple[int | None, tuple[str, ...]]:
    """What is written to oom_score_adj, and a warning where it stays at the launcher's `own`, below which only a privileged user may go."""
    if wanted is None or may_lower or wanted >= own:
        return wanted, ()
    return own, (f"oom-score-adj {wanted} is raised to {own}: only a privileged user may go below that",)


CONVERTERS: Converters = {
    "ulimits": ("ulimits", _ulimits),
    "oom_score_adj": ("oom_score_adj", whole_number(-1000, 1000)),
    "shm_size": ("shm_bytes", _shm_size),
    "sysctls": ("sysctls", _sysctls),
}
