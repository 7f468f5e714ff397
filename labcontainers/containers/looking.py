"""From names and containers to what is compared: the first process of each and the limits that `inspect` tells.

It must not know the engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from labcontainers.containers.container import Container
from labcontainers.containers.isolation.comparison import Comparison, Side
from labcontainers.containers.isolation.namespace_map import HOST
from labcontainers.containers.isolation.process_facts import read_process
from labcontainers.errors import Conflict
from labcontainers.units import format_memory

# Limits of inspect's HostConfig, and how they read.
_LIMITS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Memory": ("memory", format_memory),
    "MemorySwap": ("memory and swap", lambda value: "unlimited" if value == -1 else format_memory(value)),
    "NanoCpus": ("CPUs", lambda value: f"{value / 1e9:g}"),
    "CpuShares": ("CPU shares", str),
    "CpusetCpus": ("on CPUs", str),
    "PidsLimit": ("processes", str),
}


def compare(first: Container | str, second: Container | str, find: Callable[[str], Container]) -> Comparison:
    """Two running containers, or one and `host`: the process that asks. Raises NotFound, and Conflict for one that does not run."""
    return Comparison(_side(first, find), _side(second, find))


def _side(who: Container | str, find: Callable[[str], Container]) -> Side:
    if who == HOST:
        return Side(HOST, read_process(os.getpid()))
    container = who if isinstance(who, Container) else find(str(who))
    pid = container.state.pid
    try:
        if not pid:
            raise ProcessLookupError
        facts = read_process(pid)
    except ProcessLookupError:
        raise Conflict(f"container {container.name} is not running", "start it first: what is compared is its process") from None
    config = container.inspect()["HostConfig"]
    limits = {name: form(config[key]) for key, (name, form) in _LIMITS.items() if config.get(key)}
    return Side(container.name, facts, limits)
