"""Docker's texts and back: paths against a working directory, ports, signals, and lists as Go prints them.

It must not know instructions.
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Sequence

from labcontainers.build.dockerfile.source import Place

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-zA-Z]+))?")
_REALTIME = re.compile(r"RT(MIN\+|MAX-)(\d+)|RTMIN|RTMAX")


def absolute(working_dir: str, path: str) -> str:
    """`path` against `working_dir`, cleaned, without a final slash."""
    joined = posixpath.normpath(posixpath.join("/", working_dir, path))
    return "/" + joined.lstrip("/")


def parse_ports(text: str, place: Place) -> list[str]:
    """`80`, `80/udp` or `8000-8002` as a list of `port/protocol`; raises DockerfileError."""
    match = _PORT.fullmatch(text)
    protocol = (match[3] or "tcp").lower() if match else ""
    first = int(match[1]) if match else 0
    last = int(match[2]) if match and match[2] else first
    if protocol not in ("tcp", "udp", "sctp") or not 0 < first <= last <= 65535:
        raise place.fault(f"invalid port: {text}", "write 80, 80/udp or 8000-8010")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def is_signal(name: str) -> bool:
    """Whether `name` is a number or a name of a signal, with or without SIG."""
    if name.isdecimal():
        return 0 < int(name) <= 64
    short = name.upper().removeprefix("SIG")
    return f"SIG{short}" in signal.Signals.__members__ or _REALTIME.fullmatch(short) is not None


def go_list(words: Sequence[str]) -> str:
    """A list as Go's %q prints it: each word in double quotes, between brackets."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"
