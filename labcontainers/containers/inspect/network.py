"""Docker's document of a network, and a container's place in it; they must not read anything: all they need is given.

An endpoint has no record of its own here: its id is a digest of the network's and the container's, and so the same in both documents.
Source: the Docker Engine API's Network and EndpointSettings (version 1.51).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from labcontainers.networks.bridge import Network
from labcontainers.networks.endpoints import Endpoint


def network_id(network: Network) -> str:
    """The id; `none` and `host`, which are the same in every store, and a bridge that nobody has used yet have their name as one."""
    return network.id or network.name


def endpoint_id(network: str, container_id: str) -> str:
    """The id of a container's place in a network of this id."""
    return hashlib.sha256(f"{network}/{container_id}".encode()).hexdigest()


def sandbox_id(container_id: str, started_at: float) -> str:
    """The id of the network namespace of one of a container's lives, from when it was started in seconds since the epoch."""
    return hashlib.sha256(f"{container_id}/{started_at}".encode()).hexdigest()


def network_document(network: Network, members: Iterable[tuple[str, str, Endpoint | None]]) -> dict[str, Any]:
    """`members` are the ids, names and endpoints of the containers that run in it."""
    ipam = [{"Subnet": network.subnet, "Gateway": network.gateway}] if network.subnet else None
    bridge = {"com.docker.network.bridge.default_bridge": "true", "com.docker.network.bridge.name": network.bridge}
    return {
        "Name": network.name,
        "Id": network_id(network),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": ipam},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            container_id: {
                "Name": name,
                "EndpointID": endpoint_id(network_id(network), container_id),
                "MacAddress": endpoint.mac if endpoint is not None else "",
                "IPv4Address": f"{endpoint.address}/{endpoint.prefix_length}" if endpoint is not None else "",
                "IPv6Address": "",
            }
            for container_id, name, endpoint in members
        },
        "Options": bridge if network.bridge else {},
        "Labels": {},
    }


def endpoint_document(
    network: Network, container_id: str, endpoint: Endpoint | None, *, started: bool, running: bool, mac: str = ""
) -> dict[str, Any]:
    """A container's place in one network; empty while it does not run, also the network's id until it was first `started`.

    `mac` is one that was asked for.
    """
    identity = network_id(network)
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": (mac or endpoint.mac) if endpoint is not None else "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": identity if started else "",
        "EndpointID": endpoint_id(identity, container_id) if running else "",
        "Gateway": (endpoint.gateway or "") if endpoint is not None else "",
        "IPAddress": endpoint.address if endpoint is not None else "",
        "IPPrefixLen": endpoint.prefix_length if endpoint is not None else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
