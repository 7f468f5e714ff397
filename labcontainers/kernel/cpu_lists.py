"""CPUs and memory nodes as lists of numbers such as "0-2,4" (cpuset(7), List format), and those that this machine has.

It must not know control groups or options.
"""

from __future__ import annotations

import re
from pathlib import Path

_LIST = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*", re.ASCII)
_DEVICES = Path("/sys/devices/system")


def parse_list(text: str) -> frozenset[int]:
    """The numbers of a list; raises ValueError for what is none."""
    if not _LIST.fullmatch(text):
        raise ValueError(f"not a list of numbers and ranges: {text!r}")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise ValueError(f"a range ends before it begins: {part}")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def online_cpus(devices: Path = _DEVICES) -> str:
    """The CPUs that are running, as a list. Source: Documentation/admin-guide/cputopology.rst."""
    return _read(devices / "cpu/online")


def online_memory_nodes(devices: Path = _DEVICES) -> str:
    """The memory nodes that are there, as a list; a kernel without NUMA has one."""
    return _read(devices / "node/online")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return "0"
