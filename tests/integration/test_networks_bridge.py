"""Containers' namespaces joined by a bridge on the real kernel, as root and in a private namespace as an ordinary user has it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, KernelFailed, Unavailable
from labcontainers.kernel.netlink import Netlink
from labcontainers.networks.endpoints import Endpoint
from labcontainers.networks.network import Networks
from labcontainers.store.records import Records
from tests.fakes.namespaces import Namespace

pytestmark = pytest.mark.alike("ordinary users")

WAIT_S = 10.0
HOUSE = Path(__file__).resolve().parents[2]
SERVE = """
import socket, sys
with socket.create_server(("0.0.0.0", 7777)) as server:
    print("ready", flush=True)
    while True:
        server.accept()[0].sendall(b"hello")
"""
ASK = "import socket; print(socket.create_connection(({address!r}, 7777), 5).recv(9).decode())"


@dataclass
class Lab:
    """Everything that the tests make, taken away together."""

    networks: Networks
    netlink: Netlink
    private: Namespace | None = None
    made: list[Namespace] = field(default_factory=list)

    def namespace(self) -> Namespace:
        self.made.append(Namespace(beside=self.private))
        return self.made[-1]

    def join(self, namespace: Namespace, container_id: str = "") -> tuple[str, Endpoint]:
        wanted = container_id or secrets.token_hex(32)
        fd = namespace.netlink_socket()
        try:
            return wanted, self.networks.connect("bridge", wanted, "host", pid=namespace.pid, netns_socket=fd)
        finally:
            os.close(fd)

    def ask(self, asker: Namespace | None, address: str) -> str:
        if asker is not None:
            return asker.python(ASK.format(address=address)).strip()
        with socket.create_connection((address, 7777), 5) as connection:
            return connection.recv(9).decode()

    @contextlib.contextmanager
    def serving(self, namespace: Namespace) -> Iterator[None]:
        server = namespace.start([sys.executable, "-I", "-c", SERVE])
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()
            server.communicate()


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    with contextlib.ExitStack() as undo:

        def make(private: bool = False, records: str = "records.db") -> Lab:
            opened, netlink = Records(tmp_path / records), Netlink()
            undo.callback(opened.close)
            undo.callback(netlink.close)
            inside = Namespace(owned=True) if private else None
            networks = Networks(opened, netlink, inside.netlink_socket if inside else lambda: None)
            lab = Lab(networks, netlink, inside)

            def end() -> None:
                for namespace in [*lab.made, *([inside] if inside else [])]:
                    namespace.end()

            undo.callback(end)
            return lab

        yield make


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.needs("network"), id="root"), pytest.param(True, id="private")])
def lab(request: pytest.FixtureRequest, make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(private=request.param)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)


def test_a_container_gets_an_interface_an_address_and_a_default_route(lab: Lab) -> None:
    namespace = lab.namespace()
    container_id, endpoint = lab.join(namespace)
    shown = namespace.run("ip", "-brief", "address", "show")
    assert f"{endpoint.address}/{endpoint.prefix_length}" in shown
    assert endpoint.interface == "eth0"
    assert f"default via {endpoint.gateway} dev eth0" in namespace.run("ip", "route")
    assert endpoint.mac in namespace.run("ip", "link", "show", "eth0")
    assert "UP" in namespace.run("ip", "link", "show", "lo").split("<")[1].split(">")[0].split(",")
    assert lab.networks.find_endpoint(container_id) == endpoint
    lab.networks.disconnect(container_id)


def test_containers_of_one_bridge_reach_each_other(lab: Lab) -> None:
    one, two = lab.namespace(), lab.namespace()
    (first, there), (second, _) = lab.join(one), lab.join(two)
    with lab.serving(one):
        assert lab.ask(two, there.address) == "hello"
        assert lab.ask(lab.private, there.address) == "hello", "from where the bridge is"
    for container_id in (first, second):
        lab.networks.disconnect(container_id)


def test_containers_joined_one_after_the_other_take_milliseconds(lab: Lab) -> None:
    lab.netlink.list()
    ids = []
    for _ in range(3):
        namespace = lab.namespace()
        fd = namespace.netlink_socket()
        begin = time.perf_counter()
        ids.append(secrets.token_hex(32))
        lab.networks.connect("bridge", ids[-1], "host", pid=namespace.pid, netns_socket=fd)
        took = time.perf_counter() - begin
        os.close(fd)
    assert took < 0.5 if lab.private else took < 0.1, "4 ms on an idle machine; the private namespace's socket takes nsenter and python"
    for container_id in ids:
        lab.networks.disconnect(container_id)


@pytest.mark.needs("network")
def test_nothing_is_left_on_the_machine_when_the_last_container_leaves(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    before = set(os.listdir("/sys/class/net"))
    namespace = lab.namespace()
    container_id, endpoint = lab.join(namespace)
    bridge = lab.networks.get("bridge").bridge
    assert set(os.listdir("/sys/class/net")) - before == {bridge, endpoint.host_interface}
    lab.networks.disconnect(container_id)  # its namespace still lives
    wait_for(lambda: not {bridge, endpoint.host_interface} & set(os.listdir("/sys/class/net")))


@pytest.mark.needs("network")
def test_closing_takes_the_unused_bridge_away_at_once(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    container_id, endpoint = lab.join(lab.namespace())
    bridge = lab.networks.get("bridge").bridge
    lab.networks.disconnect(container_id)
    lab.netlink.close()
    assert not {bridge, endpoint.host_interface} & set(os.listdir("/sys/class/net"))


@pytest.mark.needs("network")
def test_a_container_that_joins_again_at_once_keeps_its_interface(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    container_id, first = lab.join(lab.namespace())
    lab.networks.disconnect(container_id)
    namespace = lab.namespace()
    again, second = lab.join(namespace, container_id)
    assert second == first
    time.sleep(0.3)
    with lab.serving(namespace):
        assert lab.ask(None, second.address) == "hello"
    lab.networks.disconnect(again)


@pytest.mark.needs("network")
def test_two_stores_on_one_machine_have_a_bridge_and_a_subnet_each(make_lab: Callable[..., Lab]) -> None:
    one, two = make_lab(records="one.db"), make_lab(records="two.db")
    planned = [lab.networks.ensure("bridge") for lab in (one, two)]
    assert planned[0].subnet == planned[1].subnet
    (first, mine), (second, theirs) = one.join(one.namespace()), two.join(two.namespace())
    assert mine.gateway != theirs.gateway
    assert one.networks.get("bridge").bridge != two.networks.get("bridge").bridge
    one.networks.disconnect(first)
    two.networks.disconnect(second)


@pytest.mark.needs("network")
def test_two_engines_on_one_store_share_the_bridge(make_lab: Callable[..., Lab]) -> None:
    one, two = make_lab(), make_lab()
    results: list[tuple[Lab, str, Endpoint]] = []
    threads = [threading.Thread(target=lambda lab=lab: results.append((lab, *lab.join(lab.namespace())))) for lab in (one, two, one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({endpoint.address for _, _, endpoint in results}) == 4
    assert len({endpoint.gateway for _, _, endpoint in results}) == 1
    for lab, container_id, _ in results:
        lab.networks.disconnect(container_id)
    wait_for(lambda: not socket_has(one.networks.get("bridge").bridge))


def socket_has(name: str) -> bool:
    return name in os.listdir("/sys/class/net")


@pytest.mark.needs("network")
def test_a_join_that_fails_half_way_leaves_nothing(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    before = set(os.listdir("/sys/class/net"))
    namespace = lab.namespace()
    namespace.run("ip", "link", "add", "eth0", "type", "bridge")
    with pytest.raises(KernelFailed, match="file exists") as caught:
        lab.join(namespace)
    assert caught.value.errno == errno.EEXIST
    lab.netlink.close()
    assert set(os.listdir("/sys/class/net")) == before


@pytest.mark.needs("network")
def test_a_foreign_interface_with_the_bridges_name_is_left_alone(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    taken = lab.networks.ensure("bridge").bridge
    index = lab.netlink.ensure_bridge(taken, "198.51.100.1", 30, mac="02:00:00:00:00:77")
    try:
        with pytest.raises(Conflict, match=taken):
            lab.netlink.ensure_bridge(taken, "198.51.100.1", 30, mac="02:00:00:00:00:78")
        container_id, _ = lab.join(lab.namespace())
        assert lab.networks.get("bridge").bridge != taken
        found = lab.netlink.find(taken)
        assert found is not None
        assert found.index == index
        lab.networks.disconnect(container_id)
    finally:
        lab.netlink.delete_link_now(taken)


@pytest.mark.needs("network")
def test_the_way_out_of_a_bridge_is_made_once_and_taken_away() -> None:
    namespace = Namespace()
    program = """
