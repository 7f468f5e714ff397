"""Docker's texts and back: paths against a working directory, ports, signals, and lists as Go prints them.

It must not know instructions.
"""

from __future__ import annotations

import ipaddress
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
    if match is None or protocol not in ("tcp", "udp", "sctp") or not 0 <= first <= last <= 65535:
        raise place.fault(f"invalid port: {text}", "write 80, 80/udp or 8000-8010")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def check_address(mapping: str, place: Place) -> None:
    """The address before `HOST-PORT:PORT`, where there is one, is one of IP; raises DockerfileError."""
    address = mapping.rpartition(":")[0].rpartition(":")[0]
    if not address:
        return
    try:
        ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise place.fault(f"invalid IP address in {mapping}: {address}", "write the port of the container alone") from None


def is_signal(name: str) -> bool:
    """Whether `name` is a number or a name of a signal, with or without SIG."""
    if name.isdecimal():
        return 0 < int(name) <= 64
    short = name.upper().removeprefix("SIG")
    return f"SIG{short}" in signal.Signals.__members__ or _REALTIME.fullmatch(short) is not None


def go_list(words: Sequence[str]) -> str:
    """A list as Go's %q prints it: each word in double quotes, between brackets."""
    return "[" + " ".join(go_quote(word) for word in words) + "]"


_GO_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def go_quote(text: str, quote: str = '"') -> str:
    """A text as Go's %q prints a string, or with `quote` ' a single character."""
    return quote + "".join("\\" + char if char == quote else _go_char(char) for char in text) + quote


def _go_char(char: str) -> str:
    code = ord(char)
    if char in _GO_ESCAPES:
        return _GO_ESCAPES[char]
    if 0xDC80 <= code <= 0xDCFF:
        # a byte of the file that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def go_duration(nanoseconds: int) -> str:
    """A duration of 0 or at least a millisecond as Go prints it: 0s, 1.5ms, 1m30s, 24h0m0s."""
    if not nanoseconds:
        return "0s"
    if nanoseconds < 10**9:
        return _decimal(nanoseconds, 10**6) + "ms"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + _decimal(rest, 10**9) + "s"


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0").rstrip(".")
