"""The fields of `docker inspect` on what a container may do and see: security, namespaces, devices and names.

It must not read anything: all it needs is given. Source: the Docker Engine API's HostConfig (version 1.51).
"""

from __future__ import annotations

from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.runtime.plan import MASKED, READ_ONLY


def isolation(options: ContainerOptions) -> dict[str, Any]:
    """Fields of HostConfig."""
    security = options.security
    texts = security.texts()
    if options.no_new_privileges and not security.no_new_privileges:
        texts.insert(0, "no-new-privileges")
    # As Docker's command line: null says that all of them are left out, an empty list that none was wished.
    paths: list[Any] | None = None if options.privileged else []
    return {
        "CapAdd": _capabilities(options.cap_add),
        "CapDrop": _capabilities(options.cap_drop),
        "Privileged": options.privileged,
        "SecurityOpt": texts or None,
        "MaskedPaths": paths if options.privileged or security.system_paths else list(MASKED),
        "ReadonlyPaths": paths if options.privileged or security.system_paths else list(READ_ONLY),
        "PidMode": options.pid_mode,
        "IpcMode": options.ipc_mode or "private",
        "UTSMode": options.uts_mode,
        "UsernsMode": options.userns_mode,
        "CgroupnsMode": options.cgroupns or "private",
        "Devices": [
            {"PathOnHost": device.source, "PathInContainer": device.path, "CgroupPermissions": device.permissions}
            for device in options.devices
        ],
        "DeviceCgroupRules": list(options.device_cgroup_rules) or None,
        "DeviceRequests": None,
        "Dns": list(options.dns),
        "DnsOptions": list(options.dns_options),
        "DnsSearch": list(options.dns_search),
        "ExtraHosts": list(options.extra_hosts) or None,
        "PublishAllPorts": options.publish_all_ports,
        "Links": None,
    }


def _capabilities(names: tuple[str, ...]) -> list[str] | None:
    return sorted(name if name == "ALL" else f"CAP_{name}" for name in names) or None


def exposed_ports(options: ContainerOptions, image: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Config.ExposedPorts: of the image, of --expose, and those that are published."""
    published = [f"{port.container_port}/{port.protocol}" for port in options.ports]
    return {port if "/" in port else f"{port}/tcp": {} for port in dict.fromkeys((*image, *options.exposed_ports, *published))}
