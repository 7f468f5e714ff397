"""What the processes of a container may do, from its options and this host: capabilities, filter, hidden paths, devices.

It must not start anything. What a user asked for by name and this host cannot give is refused, as Docker does it; what is given in
name only is told as a warning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.devices import host_devices, nodes_of
from labcontainers.containers.options.forms import shown
from labcontainers.containers.options.logs import JSON_FILE
from labcontainers.containers.options.security import BUILTIN, UNCONFINED
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel import capabilities, security_modules
from labcontainers.kernel.cgroup_devices import DEFAULT_RULES, DeviceRule, parse_rule
from labcontainers.kernel.cgroup_devices import confine as confine_devices
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.notes import Notes
from labcontainers.kernel.seccomp_profile import parse_profile
from labcontainers.runtime.spec import DeviceNode

# What the kernel asks the user namespace of the whole machine for (capable() and not ns_capable() in its source).
_OF_THE_MACHINE = frozenset(
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD PERFMON SYSLOG SYS_BOOT "
    "SYS_MODULE SYS_PACCT SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM".split()
)


class FilterFor(Protocol):
    """Gives the compiled program for capability names and the text of a profile, by default the built-in one."""

    def __call__(self, names: frozenset[str], profile: str = "") -> bytes: ...


@dataclass(frozen=True, slots=True)
class Confinement:
    """In the runtime's terms (runtime.spec); `names` are the capabilities' names."""

    names: frozenset[str]
    capabilities: int
    seccomp: bytes
    seccomp_flags: int
    apparmor: str
    no_new_privileges: bool


def confine(options: ContainerOptions, rootless: bool, filter_for: FilterFor) -> Confinement:
    """What the container's processes may do. Raises InvalidArgument for a capability that this host lacks, and Unsupported."""
    names = _names(options, rootless)
    profile, flags = _profile(options)
    program = b"" if profile == UNCONFINED else filter_for(names, profile)
    security = options.security
    return Confinement(
        names,
        capabilities.mask(names),
        program,
        flags,
        "" if security.apparmor == UNCONFINED else security.apparmor,
        options.no_new_privileges or security.no_new_privileges,
    )


def spec_fields(options: ContainerOptions, rootless: bool, filter_for: FilterFor) -> dict[str, Any]:
    """The fields of a ContainerSpec that say what the container may do; raises InvalidArgument when a device is gone."""
    confined = confine(options, rootless, filter_for)
    return {
        "capabilities": confined.capabilities,
        "seccomp": confined.seccomp,
        "seccomp_flags": confined.seccomp_flags,
        "apparmor": confined.apparmor,
        "no_new_privileges": confined.no_new_privileges,
        "system_paths": options.privileged or options.security.system_paths,
        "writable_sys": options.privileged,
        "writable_cgroups": options.security.writable_cgroups,
        "devices": devices(options) if options.privileged or options.devices else (),
    }


def all_capabilities(rootless: bool) -> frozenset[str]:
    """Every capability that containers can have here: the kernel's own list in a user namespace, else what this process has."""
    return capabilities.of_this_kernel() if rootless else capabilities.of_this_process()


def _names(options: ContainerOptions, rootless: bool) -> frozenset[str]:
    if options.privileged:
        return all_capabilities(rootless)
    if not options.cap_add and not options.cap_drop:
        return capabilities.DEFAULT
    available = all_capabilities(rootless)
    missing = sorted(name for name in options.cap_add if name != "ALL" and name not in available)
    if missing:
        problem = f"--cap-add: capability not supported by your kernel or not available in the current environment: {', '.join(missing)}"
        raise InvalidArgument(problem, "leave it out of --cap-add; `doctor` tells what this host gives")
    return capabilities.choose(options.cap_add, options.cap_drop, available=available)


def _profile(options: ContainerOptions) -> tuple[str, int]:
    """The profile's text, "" for the default one or "unconfined", and the flags to load it with."""
    chosen = options.security.seccomp
    if not chosen:
        return (UNCONFINED if options.privileged else ""), 0
    if chosen in (UNCONFINED, BUILTIN):
        return ("" if chosen == BUILTIN else chosen), 0
    return chosen, parse_profile(json.loads(chosen)).load_flags


