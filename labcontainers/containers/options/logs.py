"""Options on a container's log: which driver, and how much is kept; it must not write any.

Source: docs.docker.com "Configure logging drivers" and its page on the driver `local`, whose file is for nobody but the engine to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainers.containers.options.flags import about
from labcontainers.containers.options.forms import Converters, pairs, shown, whole_number
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.units import parse_memory_bytes

DRIVER = "local"
# What Docker's command line chooses by default: taken, and the same file as the driver local's.
JSON_FILE = "json-file"
NO_LOG = "none"
# As many as Docker's drivers of these names keep where only a size is said.
_DEFAULT_FILES = {DRIVER: 5, JSON_FILE: 1}
_DRIVERS = (
    "awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog",
)  # fmt: skip
_LEAST_BYTES = 1 << 12
_LARGEST_BYTES = 2**62

Log = tuple[str, int | None, int | None]


def _log_config(value: object) -> Log:
    """docker-py's LogConfig: `{"Type": "local", "Config": {"max-size": "10m"}}`; keys may be small."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"not a log_config: {shown(value)}", 'write {"type": "local", "config": {"max-size": "10m"}}')
    parts = {str(key).lower(): part for key, part in value.items()}
    driver = parts.get("type") or DRIVER
    with about("--log-opt"):
        settings = dict(pairs(parts.get("config") or {}, "NAME=VALUE"))
    if driver in _DRIVERS:
        raise Unsupported(
            f"--log-driver: {driver!r} is not supported: the log is a file of the engine's own", "use local, json-file, or none"
        )
    if driver not in (DRIVER, JSON_FILE, NO_LOG):
        raise InvalidArgument(f"--log-driver: unknown driver {shown(driver)}", "use local, json-file, or none")
    if driver == NO_LOG:
        if settings:
            raise InvalidArgument(
                f"conflicting options: --log-opt {', '.join(settings)} and --log-driver none: there is no log", "leave one of them out"
            )
        return NO_LOG, None, None
    return (driver, *_kept(settings, driver))


def _kept(settings: Mapping[str, str], driver: str) -> tuple[int | None, int | None]:
    """`max-size` in bytes and `max-file`, the number of files that are kept; None for no such limit."""
    for name, text in settings.items():
        if name in ("compress", "mode", "max-buffer-size", "tag", "labels", "labels-regex", "env", "env-regex"):
            raise Unsupported(f"--log-opt: {shown(f'{name}={text}')} is not supported", "use max-size and max-file")
        if name not in ("max-size", "max-file"):
            raise InvalidArgument(
                f"--log-opt: unknown option {shown(f'{name}={text}')} for --log-driver {driver}", "use max-size and max-file"
            )
    with about("--log-opt: max-size"):
        size = _max_size(settings["max-size"]) if "max-size" in settings else None
    with about("--log-opt: max-file"):
        files = whole_number(1, 1000)(settings["max-file"]) if "max-file" in settings else None
    if files is not None and size is None:
        raise InvalidArgument(
            f"conflicting options: --log-opt max-file={files} without --log-opt max-size: the log would never be rotated",
            "give max-size too, such as 10m",
        )
    return size, files


def _max_size(text: str) -> int | None:
    if text == "-1":
        return None
    size = parse_memory_bytes(text)
    if not _LEAST_BYTES <= size <= _LARGEST_BYTES:
        raise InvalidArgument(f"{shown(text)} is out of range", "write a size from 4k on, such as 10m, or -1 for no limit")
    return size


def inspect_config(driver: str, max_bytes: int | None, max_files: int | None) -> dict[str, Any]:
    """HostConfig.LogConfig."""
    settings = {"max-size": None if max_bytes is None else str(max_bytes), "max-file": None if max_files is None else str(max_files)}
    return {"Type": driver, "Config": {name: text for name, text in settings.items() if text is not None}}


def log_request(driver: str, max_bytes: int | None, max_files: int | None) -> dict[str, Any]:
    """What the shim is told of the log: nothing where it is a file without end, None for none."""
    if driver == NO_LOG:
        return {"log": None}
    return {} if max_bytes is None else {"log": {"max_bytes": max_bytes, "max_files": max_files or _DEFAULT_FILES[driver]}}


CONVERTERS: Converters = {"log_config": (("log_driver", "log_max_bytes", "log_max_files"), _log_config)}
