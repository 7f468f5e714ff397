"""A container's record and state as the JSON document that `docker inspect` prints.

It must not read anything: all it needs is given. Fields that this engine has nothing for are left out rather than invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from labcontainers.containers.register import Record
from labcontainers.containers.state import ContainerState
from labcontainers.networks.endpoints import Endpoint
from labcontainers.networks.ports import PortBinding

_NEVER = "0001-01-01T00:00:00Z"


def _time(at: float | None) -> str:
    return _NEVER if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def inspect_document(record: Record, state: ContainerState, endpoint: Endpoint | None, ports: Sequence[PortBinding]) -> dict[str, Any]:
    """Source: the Docker Engine API's ContainerInspectResponse (version 1.51)."""
    options, config, row = record.options, record.config, record.row
    running = state.running
    return {
        "Id": row.id,
        "Created": _time(row.created_at),
        "Path": record.command[0],
        "Args": list(record.command[1:]),
        "State": {
            "Status": state.status,
            "Running": running,
            "Paused": state.status == "paused",
            "OOMKilled": state.oom_killed,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": _time(state.started_at),
            "FinishedAt": _time(state.finished_at),
        },
        "Image": row.image_id,
        "Name": "/" + row.name,
        "LogPath": str(record.directory / "log"),
        "HostConfig": {
            "Binds": [f"{volume.source}:{volume.target}:{'ro' if volume.read_only else 'rw'}" for volume in options.volumes],
            "Memory": options.memory_bytes or 0,
            "NanoCpus": int((options.cpus or 0) * 1e9),
            "PidsLimit": options.pids_limit,
            "NetworkMode": options.network,
            "AutoRemove": options.remove,
            "ReadonlyRootfs": options.read_only,
            "SecurityOpt": ["no-new-privileges"] if options.no_new_privileges else None,
            "PortBindings": _ports(options.ports),
            "Tmpfs": dict(options.tmpfs),
        },
        "Config": {
            "Hostname": record.hostname,
            "User": options.user or config.user,
            "Env": [*config.env, *options.environment],
            "Cmd": list(record.command) if options.entrypoint is not None else list(config.cmd or ()),
            "Image": row.image,
            "WorkingDir": options.working_dir or config.working_dir,
            "Entrypoint": list(options.entrypoint if options.entrypoint is not None else config.entrypoint or ()) or None,
            "Labels": {**dict(config.labels), **dict(options.labels)},
            "ExposedPorts": {port: {} for port in config.exposed_ports},
        },
        "Mounts": [
            {"Type": "bind", "Source": volume.source, "Destination": volume.target, "RW": not volume.read_only}
            for volume in options.volumes
        ],
        "NetworkSettings": {
            "Ports": _ports(ports) if running else {},
            "IPAddress": endpoint.address if endpoint is not None and running else "",
            "Gateway": (endpoint.gateway or "") if endpoint is not None and running else "",
            "MacAddress": endpoint.mac if endpoint is not None and running else "",
        },
    }


def _ports(bindings: Sequence[PortBinding]) -> dict[str, list[dict[str, str]]]:
    ports: dict[str, list[dict[str, str]]] = {}
    for port in bindings:
        ports.setdefault(f"{port.container_port}/{port.protocol}", []).append({"HostIp": port.host_ip, "HostPort": str(port.host_port)})
    return ports
