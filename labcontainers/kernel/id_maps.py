"""User and group ids: whether this process is root of the machine, which ids it may give to a user namespace, and giving them.

It must not know who needs a namespace. Source: user_namespaces(7), subuid(5), newuidmap(1).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

# CAP_NET_ADMIN and CAP_SYS_ADMIN: network namespaces, and all others
_RIGHTS: Final = 1 << 12 | 1 << 21
_ALL_IDS: Final = (1 << 32) - 1
# a namespace of root's own: as many ids as useradd(8) gives to a user
_USUAL_COUNT: Final = 65536
_MAPS: Final = (("uid_map", "newuidmap"), ("gid_map", "newgidmap"))

Ranges = list[tuple[int, int]]


def is_root_of_host(proc: str = "/proc/self", euid: int | None = None) -> bool:
    """Whether this process is root of the machine with all that it takes to make namespaces: not of a user namespace, nor without a right.

    Who lacks one has it in a user namespace, as ordinary users have.
    """
    if (os.geteuid() if euid is None else euid) != 0:
        return False
    effective = next((line.split()[1] for line in _lines(f"{proc}/status") if line.startswith("CapEff:")), "0")
    return mapped_ids(proc) >= _ALL_IDS and int(effective, 16) & _RIGHTS == _RIGHTS


def mapped_ids(proc: str = "/proc/self") -> int:
    """How many user ids there are in the user namespace of this process."""
    return sum(int(line.split()[2]) for line in _lines(f"{proc}/uid_map"))


def own_maps(proc: str = "/proc/self") -> dict[str, list[list[int]]]:
    """How the ids of this process' namespace are mapped: rows of first id inside, first id outside and count, in `uids` and `gids`."""
    return {f"{name[:3]}s": [list(map(int, line.split())) for line in _lines(f"{proc}/{name}")] for name, _ in _MAPS}


def ranges(uid_file: str = "/etc/subuid", gid_file: str = "/etc/subgid", proc: str = "/proc/self", euid: int | None = None) -> Ranges:
    """[(first uid, count), (first gid, count)] that this process may map besides its own; empty where there are none.

    Root of some namespace may map the ids that it has; others those that the two files give them, the largest range of each.
    """
    uid = os.geteuid() if euid is None else euid
    if uid == 0:
        own = [_count_from_one(f"{proc}/{name}") for name, _ in _MAPS]
        return [(1, min(count, _USUAL_COUNT - 1)) for count in own] if min(own) > 0 else []
    names = {str(uid), *user_names(uid)}
    found: Ranges = []
    for path in (uid_file, gid_file):
        rows = [line.strip().split(":") for line in _lines(path)]
        numbers = [(int(row[1]), int(row[2])) for row in rows if len(row) == 3 and row[0] in names and (row[1] + row[2]).isdigit()]
        if not numbers:
            return []
        found.append(max(numbers, key=lambda one: one[1]))
    return found


def user_names(uid: int) -> list[str]:
    """The name of a user id, if it has one."""
    import pwd

    try:
        return [pwd.getpwuid(uid).pw_name]
    except KeyError:
        return []


def give(pid: int, given: Ranges) -> None:
    """Map 0 in the new user namespace of the process `pid` to this user, and 1… to `given`; raises OSError with what was refused.

    Root writes the maps itself; for others newuidmap(1) and newgidmap(1) do, which are setuid programs.
    """
    for (name, tool), own, (first, count) in zip(_MAPS, (os.geteuid(), os.getegid()), given, strict=True):
        if os.geteuid() == 0:
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write(f"0 {own} 1\n1 {first} {count}")
            continue
        arguments = [tool, str(pid), "0", str(own), "1", "1", str(first), str(count)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(1, done.stderr.strip() or f"{tool} ended with exit code {done.returncode}")


def _count_from_one(path: str) -> int:
    """How many ids follow each other from 1 on in one row: a range of a new map must not span two of the old one."""
    rows = [(int(row[0]), int(row[2])) for row in map(str.split, _lines(path))]
    return next((first + count - 1 for first, count in rows if first <= 1 < first + count), 0)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
