"""Names in a container's network, exposed ports and MAC addresses, on the real kernel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import Conflict, Unsupported

pytestmark = pytest.mark.alike("ordinary users")


def output(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run("lab/base", ["sh", "-c", script], **{"remove": True, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_users_name_servers_are_asked(engine: Engine) -> None:
    told = output(engine, "cat /etc/resolv.conf", network="none", dns=["9.9.9.9"], dns_search=["a.example"], dns_opt=["ndots:3"])
    assert told.splitlines() == ["nameserver 9.9.9.9", "search a.example", "options ndots:3"]


def test_on_the_hosts_network_the_hosts_settings_stay_where_none_were_given(engine: Engine) -> None:
    own = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    servers = [line for line in own.splitlines() if line.startswith("nameserver")]
    told = output(engine, "cat /etc/resolv.conf", network="host", dns_opt=["rotate"]).splitlines()
    assert [line for line in told if line.startswith("nameserver")] == servers
    assert "options rotate" in told


def test_added_hosts_are_found_by_name(engine: Engine) -> None:
    hosts = ["db:127.0.0.9", "six=[::1]"]
    told = output(engine, "ping -c1 -W5 db | head -1; cat /etc/hosts", network="none", extra_hosts=hosts)
    assert told.startswith("PING db (127.0.0.9)")
    assert "::1\tsix" in told


@pytest.mark.needs("network")
def test_the_host_is_reached_by_its_gateways_name(engine: Engine) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        container = engine.containers.run(
            "lab/base", ["sh", "-c", f"echo hello | nc -w 30 host.internal {port}"], detach=True, extra_hosts=["host.internal:host-gateway"]
        )
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            assert connection.recv(100) == b"hello\n"
        container.wait(60)


@pytest.mark.needs("ordinary user")
def test_an_ordinary_users_bridge_does_not_lead_to_the_host(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="does not lead to this machine"):
        engine.containers.create("lab/base", ["true"], extra_hosts=["host.internal:host-gateway"])
    assert "127.0.0.1\thost.internal" in output(engine, "cat /etc/hosts", network="host", extra_hosts=["host.internal:host-gateway"])


def test_a_chosen_mac_address_is_the_interfaces_and_told(engine: Engine) -> None:
    mac = "02:42:0a:0b:0c:0d"
    container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, mac_address=mac)
    assert container.exec(["cat", "/sys/class/net/eth0/address"]).stdout.strip() == mac
    assert container.inspect()["NetworkSettings"]["MacAddress"] == mac


def test_all_exposed_ports_are_published_on_free_ones(engine: Engine) -> None:
    page = "while true; do echo served | nc -l -p 8000 >/dev/null || exit 1; done"
    container = engine.containers.run("lab/base", ["sh", "-c", page], detach=True, publish_all_ports=True, expose=["8000", "53/udp"])
    (port,) = container.ports
    assert (port.container_port, port.host_port > 0) == (8000, True)
    assert set(container.inspect()["Config"]["ExposedPorts"]) == {"8000/tcp", "53/udp"}
    assert container.warnings == ("port 53/udp is not published: only tcp ports are",)
    assert fetch(port.host_port) == b"served\n"


def fetch(port: int) -> bytes:
    """What the service on a published port says; it may need a moment to listen."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.shutdown(socket.SHUT_WR)
                if data := connection.recv(100):
                    return data
        except OSError:
            pass
        assert time.monotonic() < deadline, "nothing was served in 60 s"
        time.sleep(0.05)


@contextmanager
def ports_in_a_row(count: int) -> Iterator[int]:
    """The first of as many ports that are free now, where the first one is held."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as held:
            first = held.getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            yield first
            return
    pytest.skip("no ports in a row are free")


def test_of_a_range_the_first_free_port_is_published(engine: Engine) -> None:
    with ports_in_a_row(3) as first:
        container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, ports=[f"127.0.0.1:{first}-{first + 2}:80"])
        assert [port.host_port for port in container.ports] == [first + 1]
        wanted = container.inspect()["HostConfig"]["PortBindings"]["80/tcp"]
        assert wanted == [{"HostIp": "127.0.0.1", "HostPort": f"{first}-{first + 2}"}]
        with pytest.raises(Conflict, match="all ports of"):
            engine.containers.run("lab/base", ["true"], ports=[f"127.0.0.1:{first}-{first + 1}:80"], remove=True)