def check(options: ContainerOptions, rootless: bool, cgroup_mode: Callable[[], str], filter_for: FilterFor) -> None:
    """Before anything is made: raises InvalidArgument and Unsupported for what this host cannot give. Quick without such options."""
    security = options.security
    if rootless and options.network != "host" and any(host.endswith(":host-gateway") for host in options.extra_hosts):
        problem = "--add-host NAME:host-gateway: an ordinary user's bridge does not lead to this machine"
        raise Unsupported(problem, "use --network host, or run the engine as root")
    if rootless and options.device_cgroup_rules:
        raise Unsupported("--device-cgroup-rule: only root can allow devices", "give the device itself, by --device")
    if options.cap_add or options.cap_drop or security.seccomp:
        confine(options, rootless, filter_for)
    if security.apparmor and security.apparmor != UNCONFINED:
        _check_apparmor(security.apparmor)
    if security.labels and security_modules.selinux_enabled():
        raise Unsupported(f"--security-opt label={security.labels[0]}: SELinux labels are not set", "use label=disable, or leave it out")
    if security.writable_cgroups and cgroup_mode() != "v2":
        problem = "--security-opt writable-cgroups needs control groups of version 2 alone: those of version 1 are not shown in containers"
        raise Unsupported(problem, "leave it out")


def _check_apparmor(profile: str) -> None:
    if not security_modules.apparmor_enabled():
        raise Unsupported(f"--security-opt apparmor={profile}: apparmor is not enabled on this host", "leave it out")
    loaded = security_modules.apparmor_profiles()
    if loaded is not None and profile not in loaded:
        raise InvalidArgument(
            f"--security-opt: apparmor profile {profile!r} is not loaded on this host", "load it by apparmor_parser(8), as root"
        )


def warnings(options: ContainerOptions, rootless: bool) -> tuple[str, ...]:
    """What is given in name only."""
    found = [f"--security-opt {shown(f'label={label}')} has no effect: this machine has no SELinux" for label in options.security.labels]
    if options.kernel_memory_bytes is not None:
        found.append("--kernel-memory is discarded: Linux 5.16 took that limit away")
    if options.log_driver == JSON_FILE:
        found.append("--log-driver json-file is the same as local: the log is a file of the engine's own, for `logs` to read")
    if rootless:
        weak = sorted(_OF_THE_MACHINE.intersection(options.cap_add))
        if weak:
            found.append(
                f"capability {', '.join(weak)} has no effect: it is for the whole machine, and an ordinary user's container is not"
            )
        limited = sorted({mapping.source for mapping in options.devices if not mapping.full})
        if limited:
            found.append(f"device {', '.join(limited)} has the permissions that this user has: only root can restrict them further")
    return tuple(found)


def device_rules(options: ContainerOptions, rootless: bool, binds: Sequence[str]) -> tuple[DeviceRule, ...] | None:
    """Which devices the container's control group is to allow; None where no group is needed.

    Without CAP_MKNOD a container has no devices but those that it is given, so most need none: a group is for who may make nodes,
    who is given devices, and who sees those of the host because a folder `binds` them.
    """
    if rootless or options.privileged:
        return None
    may_make = bool({"MKNOD", "ALL"}.intersection(options.cap_add)) and "MKNOD" not in options.cap_drop
    sees = any(source == "/" or (source + "/").startswith("/dev/") for source in binds)
    if not (may_make or sees or options.devices or options.device_cgroup_rules):
        return None
    given = [
        DeviceRule(node.kind, node.major, node.minor, mapping.permissions) for mapping in options.devices for node in nodes_of(mapping)
    ]
    return (*DEFAULT_RULES, *given, *map(parse_rule, options.device_cgroup_rules))


def limit_devices(
    options: ContainerOptions, rules: tuple[DeviceRule, ...], group: Cgroup, group_id: str, notes: Notes | None = None
) -> tuple[Cgroup, tuple[str, ...]]:
    """The group held to the rules, and a warning where it cannot be; raises Unsupported where that was asked for."""
    try:
        return confine_devices(group, group_id, rules, notes=notes), ()
    except Unsupported as error:
        if options.device_cgroup_rules or not all(mapping.full for mapping in options.devices):
            raise
        return group, (error.message,)


def devices(options: ContainerOptions) -> tuple[DeviceNode, ...]:
    """The nodes beside the default ones, one for each path; raises InvalidArgument when one is gone."""
    found: Sequence[DeviceNode] = host_devices() if options.privileged else ()
    by_path = {node.path: node for node in found}
    for mapping in options.devices:
        by_path.update({node.path: node for node in nodes_of(mapping)})
    return tuple(by_path.values())
