"""Linux capabilities: their names, their bits, and the set that a container gets by default.

It must not know containers or users: it turns names into numbers and back, and reads which ones there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final

from labcontainers.errors import InvalidArgument
from labcontainers.kernel import defaults
from labcontainers.kernel.capability_names import NAMES

DEFAULT: Final[frozenset[str]] = frozenset(defaults.CAPABILITIES)

_BITS: Final[dict[str, int]] = {name: bit for bit, name in enumerate(NAMES)}


def normalize(name: str) -> str:
    """The plain upper-case name ("cap_net_raw" -> "NET_RAW"); raises InvalidArgument for a capability that does not exist."""
    plain = name.strip().upper().removeprefix("CAP_")
    if plain not in _BITS:
        near = get_close_matches(plain, NAMES, n=1)
        raise InvalidArgument(f"no such capability: {name!r}", f"did you mean {near[0]}?" if near else "capabilities(7) lists them")
    return plain


def parse(name: str) -> int:
    """The bit number of a capability, named with or without CAP_, in any case; raises InvalidArgument."""
    return _BITS[normalize(name)]


def mask(names: Iterable[str]) -> int:
    """The 64-bit mask of these capabilities, as /proc/PID/status prints it and capset(2) takes it in two halves."""
    return _mask(frozenset(names))


@lru_cache(maxsize=16)
def _mask(names: frozenset[str]) -> int:
    bits = 0
    for name in names:
        bits |= 1 << parse(name)
    return bits


def names_of(bits: int) -> frozenset[str]:
    """The names in a mask; bits that this table does not know (a newer kernel's) are left out."""
    return frozenset(name for bit, name in enumerate(NAMES) if bits >> bit & 1)


def is_all(name: str) -> bool:
    """Whether `name` stands for every capability: ALL in any case."""
    return name.strip().upper() in ("ALL", "CAP_ALL")


def choose(
    add: Iterable[str] = (), drop: Iterable[str] = (), default: frozenset[str] = DEFAULT, available: Iterable[str] = NAMES
) -> frozenset[str]:
    """The set for `--cap-add` and `--cap-drop`, where ALL stands for every one of `available`; raises InvalidArgument.

    Docker's rule (TweakCapabilities): with ALL added, all but those dropped by name; else with ALL dropped, those added by name;
    else the default ones without those dropped, and those added, so that a name in both is kept.
    """
    added, dropped = list(add), list(drop)
    names_added = {normalize(name) for name in added if not is_all(name)}
    names_dropped = {normalize(name) for name in dropped if not is_all(name)}
    if any(map(is_all, added)):
        return frozenset(available) - names_dropped
    if any(map(is_all, dropped)):
        return frozenset(names_added)
    return frozenset(default - names_dropped | names_added)


def of_this_kernel() -> frozenset[str]:
    """All that the running kernel knows (/proc/sys/kernel/cap_last_cap, capabilities(7))."""
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        last = len(NAMES) - 1
    return frozenset(NAMES[: last + 1])


def of_this_process() -> frozenset[str]:
    """Those that this process may hand on: permitted and in its bounding set (proc_pid_status(5))."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cap"))
    return names_of(int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16))
