"""A container's record and state as the JSON document that `docker inspect` prints.

It must not read anything: all it needs is given. The keys are Docker's, and there only where Docker has them; what this engine has no
value for is what it is for Docker when nothing was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers.containers.inspect.mounts import asked_mounts, volume_paths
from labcontainers.containers.inspect.network import endpoint_document, sandbox_id
from labcontainers.containers.inspect.options import exposed_ports, isolation
from labcontainers.containers.inspect.resources import process, resources
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.logs import NO_LOG
from labcontainers.containers.options.streams import stream_fields
from labcontainers.containers.register import Record
from labcontainers.containers.state import ContainerState
from labcontainers.containers.status import health_document, restart_document
from labcontainers.containers.trees import Trees
from labcontainers.containers.upkeep import healthcheck_of
from labcontainers.networks.bridge import Network
from labcontainers.networks.endpoints import Endpoint
from labcontainers.networks.ports import PortBinding
from labcontainers.units import format_time


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a document tells besides the record and the state.

    `network` is None for who shares another container's; `etc` is the folder of its hosts file and the like, which may be another's;
    `trees` are those of its files, if all are there; `checks` are the last ones of its health.
    """

    network: Network | None
    endpoint: Endpoint | None
    ports: Sequence[PortBinding]
    etc: Path
    trees: Trees | None = None
    checks: Sequence[dict[str, Any]] = ()


def inspect_document(record: Record, state: ContainerState, around: Surroundings) -> dict[str, Any]:
    """Source: the Docker Engine API's ContainerInspectResponse (version 1.51)."""
    options, row = record.options, record.row
    started = state.started_at is not None
    return {
        "Id": row.id,
        "Created": format_time(row.created_at),
        "Path": record.command[0],
        "Args": list(record.command[1:]),
        "State": _state(state, around.checks),
        "Image": row.image_id,
        "ResolvConfPath": str(around.etc / "resolv.conf") if started else "",
        "HostnamePath": str(around.etc / "hostname") if started else "",
        "HostsPath": str(around.etc / "hosts") if started else "",
        "LogPath": "" if options.log_driver == NO_LOG else str(record.directory / "log"),
        "Name": "/" + row.name,
        "RestartCount": state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": options.security.apparmor,
        # A shim is not asked for them, so that inspect wakes nobody.
        "ExecIDs": None,
        "HostConfig": _host_config(options),
        "GraphDriver": _graph_driver(record, state, around.trees),
        "Mounts": [point.document() for point in record.mounts],
        "Config": _config(record),
        # Podman's, and only there where a folder stands instead of an image.
        **({"Rootfs": options.rootfs} if options.rootfs is not None else {}),
        "NetworkSettings": _network_settings(record, state, around),
    }


def _host_config(options: ContainerOptions) -> dict[str, Any]:
    return {
        **asked_mounts(options),
        **resources(options),
        **process(options),
        "NetworkMode": options.network,
        "AutoRemove": options.remove,
        "RestartPolicy": restart_document(options.restart),
        "ReadonlyRootfs": options.read_only,
        "PortBindings": _ports(options.ports),
        **isolation(options),
    }


def _config(record: Record) -> dict[str, Any]:
    options, config = record.options, record.config
    entrypoint = list(options.entrypoint if options.entrypoint is not None else config.entrypoint or ())
    check, ports = healthcheck_of(config, options), exposed_ports(options, config.exposed_ports)
    signal = options.stop_signal or config.stop_signal
    return {
        "Hostname": record.hostname,
        "Domainname": options.domainname or "",
        "User": options.user or config.user,
        **stream_fields(options.tty, options.stdin_open, options.attach),
        **({"ExposedPorts": ports} if ports else {}),
        "Env": _environment(options.environment, config.env),
        "Cmd": list(record.command[len(entrypoint) :]) or None,
        **({"Healthcheck": check.to_docker()} if check is not None else {}),
        "Image": record.row.image,
        "Volumes": volume_paths(options, config.volumes),
        "WorkingDir": options.working_dir or config.working_dir,
        "Entrypoint": entrypoint or None,
        "OnBuild": None,
        "Labels": {**dict(config.labels), **dict(options.labels)},
        **({"StopSignal": signal} if signal else {}),
        **({"StopTimeout": options.stop_timeout_s} if options.stop_timeout_s is not None else {}),
    }


def _graph_driver(record: Record, state: ContainerState, trees: Trees | None) -> dict[str, Any]:
    """The overlay. It is mounted in the container's mount namespace alone: while it runs, that is where to see it from."""
    directory = record.directory
    return {
        "Data": {
            "ID": record.row.id,
            "LowerDir": ":".join(trees.mounted if trees is not None else ()),
            "MergedDir": f"/proc/{state.pid}/root" if state.running else str(directory / "root"),
            "UpperDir": trees.upper if trees is not None else str(directory / "upper"),
            "WorkDir": trees.work if trees is not None else str(directory / "work"),
        },
        "Name": "overlay2",
    }


def _network_settings(record: Record, state: ContainerState, around: Surroundings) -> dict[str, Any]:
    """Without an endpoint, addresses are empty; who shares another container's network has none of its own."""
    options, running = record.options, state.running
    endpoint = around.endpoint if running else None
    own: dict[str, Any] = {}
    if around.network is not None:
        started = state.started_at is not None
        own = endpoint_document(around.network, record.row.id, endpoint, started=started, running=running, mac=options.mac_address or "")
    inside = running and around.network is not None
    reachable = dict.fromkeys(exposed_ports(options, record.config.exposed_ports)) if endpoint is not None else {}
    return {
        "Bridge": "",
        "SandboxID": sandbox_id(record.row.id, state.started_at or 0.0) if inside else "",
        "SandboxKey": f"/proc/{state.pid}/ns/net" if inside else "",
        "Ports": {**reachable, **_ports(around.ports if running else ())},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        # What follows is that of the network `bridge` once more, as in Docker.
        "EndpointID": own["EndpointID"] if endpoint is not None else "",
        "Gateway": own.get("Gateway", ""),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": own.get("IPAddress", ""),
        "IPPrefixLen": own.get("IPPrefixLen", 0),
        "IPv6Gateway": "",
        "MacAddress": own.get("MacAddress", ""),
        "Networks": {around.network.name: own} if around.network is not None else {},
    }


def _environment(given: Sequence[str], of_image: Sequence[str]) -> list[str]:
    """What was given, then what else the image has, in Docker's order."""
    names = {entry.partition("=")[0] for entry in given}
    return [*given, *(entry for entry in of_image if entry.partition("=")[0] not in names)]


def _state(state: ContainerState, checks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": format_time(state.started_at),
        "FinishedAt": format_time(state.finished_at),
        **health_document(state, checks),
        **({"LogLostBytes": state.log_lost_bytes} if state.log_lost_bytes else {}),
    }


def _ports(bindings: Sequence[PortBinding]) -> dict[str, list[dict[str, str]]]:
    ports: dict[str, list[dict[str, str]]] = {}
    for port in bindings:
        ports.setdefault(f"{port.container_port}/{port.protocol}", []).append({"HostIp": port.host_ip, "HostPort": port.host_ports})
    return ports
