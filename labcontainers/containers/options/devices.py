"""Options on devices: which nodes of the host a container gets, and which more its control group allows; it must not make any.

Source: docs.docker.com "docker run", --device, --device-cgroup-rule, --gpus; Documentation/admin-guide/cgroup-v1/devices.rst.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from labcontainers.containers.options.forms import Converters, refused, shown
from labcontainers.errors import InvalidArgument
from labcontainers.kernel import defaults
from labcontainers.runtime.spec import DeviceNode

_FORM = "write HOST[:CONTAINER[:rwm]], such as /dev/fuse or /dev/sdc:/dev/xvdc:r"
_RULE = re.compile(r"(?:a|[bc] (?:[0-9]{1,10}|\*):(?:[0-9]{1,10}|\*)) ([rwm]{1,3})")
# What docker itself does not hand on with a whole directory of devices, or with --privileged: file systems of the container's own.
_OWN_DIRECTORIES = ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev")
_OWN_FILES = ("console", "ptmx")


@dataclass(frozen=True, slots=True)
class DeviceMapping:
    """A device of the host, or a directory of them, and where the container has it; `permissions` are of "rwm"."""

    source: str
    path: str
    permissions: str = "rwm"

    @property
    def full(self) -> bool:
        return set(self.permissions) == set("rwm")


def _devices(value: object) -> tuple[DeviceMapping, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise InvalidArgument(f"not a list of devices: {shown(value)}", f"give a list: {_FORM}")
    mappings = tuple(map(parse_device, items))
    for mapping in mappings:
        nodes_of(mapping)
    return mappings


def parse_device(text: str) -> DeviceMapping:
    """One `--device` text; raises InvalidArgument."""
    parts = text.split(":")
    source, path, permissions = parts[0], parts[0], "rwm"
    if len(parts) == 2 and parts[1] and set(parts[1]) <= set("rwm"):
        permissions = parts[1]
    elif len(parts) in (2, 3):
        path = parts[1] or source
        permissions = parts[2] if len(parts) == 3 else "rwm"
    elif len(parts) > 3:
        raise InvalidArgument(f"invalid device {shown(text)}", _FORM)
    if not permissions or not set(permissions) <= set("rwm") or len(set(permissions)) < len(permissions):
        raise InvalidArgument(f"bad mode specified: {permissions!r} in device {shown(text)}", "a mode is made of r, w and m")
    for name in (source, path):
        if not name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise InvalidArgument(f"{shown(name)} is not an absolute path in device {shown(text)}", _FORM)
    if os.path.normpath(path) in ("/", "/dev") and not os.path.isdir(source):
        raise InvalidArgument(f"a device cannot be at {path!r}", _FORM)
    return DeviceMapping(source, os.path.normpath(path), permissions)


def nodes_of(mapping: DeviceMapping) -> tuple[DeviceNode, ...]:
    """The nodes that a mapping stands for now, those of a directory with their paths below it.

    Raises InvalidArgument when there is no device; symbolic links of the host are followed.
    """
    source = os.path.realpath(mapping.source)
    try:
        if not stat.S_ISDIR(os.stat(source).st_mode):
            node = _node(source, mapping.path)
            if node is None:
                raise InvalidArgument(f"not a device node: {shown(mapping.source)}", "name a device of this machine, such as /dev/fuse")
            return (node,)
        found = tuple(_below(source, mapping.path))
    except OSError as error:
        problem = f"error gathering device information while adding custom device {shown(mapping.source)}: "
        raise InvalidArgument(problem + (error.strerror or "").lower(), "name a device of this machine, such as /dev/fuse") from None
    if not found:
        raise InvalidArgument(f"no device below {shown(mapping.source)}", "name a device of this machine, such as /dev/fuse")
    return found


def host_devices() -> tuple[DeviceNode, ...]:
    """Every device of the host's /dev but those that a container has of its own, for --privileged."""
    return tuple(node for node in _below("/dev", "/dev") if node.path.removeprefix("/dev/") not in defaults.DEVICES)


def _below(directory: str, path: str) -> list[DeviceNode]:
    nodes: list[DeviceNode] = []
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _OWN_DIRECTORIES:
                    nodes += _below(entry.path, f"{path}/{entry.name}")
            elif entry.name not in _OWN_FILES and not entry.is_symlink():
                node = _node(entry.path, f"{path}/{entry.name}")
                nodes += [node] if node is not None else []
    return nodes


def _node(source: str, path: str) -> DeviceNode | None:
    try:
        status = os.stat(source, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    number = status.st_rdev
    return DeviceNode(path, source, kind, os.major(number), os.minor(number), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _rules(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise InvalidArgument(f"not a list of rules: {shown(value)}", "give a list such as ['c 10:200 rwm']")
    for item in items:
        match = _RULE.fullmatch(item) if isinstance(item, str) else None
        if match is None or len(set(match[1])) < len(match[1]):
            hint = "write TYPE MAJOR:MINOR MODE, such as 'c 10:200 rwm' or 'b 8:* r'"
            raise InvalidArgument(f"invalid device cgroup format {shown(item)}", hint)
    return tuple(items)


CONVERTERS: Converters = {
    "devices": ("devices", _devices),
    "device_cgroup_rules": ("device_cgroup_rules", _rules),
    "device_requests": (
        "",
        refused("no vendor's hook for GPUs is run; --device gives the nodes alone", unset=([], ())),
    ),
}
