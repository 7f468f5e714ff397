"""Published ports: `docker run -p` texts to bindings, and the listening sockets that hold them; it must not forward anything."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labcontainers.errors import Conflict, Denied, InvalidArgument, KernelFailed, Unsupported

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_HINT = "write HOST:CONTAINER, such as 8080:80, or ADDRESS:HOST:CONTAINER"
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class PortBinding:
    """`host_port` 0 lets the kernel choose one."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.host_ip}:{self.host_port}->{self.container_port}/{self.protocol}"


def parse_ports(text: str) -> tuple[PortBinding, ...]:
    """One `-p` text, such as "80", "8080:80", "127.0.0.1:8080:80/tcp", "8000-8002:80-82"; raises InvalidArgument, Unsupported."""
    body, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if protocol in ("udp", "sctp"):
        raise Unsupported(f"publishing {protocol} ports is not supported yet: {text!r}", "publish a tcp port")
    if protocol != "tcp":
        raise InvalidArgument(f"unknown protocol {protocol!r} in port {text!r}", "use tcp")
    address = "0.0.0.0"
    if body.startswith("["):
        address, _, body = body[1:].partition("]:")
    elif body.count(":") == 2:
        address, _, body = body.partition(":")
        address = address or "0.0.0.0"
    host_text, separator, container_text = body.rpartition(":")
    _check_address(address, text)
    inside = _ports(container_text, text)
    outside = _ports(host_text, text) if separator and host_text else [0] * len(inside)
    if len(outside) != len(inside):
        raise InvalidArgument(f"port ranges of unequal length: {text!r}", _HINT)
    return tuple(PortBinding(address, host, port, protocol) for host, port in zip(outside, inside, strict=True))


def _check_address(address: str, text: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
    except OSError:
        raise InvalidArgument(f"not an IP address: {address!r} in port {text!r}", _HINT) from None


def _ports(part: str, text: str) -> list[int]:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise InvalidArgument(f"invalid port {text!r}", _HINT)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last > 65535:
        raise InvalidArgument(f"invalid port {text!r}: ports are 0 to 65535, the lower one first", _HINT)
    return list(range(first, last + 1))


def open_listeners(bindings: Sequence[PortBinding]) -> list[tuple[PortBinding, socket.socket]]:
    """A listening socket for each binding, in this process' network namespace, with the port that it really has.

    Raises Conflict when a port is in use and Denied when it may not be used; then no socket stays open.
    """
    opened: list[tuple[PortBinding, socket.socket]] = []
    try:
        for binding in bindings:
            sock = socket.socket(socket.AF_INET6 if ":" in binding.host_ip else socket.AF_INET, socket.SOCK_STREAM)
            opened.append((binding, sock))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((binding.host_ip, binding.host_port))
            sock.listen(_BACKLOG)
            opened[-1] = (replace(binding, host_port=sock.getsockname()[1]), sock)
    except OSError as error:
        for _, sock in opened:
            sock.close()
        raise _refusal(opened[-1][0], error) from error
    return opened


def _refusal(binding: PortBinding, error: OSError) -> Exception:
    where = f"{binding.host_ip}:{binding.host_port}"
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"port {where} is already in use", "publish another port, or 0 for a free one")
    if error.errno == errno.EACCES:
        return Denied(f"an ordinary user may not listen on port {where}", "publish a port from 1024 on")
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidArgument(f"this machine has no address {binding.host_ip}", "leave the address out")
    return KernelFailed("bind", error.errno or 0, where)
