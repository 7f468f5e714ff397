"""Which devices a control group may use, in either version: made by files of version 1 or by a program of version 2.

It must not know containers. Groups that need no such limit are not in the hierarchy of version 1 at all, since entering one costs time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labcontainers.errors import Unsupported
from labcontainers.kernel import cgroup_files as files
from labcontainers.kernel import device_filter
from labcontainers.kernel.cgroups import PARENT, Cgroup
from labcontainers.kernel.device_filter import DeviceRule, parse_rule
from labcontainers.kernel.notes import Notes

__all__ = ["DEFAULT_RULES", "DeviceRule", "confine", "parse_rule", "remove"]

# What Docker allows every container: making any node, and using those that it has (OCI runtime spec, "Default Devices"), its
# terminals (136, and 5:2 to make one) and its console.
_USED = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*")
DEFAULT_RULES = tuple(map(parse_rule, ("c *:* m", "b *:* m", *(f"c {numbers} rwm" for numbers in _USED))))
_V1 = Path("/sys/fs/cgroup/devices")


def confine(group: Cgroup, group_id: str, rules: Sequence[DeviceRule], v1: Path = _V1, notes: Notes | None = None) -> Cgroup:
    """Deny the group every device but those of `rules`; the group together with its directory in the hierarchy of devices.

    `notes` are told of what is done for that, in either version.
    Raises Unsupported where the host cannot do that; then nothing of it is left.
    """
    told = notes or Notes()
    try:
        if os.access(v1 / "cgroup.procs", os.W_OK):
            return _confine_v1(group, f"{v1}/{PARENT}/{group_id}", rules, told)
        if group.unified is None:
            raise Unsupported("devices cannot be restricted: this host has no control group for them", "run `doctor` for the reason")
        with told.timed("device_filter", path=group.unified, rules=list(map(str, rules))):
            device_filter.attach(group.unified, rules)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise Unsupported(f"devices cannot be restricted: {why}", "that needs root with CAP_SYS_ADMIN or CAP_BPF") from error
    return group


def _confine_v1(group: Cgroup, path: str, rules: Sequence[DeviceRule], notes: Notes) -> Cgroup:
    with notes.timed("make_cgroups", paths=[path], spare=False), contextlib.suppress(FileExistsError):
        files.make(path)
    try:
        for file, text in v1_writes(path, rules):
            with notes.timed("device_rule", path=file, value=text):
                files.write(file, text)
    except OSError:
        files.remove(path)
        raise
    return replace(group, v1={**group.v1, "devices": path})


def v1_writes(path: str, rules: Sequence[DeviceRule]) -> list[tuple[str, str]]:
    """The files of the group at `path` and what is written into them for these rules, in order. Pure."""
    allowed = [(f"{path}/devices.allow", str(rule) if rule.kind != "a" else "a") for rule in rules]
    return [(f"{path}/devices.deny", "a"), *allowed]


def planned(group: Cgroup, group_id: str, rules: Sequence[DeviceRule], v1: Path = _V1) -> tuple[Cgroup, Notes]:
    """What `confine` would make of the group, and tell; nothing is done."""
    notes = Notes()
    if os.access(v1 / "cgroup.procs", os.W_OK):
        path = f"{v1}/{PARENT}/{group_id}"
        notes.add("make_cgroups", paths=[path], spare=False)
        for file, text in v1_writes(path, rules):
            notes.add("device_rule", path=file, value=text)
        return replace(group, v1={**group.v1, "devices": path}), notes
    if group.unified is not None:
        notes.add("device_filter", path=group.unified, rules=list(map(str, rules)))
    return group, notes


def remove(group_id: str, v1: Path = _V1) -> None:
    """Remove what a killed engine left of a group in the hierarchy of devices. Idempotent."""
    files.remove(f"{v1}/{PARENT}/{group_id}")


def tidy(v1: Path = _V1) -> None:
    """Remove the parent of all groups in the hierarchy of devices, where no group is left."""
    with contextlib.suppress(OSError):
        os.rmdir(v1 / PARENT)
