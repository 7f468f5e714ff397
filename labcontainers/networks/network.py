"""The networks `none`, `host` and `bridge`, and the containers that join them.

It must not know where a container's process comes from: it gets a pid, a netlink socket and an id. Rootless differs in one thing
alone: the bridge lives in a private network namespace of the user's, reached by a socket that was opened inside it.
"""

from __future__ import annotations

import contextlib
import html
import ipaddress
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from labcontainers.errors import Conflict, KernelFailed, NotFound, Unavailable
from labcontainers.kernel.netlink import Netlink
from labcontainers.networks.endpoints import Endpoint
from labcontainers.store.records import NetworkRow, Records

BRIDGE = "lab0"
_POOL = tuple(f"172.{second}.0.0/16" for second in range(30, 32)) + tuple(f"10.{second}.0.0/16" for second in range(210, 230))
_INSIDE = "eth0"


@dataclass(frozen=True, slots=True)
class Network:
    """One network; `subnet` and `gateway` are "" for those that have none."""

    name: str
    driver: str
    subnet: str = ""
    gateway: str = ""
    bridge: str = ""

    def __repr__(self) -> str:
        return f"<Network {self.name} ({self.driver}){' ' + self.subnet if self.subnet else ''}>"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.name)}</b> <span style='opacity:.7'>{html.escape(f'{self.driver} {self.subnet}')}</span>"


class Networks:
    """All networks of the store. `host_socket` gives a new netlink socket of the namespace of the bridge, or None for this process'."""

    def __init__(
        self,
        records: Records,
        netlink: Netlink,
        host_socket: Callable[[], int | None],
        alive: Callable[[str], bool] = lambda container_id: True,
    ) -> None:
        self._records = records
        self._netlink = netlink
        self._host_socket = host_socket
        self._alive = alive
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = threading.Lock()

    def list(self) -> list[Network]:
        """Every network."""
        return [self.get(name) for name in ("bridge", "host", "none")]

    def get(self, name: str) -> Network:
        """By name; raises NotFound. The bridge's subnet is chosen when it is first needed."""
        if name in ("host", "none"):
            return Network(name, name if name == "host" else "null")
        if name != "bridge":
            raise NotFound(f"no such network: {name}", "networks are bridge, host and none")
        row = self._records.find_network(name)
        if row is None:
            return Network("bridge", "bridge")
        return Network(**json.loads(row.document))

    @contextlib.contextmanager
    def _socket(self) -> Iterator[int | None]:
        fd = self._host_socket()
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _ensure(self, fd: int | None) -> Network:
        """The bridge, in the records and in the kernel."""
        network = self.get("bridge")
        if not network.subnet:
            network = self._choose_subnet(fd)
            with contextlib.suppress(Conflict):
                self._records.put_network(NetworkRow(secrets.token_hex(32), "bridge", "bridge", json.dumps(asdict(network))))
            network = self.get("bridge")
        length = ipaddress.ip_network(network.subnet).prefixlen
        self._netlink.ensure_bridge(network.bridge, network.gateway, length, fd=fd)
        return network

    def _choose_subnet(self, fd: int | None) -> Network:
        used = [ipaddress.ip_network(text, strict=False) for text in {*self._netlink.networks_in_use(fd=fd), *self._outside(fd)}]
        for text in _POOL:
            subnet = ipaddress.ip_network(text)
            if not any(subnet.overlaps(other) for other in used if other.prefixlen):
                return Network("bridge", "bridge", text, str(subnet[1]), BRIDGE)
        raise Unavailable("every subnet for the bridge overlaps with an address or a route of this machine")

    def _outside(self, fd: int | None) -> Sequence[str]:
        """A private namespace's subnet should not hide the machine's own either."""
        return [] if fd is None else self._netlink.networks_in_use(fd=None)

    def connect(self, name: str, container_id: str, hostname: str, *, pid: int, netns_socket: int) -> Endpoint:
        """Give the process `pid` an interface, an address and a route; `netns_socket` was opened in its network namespace.

        Raises KernelFailed, and then nothing of it is left.
        """
        self.get(name)
        with self._socket() as fd:
            network = self._ensure(fd)
            subnet = ipaddress.ip_network(network.subnet)
            row = self._records.find_network(name)
            assert row is not None
            self._reclaim(row.id)
            address = self._records.claim_address(row.id, container_id, lambda taken: _free(subnet, network.gateway, taken))
            host_interface = f"lab{secrets.token_hex(4)}"
            try:
                self._netlink.add_veth(host_interface, _INSIDE, pid, network.bridge, fd=fd)
                mac = self._netlink.configure(netns_socket, _INSIDE, address, subnet.prefixlen, network.gateway)
            except KernelFailed:
                self._records.release_addresses(container_id)
                raise
        endpoint = Endpoint(name, _INSIDE, address, subnet.prefixlen, network.gateway, mac, host_interface)
        with self._lock:
            self._endpoints[container_id] = endpoint
        return endpoint

    def _reclaim(self, network_id: str) -> None:
        """Take back the addresses of containers that have ended without anybody telling."""
        for container_id in set(self._records.list_addresses(network_id).values()):
            if not self._alive(container_id):
                self._records.release_addresses(container_id)

    def find_endpoint(self, container_id: str) -> Endpoint | None:
        """The container's place in the bridge network, as far as this process or the records know it."""
        with self._lock:
            known = self._endpoints.get(container_id)
        if known is not None:
            return known
        row = self._records.find_network("bridge")
        if row is None:
            return None
        network = self.get("bridge")
        for address, owner in self._records.list_addresses(row.id).items():
            if owner == container_id:
                length = ipaddress.ip_network(network.subnet).prefixlen
                return Endpoint("bridge", _INSIDE, address, length, network.gateway, "", "")
        return None

    def disconnect(self, container_id: str) -> None:
        """Give the address back. The veth pair ends with the container's network namespace. Idempotent."""
        with self._lock:
            self._endpoints.pop(container_id, None)
        self._records.release_addresses(container_id)


def _free(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network, gateway: str, taken: set[str]) -> str:
    for candidate in subnet.hosts():
        if str(candidate) != gateway and str(candidate) not in taken:
            return str(candidate)
    raise Unavailable(f"no free address is left in {subnet}", "remove containers of this network")
