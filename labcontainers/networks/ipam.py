"""Which subnet a network gets and which address a container; pure arithmetic: it must not know who has what beyond what it is told."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Set

from labcontainers.errors import Unavailable

Subnet = ipaddress.IPv4Network

# Private ranges (RFC 1918), those first that home routers, offices and Docker use least.
POOL = (
    *(f"172.{second}.0.0/16" for second in (30, 31, *range(29, 17, -1))),
    *(f"10.{second}.0.0/16" for second in range(210, 256)),
    *(f"192.168.{third}.0/24" for third in range(200, 250)),
)


def choose_subnet(in_use: Iterable[str], pool: Iterable[str] = POOL) -> Subnet:
    """The first subnet of the pool that overlaps no network in use ("address/length", host bits allowed); raises Unavailable."""
    used = [network for text in in_use if (network := ipaddress.IPv4Network(text, strict=False)).prefixlen]
    for text in pool:
        subnet = Subnet(text)
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise Unavailable("every subnet for containers overlaps an address or a route of this machine", "free one of 172.18.0.0 to 172.31.0.0")


def overlaps(subnet: Subnet, in_use: Iterable[str]) -> bool:
    """Whether a subnet overlaps a network in use, the default route aside."""
    used = (ipaddress.IPv4Network(text, strict=False) for text in in_use)
    return any(network.prefixlen and subnet.overlaps(network) for network in used)


def gateway_of(subnet: Subnet) -> str:
    """The first address: the bridge's own."""
    return str(subnet[1])


def choose_address(subnet: Subnet, taken: Set[str]) -> str:
    """The lowest free address of the subnet, its gateway's aside; raises Unavailable."""
    gateway = gateway_of(subnet)
    for candidate in subnet.hosts():
        text = str(candidate)
        if text != gateway and text not in taken:
            return text
    raise Unavailable(f"no address is left in {subnet}", "remove containers of this network")


def mac_of(address: str) -> str:
    """The MAC address that goes with an address, so that whoever gets the address next needs no new neighbour entry (RFC 7042: local)."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)
