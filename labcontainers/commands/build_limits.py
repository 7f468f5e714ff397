"""The flags of `build` on what each RUN may use, which are those of `run`, and flags of the classic builder that change nothing.

It must not execute anything.
"""

from __future__ import annotations

from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.isolation_flags import ISOLATION_FLAGS
from labcontainers.commands.parser import Flag
from labcontainers.commands.resource_flags import RESOURCE_FLAGS

_KEYWORDS = {
    "memory": "mem_limit",
    "memory_swap": "memswap_limit",
    "cpu_shares": "cpu_shares",
    "cpu_period": "cpu_period",
    "cpu_quota": "cpu_quota",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
    "shm_size": "shm_size",
    "ulimit": "ulimits",
    "add_host": "extra_hosts",
}

LIMIT_FLAGS = (
    *(flag for flag in (*RESOURCE_FLAGS, *ISOLATION_FLAGS) if flag.destination in _KEYWORDS),
    Flag(("--rm",), "taken, and without effect: no step leaves a container behind", "switch", default=True),
    Flag(("--force-rm",), "taken, and without effect, as --rm", "switch"),
    Flag(("--compress",), "taken, and without effect: the context is read where it is", "switch"),
)


def limit_keywords(call: Invocation) -> dict[str, Any]:
    """LIMIT_FLAGS as keywords of engine.images.build()."""
    given = {keyword: call.arguments[name] for name, keyword in _KEYWORDS.items()}
    return {keyword: value for keyword, value in given.items() if value is not None and value != []}
