"""A container's place in a network, as a value; it must not know how it came about."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_HEX = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`interface` is the name inside the container, `host_interface` the other end of the veth pair.

    In the networks `none` and `host` a container has no address of its own: then the texts are "" and the length is 0.
    """

    network: str
    interface: str = ""
    address: str = ""
    prefix_length: int = 0
    gateway: str = ""
    mac: str = ""
    host_interface: str = ""
    network_id: str = ""


def host_interface_of(container_id: str) -> str:
    """The host's end of a container's veth pair: `lab` and the first eight digits of its id (at most 15 characters, netdevice(7))."""
    start = container_id[:8]
    return "lab" + (start if _HEX.fullmatch(start) else hashlib.sha256(container_id.encode()).hexdigest()[:8])