from labcontainers.kernel import nftables
from labcontainers.kernel.netlink import Netlink
from pyroute2.nftables.main import NFTables

def rules():
    with NFTables(nfgen_family=2) as opened:
        return [[dict(one["attrs"])["NFTA_EXPR_NAME"] for one in rule.get("NFTA_RULE_EXPRESSIONS")] for rule in opened.get_rules()]

netlink = Netlink()
for _ in range(2):
    nftables.ensure_masquerade(netlink, "lab7", "172.30.0.0/16")
print(rules())
print(nftables.enable_forwarding(), nftables.enable_forwarding())
for _ in range(2):
    nftables.remove_masquerade(netlink, "lab7")
print(rules())
netlink.close()
"""
    try:
        process = namespace.start([sys.executable, "-c", program], cwd=HOUSE)
        rule = "[['payload', 'bitwise', 'cmp', 'meta', 'cmp', 'masq']]"
        assert process.communicate(timeout=60)[0].splitlines() == [rule, "True False", "[]"]
    finally:
        namespace.end()


def test_netlink_works_while_an_event_loop_runs_in_the_caller(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()

    async def ask() -> list[str]:
        return [link.name for link in lab.netlink.list()]

    assert "lo" in asyncio.run(ask())


def test_pyroute2_is_imported_on_the_thread_alone_and_only_when_needed() -> None:
    program = """
import sys, threading, time
from labcontainers.kernel.netlink import Netlink
import labcontainers.networks.network
netlink = Netlink()
assert "pyroute2" not in sys.modules and "asyncio" not in sys.modules
begin = time.perf_counter()
netlink.start()
assert time.perf_counter() - begin < 0.05
assert "lab-netlink" in [thread.name for thread in threading.enumerate()]
assert netlink.find("lo").index == 1
netlink.close()
assert threading.active_count() == 1
"""
    import subprocess

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=HOUSE)


def test_a_closed_thread_says_so() -> None:
    netlink = Netlink()
    netlink.close()
    netlink.close()
    with pytest.raises(Unavailable):
        netlink.list()


def test_a_socket_of_another_kind_is_refused_and_none_stays_open() -> None:
    netlink = Netlink()
    try:
        netlink.list()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong, pytest.raises(KernelFailed):
            netlink.lo_up(wrong.fileno())
    finally:
        netlink.close()
