"""What each operation adds to the picture of a container that is being assembled: short labels; it must not do anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labcontainers.kernel import capabilities, syscalls
from labcontainers.units import format_memory

_KINDS = {
    syscalls.CLONE_NEWUSER: "user",
    syscalls.CLONE_NEWPID: "pid",
    syscalls.CLONE_NEWNS: "mnt",
    syscalls.CLONE_NEWNET: "net",
    syscalls.CLONE_NEWIPC: "ipc",
    syscalls.CLONE_NEWUTS: "uts",
    syscalls.CLONE_NEWCGROUP: "cgroup",
}
_HEX = re.compile(r"[0-9a-f]{64}")
_BYTES = ("memory.max", "memory.high", "memory.low", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swap.max")
_LARGEST_BYTES = 1 << 62


def parts_of(operation: str, values: Mapping[str, Any]) -> list[str]:
    """The labels that appear with this operation, in the room of its stage; none for one that only prepares another."""
    form = _FORMS.get(operation)
    try:
        return [] if form is None else [label for label in form(values) if label]
    except KeyError:
        # documents of earlier versions tell less
        return []


def _namespaces(values: Mapping[str, Any]) -> list[str]:
    return [kind for bit, kind in _KINDS.items() if values["flags"] & bit]


def _joined(values: Mapping[str, Any]) -> list[str]:
    return [f"{kind} of {values['owner']}" for kind in _namespaces(values)]


def _overlay(values: Mapping[str, Any]) -> list[str]:
    lower = [path for path in values["lower"] if not str(path).rstrip("/").endswith("mount-points")]
    return [*(f"layer {len(lower) - index - 1}" for index in reversed(range(len(lower)))), "writable layer"]


def _limit(values: Mapping[str, Any]) -> list[str]:
    name = values["path"].rpartition("/")[2]
    value = str(values["value"])
    if name in _BYTES and value.isdigit():
        value = format_memory(int(value)) if int(value) < _LARGEST_BYTES else "unlimited"
    return [f"{name} = {value}"]


def _capabilities(values: Mapping[str, Any]) -> list[str]:
    kept, every = capabilities.names_of(values["keep"]), capabilities.of_this_kernel()
    return ["all capabilities" if kept >= every else f"{len(kept)} of {len(every)} capabilities"]


def _target(values: Mapping[str, Any]) -> list[str]:
    return [values["target"]]


def _user(values: Mapping[str, Any]) -> list[str]:
    return [f"user {values['user'] or 'root'}"]


_FORMS: Mapping[str, Any] = {
    "user_namespace": lambda values: ["user"],
    "clone": _namespaces,
    "unshare": lambda values: [f"{kind} namespace" if kind == "cgroup" else kind for kind in _namespaces(values)],
    "join_namespaces": _joined,
    "hostname": lambda values: [f"host name {values['name']}"],
    "domainname": lambda values: [f"domain {values['name']}"],
    "make_cgroups": lambda values: (
        ["group " + _HEX.sub(lambda match: match[0][:12], values["paths"][0].rpartition("/")[2])] if values.get("paths") else []
    ),
    "limit": _limit,
    "device_filter": lambda values: ["device filter"],
    "loopback": lambda values: ["lo"],
    "bridge": lambda values: [f"bridge {values['interface']}"],
    "veth": lambda values: [f"{values['inside']} ⇄ {values['bridge']}"],
    "address": lambda values: [values["address"]] if values.get("inside") else [],
    "route": lambda values: [f"default by {values['gateway']}"],
    "listen": lambda values: [f"port {values['port']} → {values['to']}"],
    "overlay": _overlay,
    "bind_root": lambda values: [values["source"]],
    "pivot": lambda values: ["new root"],
    "finish": lambda values: ["read-only root"] if values["readonly"] else [],
    "mount": _target,
    "tmpfs": _target,
    "bind": _target,
    "bind_kernel": _target,
    "secret": _target,
    "attach_shared": _target,
    "mask": lambda values: ["hidden paths"],
    "device": lambda values: [values["path"]],
    "device_node": lambda values: [values["path"]],
    "bind_device": lambda values: [values["target"]],
    "terminal": lambda values: ["terminal"],
    "readonly": lambda values: ["read-only paths"],
    "keyring": lambda values: ["own keyring"],
    "account": _user,
    "bounding": _capabilities,
    "apparmor": lambda values: [f"AppArmor {values['name']}"],
    "no_new_privs": lambda values: ["no new privileges"],
    "seccomp": lambda values: ["seccomp filter"],
    "exec": lambda values: [" ".join(values["arguments"])],
}
