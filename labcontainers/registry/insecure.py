"""Which registries may do without TLS: named ones, and those whose address is in a network that is named; it must not send anything.

Source: moby, registry/config.go: a host's name is looked up. Each of its addresses must be in a network that is named, since any of
them may be the one that is spoken to (CVE-2026-92543).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(text: str) -> Network | None:
    """A network in CIDR form, None for anything else."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def networks_of(named: Sequence[str]) -> tuple[Network, ...]:
    """The networks among what is named."""
    return tuple(network for text in named if (network := network_of(text)) is not None)


def addresses_of(host: str) -> list[str]:
    """The addresses of a host by its name; [] when it is not known. Blocks while a name server is asked."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def is_insecure(host: str, named: Sequence[str], look_up: Callable[[str], list[str]] = addresses_of) -> bool:
    """Whether HOST[:PORT] is one of those that are `named`, or in one of their networks."""
    if host in named:
        return True
    networks = networks_of(named)
    if not networks:
        return False
    bare = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    try:
        addresses = [ipaddress.ip_address(bare)]
    except ValueError:
        # of a link-local address, the part after % names an interface
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in look_up(bare)]
    return bool(addresses) and all(any(address in network for network in networks) for address in addresses)


def peers_of(host: str, named: Sequence[str]) -> tuple[Network, ...]:
    """Where somebody who speaks for HOST[:PORT] must be, as it does without TLS by its networks alone; () where that does not matter.

    Its name is looked up once more when it is connected to, and may have other addresses then.
    """
    return networks_of(named) if host not in named and is_insecure(host, named) else ()
