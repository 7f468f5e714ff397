"""Which processes listen at which ports: the tables of their network namespaces, and the sockets among their open files.

It must not know containers. Sources: proc_pid_net(5), proc_pid_fd(5), Linux include/net/tcp_states.h.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labcontainers.kernel.cgroup_files import read

_TABLES = ("tcp", "tcp6", "udp", "udp6")
# A socket of TCP that listens, and one of UDP that is connected to nobody.
_WAITING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
_MOST_FILES = 4096
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True)
class Port:
    """What is listened at: `protocol` is "tcp" or "udp", an address of "0.0.0.0" or "::" means all of the network namespace's own."""

    protocol: str
    address: str
    number: int

    def __str__(self) -> str:
        anywhere = self.address in ("0.0.0.0", "::")
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.number}/{self.protocol}" if anywhere else f"{host}:{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Listening:
    """Ports by process; a process whose open files this user may not look at is in `hidden`. `nobodys` are of no process that was seen."""

    by_process: Mapping[int, tuple[Port, ...]]
    hidden: frozenset[int]
    nobodys: tuple[Port, ...]


def listening(networks: Mapping[int, int | None], own: int | None, proc: str = "/proc") -> Listening:
    """Who of these processes listens where; `networks` has the inode of each one's network namespace, None where it is not known.

    Ports of nobody are told of the namespace `own` alone: in one that is shared with the host, every other program has ports.
    """
    tables: dict[int | None, dict[int, Port]] = {}
    found: dict[int, tuple[Port, ...]] = {}
    hidden: set[int] = set()
    taken: set[int] = set()
    for pid, network in networks.items():
        if network not in tables:
            tables[network] = _table(pid, proc)
        sockets = _sockets(pid, proc) if tables[network] else ()
        if sockets is None:
            hidden.add(pid)
            continue
        taken.update(sockets)
        ports = [tables[network][inode] for inode in sockets if inode in tables[network]]
        if ports:
            found[pid] = _in_order(ports)
    left = [port for inode, port in tables.get(own, {}).items() if inode not in taken] if own is not None else []
    return Listening(found, frozenset(hidden), _in_order(left))


def _in_order(ports: Iterable[Port]) -> tuple[Port, ...]:
    return tuple(sorted(set(ports), key=lambda port: (port.number, port.protocol, port.address)))


def _table(pid: int, proc: str) -> dict[int, Port]:
    """What is listened at in the network namespace of a process, by the inode of the socket."""
    found: dict[int, Port] = {}
    for name in _TABLES:
        for line in (read(f"{proc}/{pid}/net/{name}") or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _WAITING[name]:
                address, _, number = fields[1].partition(":")
                found[int(fields[9])] = Port(name.rstrip("6"), _address(address), int(number, 16))
    return found


def _address(text: str) -> str:
    """Words of 32 bits in the machine's order of bytes, in hexadecimal digits."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)))


def _sockets(pid: int, proc: str) -> list[int] | None:
    """The inodes of the sockets that a process has open; None where this user may not look."""
    folder = f"{proc}/{pid}/fd"
    found = []
    try:
        for name in os.listdir(folder)[:_MOST_FILES]:
            try:
                target = os.readlink(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            if target.startswith(_SOCKET):
                found.append(int(target[len(_SOCKET) : -1]))
    except FileNotFoundError:
        return found
    except OSError:
        return None
    return found
