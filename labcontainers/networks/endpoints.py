"""A container's place in a network, as a value; it must not know how it came about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`interface` is the name inside the container, `host_interface` the other end of the veth pair."""

    network: str
    interface: str
    address: str
    prefix_length: int
    gateway: str
    mac: str
    host_interface: str
