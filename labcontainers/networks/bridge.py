"""One bridge in the kernel: made when the first container joins, taken away when the last one has left.

It must not know containers or records. The bridge's MAC address says whose it is, so that two stores on one machine never share one.
"""

from __future__ import annotations

import html
import ipaddress
import json
from dataclasses import asdict, dataclass, fields

from labcontainers.errors import Conflict
from labcontainers.kernel.netlink import Netlink
from labcontainers.kernel.notes import Notes
from labcontainers.networks import ipam

FIRST_NAME = "lab0"


@dataclass(frozen=True, slots=True)
class Network:
    """One network; `subnet`, `gateway` and `bridge` (its interface on the host) are "" for those that have none."""

    name: str
    driver: str
    subnet: str = ""
    gateway: str = ""
    bridge: str = ""
    id: str = ""

    @property
    def event_id(self) -> str:
        """What events call it: `none` and `host`, which are the same in every store, by their names."""
        return self.id or self.name

    def to_json(self) -> str:
        """Its document in the records."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, network_id: str) -> Network:
        """From its document; what a newer version has added is left out."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in json.loads(text).items() if key in known}
        return cls(**{**values, "id": network_id})

    @property
    def prefix_length(self) -> int:
        """The length of the subnet's prefix; 0 without one."""
        return ipaddress.IPv4Network(self.subnet).prefixlen if self.subnet else 0

    @property
    def mac(self) -> str:
        """The bridge's MAC address, locally administered (RFC 7042) and as unique as the network's id."""
        return "02:" + ":".join(self.id[start : start + 2] for start in range(0, 10, 2))

    def __repr__(self) -> str:
        where = f" {self.subnet} on {self.bridge}" if self.subnet else ""
        return f"<Network {self.name} ({self.driver}){where}>"

    def _repr_html_(self) -> str:
        about = f"{self.driver} {self.subnet}".strip()
        return f"<b>{html.escape(self.name)}</b> <span style='opacity:.7'>{html.escape(about)}</span>"


def plan_bridge(netlink: Netlink, network_id: str, fd: int | None) -> Network:
    """A new bridge network: a subnet and an interface name that nobody on this machine uses now. Raises Unavailable, KernelFailed.

    `fd` is a socket of the private namespace that the bridge will live in, or None; the machine's own networks are avoided either way.
    """
    in_use = [*netlink.networks_in_use(fd=None), *(netlink.networks_in_use(fd=fd) if fd is not None else ())]
    names = {link.name for link in netlink.list(fd=fd)}
    subnet = ipam.choose_subnet(in_use)
    stem = FIRST_NAME.rstrip("0")
    name = next(f"{stem}{number}" for number in range(len(names) + 1) if f"{stem}{number}" not in names)
    return Network("bridge", "bridge", str(subnet), ipam.gateway_of(subnet), name, network_id)


def bring_up(netlink: Netlink, network: Network, fd: int | None, notes: Notes | None = None) -> int:
    """The index of the network's bridge, made where it is missing; `notes` are told of what is done for that.

    Raises KernelFailed, or Conflict when its interface name or its subnet has meanwhile been taken by somebody else.
    """
    link = netlink.find(network.bridge, fd=fd)
    if link is not None and link.mac == network.mac and link.up:
        return link.index
    if link is None and ipam.overlaps(ipam.Subnet(network.subnet), netlink.networks_in_use(fd=fd)):
        # Another process of the same store may have made it since.
        link = netlink.find(network.bridge, fd=fd)
        if link is None or link.mac != network.mac:
            raise Conflict(f"the subnet {network.subnet} is in use on this machine", "another one is needed")
    return netlink.ensure_bridge(network.bridge, network.gateway, network.prefix_length, mac=network.mac, fd=fd, notes=notes)


def take_down(netlink: Netlink, network: Network) -> None:
    """Remove the network's bridge from this process' namespace, unless an interface is still joined to it. Raises KernelFailed."""
    links = netlink.list()
    for link in links:
        if link.name == network.bridge and link.mac == network.mac and not any(other.master == link.index for other in links):
            netlink.delete_link_now(network.bridge)
