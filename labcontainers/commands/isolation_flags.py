"""The flags of `run` and `create` on what a container may do, share and name; it must not execute anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag

PRIVILEGED = Flag(("--privileged",), "every capability that this host gives, and with run its devices and system paths", "switch")
ISOLATION_FLAGS = (
    Flag(("--cap-add",), "add a capability, or ALL; repeatable", "list", "NAME"),
    Flag(("--cap-drop",), "drop a capability, or ALL; repeatable", "list", "NAME"),
    PRIVILEGED,
    Flag(
        ("--security-opt",),
        "no-new-privileges, seccomp=FILE or unconfined, apparmor=PROFILE, systempaths=unconfined, writable-cgroups or label=…; repeatable",
        "list",
        "OPTION",
    ),
    Flag(("--pid",), "process namespace: host or container:NAME", metavar="MODE", completes="joined", choices=("host",)),
    Flag(
        ("--ipc",),
        "shared memory: none, private, shareable, host or container:NAME",
        metavar="MODE",
        completes="joined",
        choices=("none", "private", "shareable", "host"),
    ),
    Flag(("--uts",), "host name's namespace: host", metavar="MODE", choices=("host",)),
    Flag(("--userns",), "user namespace: host", metavar="MODE", choices=("host",)),
    Flag(("--cgroupns",), "control group namespace: private or host", metavar="MODE", choices=("private", "host")),
    Flag(("--device",), "device of this machine HOST[:CONTAINER[:rwm]]; repeatable", "list", "HOST:CONTAINER", completes="path"),
    Flag(("--device-cgroup-rule",), "allow devices, such as 'c 10:200 rwm'; repeatable", "list", "RULE"),
    Flag(("--dns",), "address of a name server; repeatable", "list", "ADDRESS"),
    Flag(("--dns-option", "--dns-opt"), "option of the resolver, such as ndots:2; repeatable", "list", "OPTION"),
    Flag(("--dns-search",), "domain to look names up in, or . for none; repeatable", "list", "DOMAIN"),
    Flag(("--add-host",), "line of /etc/hosts NAME:ADDRESS, also NAME:host-gateway; repeatable", "list", "NAME:ADDRESS"),
    Flag(("--expose",), "port or range that the container listens on; repeatable", "list", "PORT"),
    Flag(("-P", "--publish-all"), "publish every exposed port on a free one", "switch"),
    Flag(("--mac-address",), "MAC address on the bridge", metavar="ADDRESS"),
)


def isolation_keywords(call: Invocation) -> dict[str, Any]:
    """These flags as keywords of the engine."""
    return {
        "cap_add": call.cap_add or None,
        "cap_drop": call.cap_drop or None,
        "privileged": call.privileged or None,
        "security_opt": [_security_opt(text, call.folder) for text in call.security_opt] or None,
        "pid_mode": call.pid,
        "ipc_mode": call.ipc,
        "uts_mode": call.uts,
        "userns_mode": call.userns,
        "cgroupns": call.cgroupns,
        "devices": call.device or None,
        "device_cgroup_rules": call.device_cgroup_rule or None,
        "dns": call.dns or None,
        "dns_opt": call.dns_option or None,
        "dns_search": call.dns_search or None,
        "extra_hosts": call.add_host or None,
        "expose": call.expose or None,
        "publish_all_ports": call.publish_all or None,
        "mac_address": call.mac_address or None,
    }


def _security_opt(text: str, folder: Path) -> str:
    """A profile's file is meant from the folder that the command is given in."""
    for start in ("seccomp=", "seccomp:"):
        name = text.removeprefix(start)
        if name != text and name not in ("unconfined", "builtin") and not name.lstrip().startswith("{"):
            return f"{start}{folder / Path(name).expanduser()}"
    return text
