"""`-p` texts, and the sockets that hold published ports."""

from __future__ import annotations

import os
import socket

import pytest

from labcontainers.errors import Conflict, Denied, InvalidArgument, LabError, Unsupported
from labcontainers.networks.ports import PortBinding, open_listeners, parse_ports

GOOD = {
    "80": ["0.0.0.0:0->80/tcp"],
    ":80": ["0.0.0.0:0->80/tcp"],
    "0:80": ["0.0.0.0:0->80/tcp"],
    "8080:80": ["0.0.0.0:8080->80/tcp"],
    "8080:80/TCP": ["0.0.0.0:8080->80/tcp"],
    "127.0.0.1:8080:80/tcp": ["127.0.0.1:8080->80/tcp"],
    "127.0.0.1::80": ["127.0.0.1:0->80/tcp"],
    "[::1]:8080:80": ["[::1]:8080->80/tcp"],
    "[::1]::80": ["[::1]:0->80/tcp"],
    "8000-8002:80-82": ["0.0.0.0:8000->80/tcp", "0.0.0.0:8001->81/tcp", "0.0.0.0:8002->82/tcp"],
    "8000-8002:80": ["0.0.0.0:8000-8002->80/tcp"],
    "80-81": ["0.0.0.0:0->80/tcp", "0.0.0.0:0->81/tcp"],
    "65535:65535": ["0.0.0.0:65535->65535/tcp"],
}
BAD: dict[str, tuple[type[LabError], str]] = {
    "": (InvalidArgument, "invalid port ''"),
    "80:": (InvalidArgument, "invalid port '80:'"),
    "80:0": (InvalidArgument, "a container's port is 1 to 65535"),
    "65536:80": (InvalidArgument, "ports are 0 to 65535"),
    "82-80:82-80": (InvalidArgument, "the lower one first"),
    "8000-8002:80-81": (InvalidArgument, "unequal length"),
    "0-2:80": (InvalidArgument, "unequal length"),
    "8000:80-81": (InvalidArgument, "unequal length"),
    "1:2:3:4": (InvalidArgument, "invalid port"),
    "::1:80:80": (InvalidArgument, "invalid port"),
    "[::1:80:80": (InvalidArgument, "port '[::1:80:80'"),
    "[]:80": (InvalidArgument, "not an IP address: ''"),
    "localhost:8080:80": (InvalidArgument, "not an IP address: 'localhost'"),
    "-1:80": (InvalidArgument, "invalid port"),
    "٣:80": (InvalidArgument, "invalid port"),
    "9" * 5000: (InvalidArgument, "invalid port"),
    " 80": (InvalidArgument, "invalid port"),
    "80/": (InvalidArgument, "unknown protocol ''"),
    "80/icmp": (InvalidArgument, "unknown protocol 'icmp'"),
    "80/udp": (Unsupported, "publishing udp ports is not supported yet"),
}


@pytest.mark.parametrize("text", GOOD)
def test_texts_as_docker_takes_them_are_parsed(text: str) -> None:
    assert [str(binding) for binding in parse_ports(text)] == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:20])
def test_other_texts_are_refused_with_their_reason(text: str) -> None:
    kind, words = BAD[text]
    with pytest.raises(kind) as caught:
        parse_ports(text)
    assert words in caught.value.message


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_listeners_have_the_ports_that_they_got_in_the_order_asked() -> None:
    named = free_port()
    asked = [PortBinding("127.0.0.1", 0, 80), PortBinding("127.0.0.1", named, 81)]
    opened = open_listeners(asked)
    try:
        assert [binding.container_port for binding, _ in opened] == [80, 81]
        assert opened[0][0].host_port > 0
        assert opened[1][0].host_port == named
        for binding, sock in opened:
            assert sock.getsockname() == ("127.0.0.1", binding.host_port)
            assert not sock.get_inheritable()
            socket.create_connection(("127.0.0.1", binding.host_port), 1).close()
    finally:
        for _, sock in opened:
            sock.close()


def test_a_port_in_use_is_named_and_no_other_stays_open() -> None:
    spare = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(Conflict, match=f"port 127.0.0.1:{port} is already in use"):
            open_listeners([PortBinding("127.0.0.1", spare, 80), PortBinding("127.0.0.1", port, 81)])
        assert set(os.listdir("/proc/self/fd")) == before
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", spare))


def test_the_same_port_twice_is_a_conflict() -> None:
    port = free_port()
    with pytest.raises(Conflict, match=str(port)):
        open_listeners([PortBinding("127.0.0.1", port, 80), PortBinding("127.0.0.1", port, 81)])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"this machine has no address 192\.0\.2\.77"):
        open_listeners([PortBinding("192.0.2.77", 0, 80)])


@pytest.mark.needs("ordinary user")
def test_a_low_port_is_denied_to_an_ordinary_user() -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        low = int(file.read()) - 1
    if low > 0:
        with pytest.raises(Denied, match="publish a port from 1024 on"):
            open_listeners([PortBinding("127.0.0.1", low, 80)])


def test_of_a_range_the_first_free_port_is_taken() -> None:
    (_, held), *_ = open_listeners([PortBinding("127.0.0.1", 0, 80)])
    port = held.getsockname()[1]
    with held:
        if port == 65535:
            pytest.skip("no port is left above the one that the kernel gave")
        [(binding, sock)] = open_listeners([PortBinding("127.0.0.1", port, 80, last_host_port=min(port + 20, 65535))])
        with sock:
            assert binding.host_port > port
            assert binding.last_host_port == 0


def test_a_range_without_a_free_port_is_refused_as_a_whole() -> None:
    (_, held), *_ = open_listeners([PortBinding("127.0.0.1", 0, 80)])
    port = held.getsockname()[1]
    with held, pytest.raises(Conflict, match="all ports of"):
        open_listeners([PortBinding("127.0.0.1", port, 80, last_host_port=port)])
