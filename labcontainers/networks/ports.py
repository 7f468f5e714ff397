"""Published ports: `docker run -p` texts to bindings, and the listening sockets that hold them; it must not forward anything."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labcontainers.errors import Conflict, Denied, InvalidArgument, KernelFailed, LabError, Unsupported
from labcontainers.kernel.notes import Notes

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HINT = "write HOST:CONTAINER, such as 8080:80, or ADDRESS:HOST:CONTAINER"
_ANY = "0.0.0.0"
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A port of the container on an address and port of the host; `host_port` 0 lets the kernel choose one.

    With `last_host_port` it is the first free one from `host_port` to that.
    """

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"
    last_host_port: int = 0

    @property
    def host_ports(self) -> str:
        """The port or the range on the host as text: "8080", "8000-8010"."""
        return f"{self.host_port}-{self.last_host_port}" if self.last_host_port else str(self.host_port)

    @property
    def host(self) -> str:
        """The host's side as text: "0.0.0.0:8080", "[::1]:8080"."""
        return f"[{self.host_ip}]:{self.host_ports}" if ":" in self.host_ip else f"{self.host_ip}:{self.host_ports}"

    def __str__(self) -> str:
        return f"{self.host}->{self.container_port}/{self.protocol}"


def parse_ports(text: str) -> tuple[PortBinding, ...]:
    """One `-p` text: "80", "8080:80", "127.0.0.1:8080:80/tcp", "8000-8002:80-82", "8000-8010:80"; raises InvalidArgument, Unsupported.

    Without a host port, or with 0, the kernel chooses one; of a range for one port of the container it is the first free one.
    Source: docs.docker.com "docker run", --publish.
    """
    body, separator, protocol = text.partition("/")
    protocol = protocol.lower() if separator else "tcp"
    if protocol in ("udp", "sctp"):
        raise Unsupported(f"publishing {protocol} ports is not supported yet: {text!r}", "publish a tcp port")
    if protocol != "tcp":
        raise InvalidArgument(f"unknown protocol {protocol!r} in port {text!r}", "use tcp")
    address = _ANY
    if body.startswith("["):
        address, _, body = body[1:].partition("]:")
    elif body.count(":") == 2:
        address, _, body = body.partition(":")
        address = address or _ANY
    _check_address(address, text)
    host_text, _, container_text = body.rpartition(":")
    inside = _numbers(container_text, text)
    if inside[0] == 0:
        raise InvalidArgument(f"invalid port {text!r}: a container's port is 1 to 65535", _HINT)
    outside = _numbers(host_text, text) if host_text not in ("", "0") else [0] * len(inside)
    if len(inside) == 1 and len(outside) > 1 and outside[0] > 0:
        return (PortBinding(address, outside[0], inside[0], protocol, outside[-1]),)
    if len(outside) != len(inside):
        raise InvalidArgument(f"port ranges of unequal length: {text!r}", _HINT)
    return tuple(PortBinding(address, host, port, protocol) for host, port in zip(outside, inside, strict=True))


def _check_address(address: str, text: str) -> None:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        raise InvalidArgument(f"not an IP address: {address!r} in port {text!r}", _HINT) from None


def _numbers(part: str, text: str) -> list[int]:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise InvalidArgument(f"invalid port {text!r}", _HINT)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last > 65535:
        raise InvalidArgument(f"invalid port {text!r}: ports are 0 to 65535, the lower one first", _HINT)
    return list(range(first, last + 1))


def open_listeners(bindings: Sequence[PortBinding], notes: Notes | None = None) -> list[tuple[PortBinding, socket.socket]]:
    """A listening socket for each binding, in this process' network namespace, with the port that it really has.

    `notes` are told of each. Raises Conflict when a port is in use and Denied when it may not be used; then no socket stays open.
    """
    notes = notes or Notes()
    opened: dict[int, socket.socket] = {}
    # Those that name a port come first, lest the kernel gives it to one that does not.
    order = sorted(range(len(bindings)), key=lambda index: (bindings[index].host_port == 0, bindings[index].last_host_port > 0))
    try:
        for index in order:
            wanted = bindings[index]
            first = wanted.host_ports if wanted.last_host_port else wanted.host_port
            with notes.timed("listen", address=wanted.host_ip, port=first, to=wanted.container_port) as noted:
                opened[index] = _listen_in_range(wanted)
                noted["port"] = opened[index].getsockname()[1]
    except BaseException:
        for sock in opened.values():
            sock.close()
        raise
    return [
        (replace(binding, host_port=opened[index].getsockname()[1], last_host_port=0), opened[index])
        for index, binding in enumerate(bindings)
    ]


def _listen_in_range(binding: PortBinding) -> socket.socket:
    for port in range(binding.host_port, binding.last_host_port):
        with contextlib.suppress(Conflict):
            return _listen(replace(binding, host_port=port, last_host_port=0))
    try:
        return _listen(replace(binding, host_port=binding.last_host_port or binding.host_port, last_host_port=0))
    except Conflict:
        if binding.last_host_port:
            raise Conflict(f"all ports of {binding.host} are already in use", "publish another range, or 0 for a free one") from None
        raise


def _listen(binding: PortBinding) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in binding.host_ip else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(binding, error) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((binding.host_ip, binding.host_port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(binding, error) from error
    return sock


def _refusal(binding: PortBinding, error: OSError) -> LabError:
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"port {binding.host} is already in use", "publish another port, or 0 for a free one")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Denied(f"an ordinary user may not listen on port {binding.host}", "publish a port from 1024 on")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return InvalidArgument(f"this machine has no address {binding.host_ip}", "leave the address out")
    return KernelFailed("bind", error.errno or 0, binding.host)
