"""The networks `none`, `host` and `bridge`, and the containers that join them.

It must not know where a container's process comes from: it gets a pid, a netlink socket and an id. Rootless differs in one thing
alone: the bridge lives in a private network namespace of the user's, reached by a socket that was opened inside it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from labcontainers.errors import Conflict, KernelFailed, NoSpace, NotFound, Unavailable
from labcontainers.kernel.netlink import Netlink
from labcontainers.kernel.notes import Notes
from labcontainers.networks import ipam
from labcontainers.networks.bridge import Network, bring_up, plan_bridge, take_down
from labcontainers.networks.endpoints import Endpoint, host_interface_of
from labcontainers.store.records import NetworkRow, Records

__all__ = ["Network", "Networks"]

_BRIDGE = "bridge"
_INSIDE = "eth0"
_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
# A container between its address and its interface is younger than this; one without an interface for longer has ended.
_GRACE_S = 5.0
# A bridge stays for this long after its last container, since the next one often follows.
_LINGER_S = 1.0


class _Kept(Exception):
    """Undoes a claim that was made only to look while nobody else could claim."""


class Networks:
    """All networks of the store. Thread-safe; several processes may use one store.

    `host_socket` gives a new netlink socket of the private namespace that bridges live in (the caller's to close), or None where
    they live in this process' own. `alive` tells whether the owner of an address may still need it, where that is known sooner
    than by its interface.
    """

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
        self._lock = threading.Lock()
        self._absent: dict[str, float] = {}
        self._looked_at = float("-inf")
        self._taking_down: set[str] = set()

    # --- records

    def list(self) -> list[Network]:
        """Every network."""
        return [self.get(name) for name in _DRIVERS]

    def get(self, name: str) -> Network:
        """By name; raises NotFound. The bridge's subnet is chosen when it is first needed."""
        if name not in _DRIVERS:
            raise NotFound(f"no such network: {name}", f"networks are {', '.join(_DRIVERS)}")
        row = self._records.find_network(name) if name == _BRIDGE else None
        return Network(name, _DRIVERS[name]) if row is None else Network.from_json(row.document, row.id)

    def ensure(self, name: str) -> Network:
        """The network, written down with a subnet of its own; nothing is made in the kernel. Raises NotFound, Unavailable."""
        network = self.get(name)
        if name != _BRIDGE or network.subnet:
            return network
        with self._namespace() as fd:
            return self._write_down(fd)

    def _write_down(self, fd: int | None) -> Network:
        planned = plan_bridge(self._netlink, secrets.token_hex(32), fd)
        # When another process was faster, its plan holds.
        with contextlib.suppress(Conflict):
            self._records.put_network(NetworkRow(planned.id, planned.name, planned.driver, planned.to_json()))
        return self.get(planned.name)

    @contextlib.contextmanager
    def _namespace(self) -> Iterator[int | None]:
        fd = self._host_socket()
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def find_endpoint(self, container_id: str) -> Endpoint | None:
        """The container's place in the bridge network, from the records; None without one."""
        address = self._records.find_address(container_id)
        return None if address is None else _endpoint(self.get(_BRIDGE), container_id, address)

    def is_up(self, network: Network, here: bool) -> bool:
        """Whether the network has a bridge now, as far as can be told without entering the namespace where it is, unless that is `here`."""
        return bool(network.id) and ((here and self._netlink.has_link(network.bridge)) or bool(self._records.list_addresses(network.id)))

    # --- joining and leaving

    def connect(
        self, name: str, container_id: str, hostname: str, *, pid: int, netns_socket: int, mac: str = "", notes: Notes | None = None
    ) -> Endpoint:
        """Give the process `pid` (as this process sees it) an interface, an address and a default route; `mac` is one's choice.

        `notes` are told of each message to the kernel that changes something.

        `netns_socket` is a netlink socket opened in its network namespace; it stays the caller's. Blocks for some milliseconds; needs
        CAP_NET_ADMIN over both namespaces. Raises NotFound, Unavailable, KernelFailed, and then nothing of it is left.
        """
        if self.get(name).driver != "bridge":
            return Endpoint(name)
        with self._namespace() as fd:
            for attempt in range(4):
                network = self.get(name)
                if not network.subnet:
                    network = self._write_down(fd)
                self._reclaim(network, fd)
                try:
                    return self._join(network, container_id, pid, netns_socket, fd, mac, notes or Notes())
                except Conflict:
                    if attempt == 3:
                        raise
                    self._plan_anew(network)
        raise AssertionError("unreachable")

    def _join(self, network: Network, container_id: str, pid: int, netns_socket: int, fd: int | None, mac: str, notes: Notes) -> Endpoint:
        # The address comes first: while one is claimed, no process takes the bridge down.
        address = self._claim(network, container_id, fd)
        endpoint = _endpoint(network, container_id, address)
        endpoint = replace(endpoint, mac=mac or endpoint.mac)
        try:
            index = bring_up(self._netlink, network, fd, notes)
            with notes.timed("veth", outside=endpoint.host_interface, inside=_INSIDE, bridge=network.bridge, mac=endpoint.mac):
                self._netlink.add_veth(endpoint.host_interface, _INSIDE, pid, index, peer_mac=endpoint.mac, fd=fd)
            self._netlink.configure(netns_socket, _INSIDE, address, network.prefix_length, network.gateway, notes=notes)
        except BaseException:
            self._records.release_addresses(container_id)
            with contextlib.suppress(Unavailable):
                self._netlink.delete_link(endpoint.host_interface, fd=fd)
                self._take_down_when_unused(network, fd is None)
            raise
        return endpoint

    def _claim(self, network: Network, container_id: str, fd: int | None) -> str:
        subnet = ipam.Subnet(network.subnet)

        def claim() -> str:
            return self._records.claim_address(network.id, container_id, lambda taken: ipam.choose_address(subnet, taken))

        try:
            return claim()
        except Unavailable:
            self._reclaim(network, fd, grace_s=0)
            return claim()

    def _plan_anew(self, network: Network) -> None:
        """Forget a plan whose interface name or subnet somebody else has taken; the next look makes another one."""
        row = self._records.find_network(network.name)
        if row is not None and row.id == network.id:
            self._records.remove_network(network.name)

    def disconnect(self, container_id: str) -> None:
        """Give the container's address back and take its interface away, the latter in the background. Idempotent, quick without one.

        Rootless, the veth pair is left to end with the container's network namespace.
        """
        endpoint = self.find_endpoint(container_id)
        if endpoint is None:
            return
        # On a full disk the address is taken back by whoever needs one (see _reclaim).
        with contextlib.suppress(NoSpace):
            self._records.release_addresses(container_id)
        with contextlib.suppress(Unavailable):
            if self._netlink.has_link(endpoint.host_interface):
                self._netlink.delete_link(endpoint.host_interface)
            network = self.get(endpoint.network)
            self._take_down_when_unused(network, self._netlink.has_link(network.bridge))

    # --- what others left

    def adopt(self) -> None:
        """Take the bridge down that an engine left when it was killed, unless somebody is on it. Quick without one."""
        network = self.get(_BRIDGE)
        if network.id and self._netlink.has_link(network.bridge) and not self._records.list_addresses(network.id):
            self._take_down_when_unused(network, True)

    def _reclaim(self, network: Network, fd: int | None, grace_s: float = _GRACE_S) -> None:
        """Take back the addresses of containers that ended and nobody told: not alive, or without an interface for `grace_s` seconds."""
        now = time.monotonic()
        with self._lock:
            if grace_s and now - self._looked_at < grace_s:
                return
            self._looked_at = now
        claimed = set(self._records.list_addresses(network.id).values())
        if not claimed:
            return
        present = {link.name for link in self._netlink.list(fd=fd)}
        absent = {container_id for container_id in claimed if host_interface_of(container_id) not in present}
        with self._lock:
            self._absent = {container_id: self._absent.get(container_id, now) for container_id in absent}
            ended = {container_id for container_id, since in self._absent.items() if now - since >= grace_s}
        ended |= {container_id for container_id in claimed - ended if not self._alive(container_id)}
        for container_id in ended:
            self._records.release_addresses(container_id)

    def _take_down_when_unused(self, network: Network, here: bool) -> None:
        """Remove the bridge later, if no container has joined by then; one in a private namespace ends with the namespace."""
        with self._lock:
            if not here or network.id in self._taking_down:
                return
            self._taking_down.add(network.id)
        self._netlink.when_idle(lambda: self._take_down(network), _LINGER_S)

    def _take_down(self, network: Network) -> None:
        with self._lock:
            self._taking_down.discard(network.id)

        def look(taken: set[str]) -> str:
            # Claims of other processes wait meanwhile, so that nobody joins a bridge that is going.
            if not taken:
                with contextlib.suppress(KernelFailed):
                    take_down(self._netlink, network)
            raise _Kept

        if not self._records.list_addresses(network.id):
            with contextlib.suppress(_Kept):
                self._records.claim_address(network.id, "", look)


def _endpoint(network: Network, container_id: str, address: str) -> Endpoint:
    return Endpoint(
        network=network.name,
        interface=_INSIDE,
        address=address,
        prefix_length=network.prefix_length,
        gateway=network.gateway,
        mac=ipam.mac_of(address),
        host_interface=host_interface_of(container_id),
        network_id=network.id,
    )
