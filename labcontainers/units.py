"""Text with units to numbers and back, at the edge: "512m" becomes bytes, 1536 becomes "1.5kB".

It must not know what the numbers are for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from labcontainers.errors import InvalidArgument

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_LONGEST_NUMBER = 30
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?")


def parse_memory_bytes(text: str | int) -> int:
    """Bytes from Docker's `<number>[b|k|m|g]` (powers of 1024); raises InvalidArgument.

    Source: docs.docker.com "docker run", --memory; docker/go-units RAMInBytes.
    """
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"not a size: {text!r}", "write a number with b, k, m or g, such as 512m")
    if len(match[1]) > _LONGEST_NUMBER:
        raise InvalidArgument(f"size out of range: {text[:40]!r}…", "write a number with b, k, m or g, such as 512m")
    return int(float(match[1]) * 1024 ** _POWER[match[2].lower()])


def parse_cpus(text: str | float) -> float:
    """A number of CPUs ("1.5") as a float above zero; raises InvalidArgument."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise InvalidArgument(f"not a number of CPUs: {text!r}", "write a number above 0, such as 0.5 or 2")
    return value


def parse_duration_s(text: str | float) -> float:
    """Seconds from Go's duration text ("1h30m", "500ms") or from a bare number of seconds; raises InvalidArgument."""
    if isinstance(text, int | float):
        return float(text)
    body = text.strip()
    if len(body) > 3 * _LONGEST_NUMBER:
        raise InvalidArgument(f"duration out of range: {body[:40]!r}…", "write numbers with units, such as 1m30s or 500ms")
    if re.fullmatch(r"\d+(\.\d+)?", body):
        return float(body)
    parts = _DURATION_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise InvalidArgument(f"not a duration: {text!r}", "write numbers with units, such as 1m30s or 500ms")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_moment_s(text: str | float, now: float) -> float:
    """Seconds since the epoch, from a duration before `now` ("10m"), a Unix time ("1700000000.5") or an RFC 3339 time or date.

    A time without a zone is local, as for `docker logs --since`. Raises InvalidArgument.
    """
    if isinstance(text, int | float):
        return float(text)
    body = text.strip()
    if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", body):
        return _exact(*body.partition(".")[::2])
    match = _MOMENT.fullmatch(body)
    try:
        if match is not None:
            zone = "+00:00" if match[3] in ("Z", "z") else match[3] or ""
            whole = int(datetime.fromisoformat(f"{match[1].replace('t', 'T')}{zone if 'T' in match[1].upper() else ''}").timestamp())
            return _exact(str(whole), match[2] or "")
        if not body.isdecimal():
            return now - parse_duration_s(body)
    except (InvalidArgument, ValueError, OverflowError):
        pass
    raise InvalidArgument(f"not a time: {text[:80]!r}", "write a duration such as 10m, or 2026-01-31T12:00:00Z")


def _exact(seconds: str, fraction: str) -> float:
    """Through whole nanoseconds, so that the time that `logs -t` prints of a line is the time of that line."""
    return (int(seconds) * 10**9 + int(fraction.ljust(9, "0"))) / 10**9


def format_bytes(size: float, digits: int = 3) -> str:
    """Bytes for people, in powers of 1000 with three digits as Docker prints image sizes: 1536 -> '1.54kB'."""
    return _format(size, 1000, ("B", "kB", "MB", "GB", "TB", "PB"), digits)


def format_memory(size: float) -> str:
    """Bytes for people, in powers of 1024 with four digits as `docker stats` prints memory: 1536 -> '1.5KiB'."""
    return _format(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 4)


def _format(size: float, step: int, names: tuple[str, ...], digits: int) -> str:
    index = 0
    # As it will be written: 999.95 of three digits is 1000, and so 1 of the next unit.
    while (written := float(f"{size:.{digits}g}")) >= step and index < len(names) - 1:
        size /= step
        index += 1
    return f"{written:g}{names[index]}"


def format_time(at: float | None) -> str:
    """Seconds since the epoch as Docker's documents have a time (RFC 3339); None is Go's time before all others."""
    return "0001-01-01T00:00:00Z" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_age(seconds: float) -> str:
    """A length of time for people, in Docker's words: 'Less than a second', '3 minutes', '2 weeks'."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    for size, name in ((31536000, "year"), (2592000, "month"), (604800, "week"), (86400, "day"), (3600, "hour"), (60, "minute")):
        if whole >= (2 * size if size >= 604800 else size):
            count = whole // size
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{whole} second{'s' if whole != 1 else ''}"


def format_duration(seconds: float) -> str:
    """A short measured time: '60 µs', '4.2 ms', '1.35 s', '2 m 05 s'."""
    if 0 < seconds < 0.0009995:
        return f"{seconds * 1_000_000:.3g} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{int(seconds // 60)} m {int(seconds % 60):02d} s"
