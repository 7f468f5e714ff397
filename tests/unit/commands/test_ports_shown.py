"""The column PORTS, as Docker 28.5.2 printed it for the same ports."""

from __future__ import annotations

import pytest

from labcontainers.commands.ports import ports_shown
from labcontainers.networks.ports import PortBinding

ANY, LOOPBACK = "0.0.0.0", "127.0.0.1"
MANY = [
    *(PortBinding(ANY, port, port) for port in (8101, 8100, 8102)),
    PortBinding(ANY, 9000, 80),
    PortBinding(LOOPBACK, 8200, 8200, "udp"),
]
SHOWN: list[tuple[list[PortBinding], list[str], str]] = [
    ([], [], ""),
    ([PortBinding(ANY, 8080, 80)], ["80/tcp"], "0.0.0.0:8080->80/tcp"),
    ([PortBinding(ANY, 80, 80)], ["80/tcp", "80/udp"], "80/udp, 0.0.0.0:80->80/tcp"),
    ([], ["443/tcp", "7001/tcp", "7000/tcp"], "443/tcp, 7000-7001/tcp"),
    ([PortBinding("::1", 80, 80), PortBinding("::1", 81, 90)], [], "[::1]:80->80/tcp, [::1]:81->90/tcp"),
    (
        MANY,
        ["7000/tcp", "7001/tcp", "7002/tcp", "443/tcp", "80/tcp", "8200/udp"],
        "443/tcp, 7000-7002/tcp, 0.0.0.0:8100-8102->8100-8102/tcp, 127.0.0.1:8200->8200/udp, 0.0.0.0:9000->80/tcp",
    ),
]


@pytest.mark.parametrize(("bindings", "exposed", "wanted"), SHOWN)
def test_ports_are_shown_in_dockers_order_and_ranges(bindings: list[PortBinding], exposed: list[str], wanted: str) -> None:
    assert ports_shown(bindings, exposed) == wanted
