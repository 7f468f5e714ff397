"""A stand-in for kernel.netlink.Netlink: interfaces in a dict, everything at once and in this thread."""

from __future__ import annotations

from collections.abc import Callable

from labcontainers.errors import Conflict, KernelFailed
from labcontainers.kernel.netlink import Link
from labcontainers.kernel.notes import Notes


class RecordedNetlink:
    """One machine's interfaces; several Networks may share it, as several stores share a machine."""

    def __init__(self, in_use: tuple[str, ...] = ("192.0.2.2/24",)) -> None:
        self.links: dict[str, Link] = {"lo": Link(1, "lo", "", "", True, 0)}
        self.addresses: dict[str, str] = {}
        self.outside = in_use
        self.calls: list[tuple[object, ...]] = []
        self.put_off: list[Callable[[], object]] = []
        self.refuse: set[str] = set()
        self._next = 2

    def _check(self, verb: str) -> None:
        if verb in self.refuse:
            raise KernelFailed("netlink", 1, verb)

    def _add(self, name: str, mac: str, kind: str, master: int = 0) -> int:
        self.links[name] = Link(self._next, name, mac, kind, True, master)
        self._next += 1
        return self.links[name].index

    def run_put_off(self) -> None:
        while self.put_off:
            self.put_off.pop(0)()

    def when_idle(self, work: Callable[[], object], delay_s: float = 0) -> None:
        self.put_off.append(work)

    def has_link(self, name: str) -> bool:
        return name in self.links

    def find(self, name: str, *, fd: int | None = None) -> Link | None:
        return self.links.get(name)

    def list(self, *, fd: int | None = None) -> tuple[Link, ...]:
        return tuple(self.links.values())

    def networks_in_use(self, *, fd: int | None = None) -> tuple[str, ...]:
        return (*self.outside, *self.addresses.values())

    def ensure_bridge(
        self, name: str, address: str, prefix_length: int, *, mac: str, fd: int | None = None, notes: Notes | None = None
    ) -> int:
        self._check("ensure_bridge")
        self.calls.append(("ensure_bridge", name, address, prefix_length, fd))
        link = self.links.get(name)
        if link is not None and link.mac != mac:
            raise Conflict(f"{name} is somebody else's")
        if link is not None:
            return link.index
        self.addresses[name] = f"{address}/{prefix_length}"
        return self._add(name, mac, "bridge")

    def add_veth(self, name: str, peer: str, peer_pid: int, bridge: int, *, peer_mac: str = "", fd: int | None = None) -> None:
        self._check("add_veth")
        self.calls.append(("add_veth", name, peer, peer_pid, bridge, peer_mac, fd))
        self._add(name, "", "veth", bridge)

    def configure(self, fd: int, interface: str, address: str, prefix_length: int, gateway: str, *, notes: Notes | None = None) -> str:
        self._check("configure")
        self.calls.append(("configure", fd, interface, address, prefix_length, gateway))
        return ""

    def delete_link(self, name: str, *, fd: int | None = None) -> None:
        self.put_off.append(lambda: self.delete_link_now(name))

    def delete_link_now(self, name: str, *, fd: int | None = None) -> None:
        self.links.pop(name, None)
        self.addresses.pop(name, None)
