"""What is kept of the build cache by itself: the settings in builder.toml (or builder.json) beside those of registries.

It must not know the cache. Values that cannot be right are refused when the settings are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.engine.cache_choice import Kept
from labcontainers.engine.registries import config_folder
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_duration_s, parse_memory_bytes

_NAMES = ("builder.toml", "builder.json")
_GIB = 1 << 30
_KEYS = ("enabled", "keep_duration", "reserved_space", "max_used_space", "min_free_space")


@dataclass(frozen=True, slots=True)
class GcSettings:
    """What a build leaves to the next ones.

    enabled         whether anything goes by itself
    keep_s          what was not used for so long goes, in seconds
    reserved_bytes  so much stays in any case
    most_bytes      no more than this stays, None for three fifths of the disk, and 20 GiB at most
    free_bytes      so much shall be free on the disk
    """

    enabled: bool = True
    keep_s: float = 60 * 86400.0
    reserved_bytes: int = 2 * _GIB
    most_bytes: int | None = None
    free_bytes: int = 1 * _GIB

    def kept(self, disk_bytes: int) -> Kept:
        """The limits on a disk of this size."""
        most = min(20 * _GIB, disk_bytes * 3 // 5) if self.most_bytes is None else self.most_bytes
        return Kept(self.reserved_bytes, most, self.free_bytes)


def load_gc_settings(folder: Path | None = None) -> GcSettings:
    """From the user's file, the defaults where there is none; raises InvalidArgument."""
    for name in _NAMES:
        path = (folder or config_folder()) / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidArgument(f"builder settings: {path}: {(error.strerror or str(error)).lower()}", "make it readable") from None
        return _read(data, path)
    return GcSettings()


def _read(data: bytes, path: Path) -> GcSettings:
    import tomllib

    try:
        value = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"builder settings: {path}: {error}", "correct the file, or remove it") from None
    if not isinstance(value, dict) or not set(value) <= {"gc"} or not isinstance(value.get("gc", {}), dict):
        raise InvalidArgument(f"builder settings: {path}: there is only the object gc", "correct the file, or remove it")
    return _settings(value.get("gc", {}))


def _settings(value: Mapping[str, Any]) -> GcSettings:
    for name in value:
        if name not in _KEYS:
            raise InvalidArgument(f"builder settings: gc has no {name!r}", f"there is {', '.join(_KEYS)}")
    enabled = value.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidArgument(f"builder settings: enabled is no truth value: {enabled!r}", "write true or false")
    default = GcSettings()
    most = value.get("max_used_space")
    return GcSettings(
        enabled,
        _duration("keep_duration", value.get("keep_duration"), default.keep_s),
        _size("reserved_space", value.get("reserved_space"), default.reserved_bytes),
        None if most is None else _size("max_used_space", most, 0),
        _size("min_free_space", value.get("min_free_space"), default.free_bytes),
    )


def _size(name: str, value: object, default: int) -> int:
    if value is None:
        return default
    try:
        if isinstance(value, str | int) and not isinstance(value, bool) and (found := parse_memory_bytes(value)) >= 0:
            return found
    except InvalidArgument:
        pass
    raise InvalidArgument(f"builder settings: {name} is no size: {value!r}", "write a number of bytes, or such as 20gb")


def _duration(name: str, value: object, default: float) -> float:
    if value is None:
        return default
    try:
        if isinstance(value, str | int) and not isinstance(value, bool) and (found := parse_duration_s(value)) >= 0:
            return found
    except InvalidArgument:
        pass
    raise InvalidArgument(f"builder settings: {name} is no duration: {value!r}", "write such as 1440h")
