"""Options on whose namespaces a container has: the host's, another container's, or its own; it must not know processes.

Source: docs.docker.com "docker run", --pid, --ipc, --uts, --userns, --cgroupns and --network; the daemon's checks of the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labcontainers.containers.options.flags import about, flag_of
from labcontainers.containers.options.forms import Converters, shown
from labcontainers.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from labcontainers.containers.options.container import ContainerOptions

_CONTAINER = "container:"
_REFERENCE = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def owner_of(mode: str) -> str:
    """The container that a mode such as "container:NAME" names, or ""."""
    return mode.removeprefix(_CONTAINER) if mode.startswith(_CONTAINER) else ""


def mode_of(owner: str) -> str:
    """The mode that names this container."""
    return _CONTAINER + owner


def join_mode(value: str) -> str:
    """A checked "container:NAME"; raises InvalidArgument."""
    if not _REFERENCE.fullmatch(owner_of(value)):
        raise InvalidArgument(f"invalid container name in {shown(value)}", "write container:NAME")
    return mode_of(owner_of(value).removeprefix("/"))


def _mode(kind: str, words: tuple[str, ...], joins: bool) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if isinstance(value, str) and (value in words or value == ""):
            return value
        if joins and isinstance(value, str) and value.startswith(_CONTAINER):
            return join_mode(value)
        allowed = ", ".join([*words, *(["container:NAME"] if joins else [])])
        raise InvalidArgument(f"invalid {kind} mode {shown(value)}", f"use {allowed}")

    return convert


def _userns(value: object) -> str:
    if value not in ("", "host"):
        problem = f"{shown(value)} is not supported: containers have no user namespace of their own beside the engine's"
        raise Unsupported(problem, "use --userns host, or leave it out")
    return str(value)


def check(options: ContainerOptions) -> None:
    """Raises InvalidArgument for what contradicts a shared namespace, in Docker's words."""
    if options.uts_mode == "host":
        for name, value in (("hostname", options.hostname), ("domainname", options.domainname)):
            if value:
                raise InvalidArgument(
                    f"conflicting options: {name} and the UTS mode (--{name} {value} and --uts host)", "leave one of them out"
                )
    owner = owner_of(options.network)
    if owner:
        _check_joined_network(options)
    if options.ipc_mode and options.shm_bytes is not None and (options.ipc_mode in ("none", "host") or owner_of(options.ipc_mode)):
        raise InvalidArgument(f"conflicting options: --shm-size and the ipc mode (--ipc {options.ipc_mode})", "leave one of them out")


def _check_joined_network(options: ContainerOptions) -> None:
    conflicts = (
        ("hostname (--hostname)", options.hostname),
        ("mac-address (--mac-address)", options.mac_address),
        ("dns (--dns)", options.dns),
        ("dns (--dns-search)", options.dns_search),
        ("dns (--dns-option)", options.dns_options),
        ("custom host-to-IP mapping (--add-host)", options.extra_hosts),
        ("port publishing (--publish)", options.ports),
        ("port publishing (--publish-all)", options.publish_all_ports),
        ("port exposing (--expose)", options.exposed_ports),
    )
    named = [what for what, value in conflicts if value]
    if named:
        problem = f"conflicting options: {', '.join(named)} and the container type network mode (--network {options.network})"
        raise InvalidArgument(problem, f"give them to the container {owner_of(options.network)} instead")


def resolved(options: ContainerOptions, id_of: Callable[[str], str]) -> ContainerOptions:
    """The options with each container named by its id, since names may change; `id_of` raises NotFound."""
    named: dict[str, Any] = {}
    for field in ("pid_mode", "ipc_mode", "network"):
        owner = owner_of(getattr(options, field))
        if owner:
            with about(flag_of(field)):
                named[field] = mode_of(id_of(owner))
    return replace(options, **named) if named else options


CONVERTERS: Converters = {
    "pid_mode": ("pid_mode", _mode("pid", ("host",), joins=True)),
    "ipc_mode": ("ipc_mode", _mode("ipc", ("none", "private", "shareable", "host"), joins=True)),
    "uts_mode": ("uts_mode", _mode("uts", ("host",), joins=False)),
    "cgroupns": ("cgroupns", _mode("cgroup namespace", ("private", "host"), joins=False)),
    "userns_mode": ("userns_mode", _userns),
}
