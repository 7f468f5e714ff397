"""`update`: other limits for a container that is there."""

from __future__ import annotations

from labcontainers.bundles import resources
from labcontainers.bundles.arguments import refuse
from labcontainers.bundles.creating import read_json
from labcontainers.oci.runtime_spec import RESOURCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.bundles.arguments import Parsed
    from labcontainers.bundles.logs import Log
    from labcontainers.bundles.states import State
    from labcontainers.oci.runtime_spec import Document

# Flag -> (part of linux.resources, its key).
_NUMBERS = {
    "--cpu-period": ("cpu", "period"),
    "--cpu-quota": ("cpu", "quota"),
    "--cpu-burst": ("cpu", "burst"),
    "--cpu-share": ("cpu", "shares"),
    "--cpu-idle": ("cpu", "idle"),
    "--cpu-rt-period": ("cpu", "realtimePeriod"),
    "--cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "--pids-limit": ("pids", "limit"),
    "--blkio-weight": ("blockIO", "weight"),
}
_SIZES = {"--memory": "limit", "--memory-reservation": "reservation", "--memory-swap": "swap"}
_SETS = {"--cpuset-cpus": "cpus", "--cpuset-mems": "mems"}


def wanted(said: Parsed) -> Document:
    """linux.resources as file and flags say, flags last; raises InvalidArgument."""
    given = read_json(said.texts["--resources"]) if "--resources" in said.texts else {}
    if not isinstance(given, dict):
        refuse(f"--resources: {said.texts['--resources']} holds no object")
    document: Document = dict(given)

    def put(part: str, key: str, value: object) -> None:
        inner = document.get(part) or {}
        if not isinstance(inner, dict):
            refuse(f"--resources: {part} is no object")
        document[part] = {**inner, key: value}

    for flag, (part, key) in _NUMBERS.items():
        if flag in said.texts:
            put(part, key, said.number(flag))
    for flag, key in _SIZES.items():
        if flag in said.texts:
            put("memory", key, _bytes(flag, said.texts[flag]))
    for flag, key in _SETS.items():
        if flag in said.texts:
            put("cpu", key, said.texts[flag])
    checked: Document = RESOURCES(document, "resources")
    return checked


def _bytes(flag: str, text: str) -> int:
    from labcontainers.errors import InvalidArgument
    from labcontainers.units import parse_memory_bytes

    if text == "-1":
        return -1
    try:
        return parse_memory_bytes(text)
    except InvalidArgument:
        refuse(f"{flag}: {text!r} is no number of bytes")


def update(state: State, said: Parsed, log: Log) -> None:
    """Write them; raises Conflict for a container that does not run, and Unsupported for what this host cannot limit."""
    asked = wanted(said)
    if not state.pid:
        from labcontainers.errors import Conflict

        raise Conflict(f"container {state.id!r} cannot be updated: container not running", "limits are for those that run")
    groups = state.groups
    if asked["devices"] and "devices" not in groups.v1:
        log.warn("resources.devices: rules of version 2 cannot be changed once the container runs; they stay as they are")
    try:
        resources.apply(groups, asked, rules="devices" in groups.v1)
    except resources.NotPossible as error:
        from labcontainers.errors import Unsupported

        raise Unsupported(str(error), "what was written before stays") from None
