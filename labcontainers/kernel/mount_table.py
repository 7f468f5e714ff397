"""What is mounted in this process' mount namespace, as the kernel tells it. Source: proc_pid_mountinfo(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class MountEntry(NamedTuple):
    """A mount: its number, where it is, and the kinds of propagation: "shared", "master" and the like."""

    number: int
    point: str
    propagation: frozenset[str]


def mount_table() -> Iterator[MountEntry]:
    """Every mount, in the order in which they were made."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for line in file:
            yield parsed(line)


def parsed(line: str) -> MountEntry:
    """The mount that a line tells of."""
    words = line.partition(" - ")[0].split(" ")
    # octal escapes stand for space, tab, newline and backslash; what else Python takes for blanks and ends of lines may be in a name
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[4])
    return MountEntry(int(words[0]), point, frozenset(word.partition(":")[0] for word in words[6:]))
