"""Who gets which address on which bridge, and that nothing is kept for those who have gone; without a kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers.errors import KernelFailed, NotFound, Unavailable
from labcontainers.networks.bridge import Network
from labcontainers.networks.endpoints import Endpoint, host_interface_of
from labcontainers.networks.network import Networks
from labcontainers.store.records import NetworkRow, Records
from tests.fakes.recorded_netlink import RecordedNetlink

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.db")
    yield opened
    opened.close()


@pytest.fixture
def machine() -> RecordedNetlink:
    return RecordedNetlink()


def networks_on(records: Records, machine: Any, alive: Callable[[str], bool] = lambda container_id: True) -> Networks:
    return Networks(records, machine, lambda: None, alive)


def join(networks: Networks, container_id: str, name: str = "bridge") -> Endpoint:
    return networks.connect(name, container_id, "host", pid=77, netns_socket=99)


def test_joining_makes_the_bridge_the_pair_and_the_inside(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    endpoint = join(networks, FIRST)
    network_id = networks.get("bridge").id
    assert endpoint == Endpoint("bridge", "eth0", "172.30.0.2", 16, "172.30.0.1", "02:42:ac:1e:00:02", "labaaaaaaaa", network_id)
    assert machine.calls == [
        ("ensure_bridge", "lab0", "172.30.0.1", 16, None),
        ("add_veth", "labaaaaaaaa", "eth0", 77, 2, "02:42:ac:1e:00:02", None),
        ("configure", 99, "eth0", "172.30.0.2", 16, "172.30.0.1"),
    ]


def test_the_endpoint_is_known_to_every_process_until_the_container_leaves(records: Records, machine: RecordedNetlink) -> None:
    endpoint = join(networks_on(records, machine), FIRST)
    other = networks_on(records, machine)
    assert other.find_endpoint(FIRST) == endpoint
    other.disconnect(FIRST)
    assert networks_on(records, machine).find_endpoint(FIRST) is None


def test_leaving_gives_back_the_address_the_interface_and_the_unused_bridge(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    join(networks, FIRST)
    join(networks, SECOND)
    networks.disconnect(FIRST)
    machine.run_put_off()
    assert set(machine.links) == {"lo", "lab0", "labbbbbbbbb"}
    networks.disconnect(SECOND)
    networks.disconnect(SECOND)
    machine.run_put_off()
    assert set(machine.links) == {"lo"}
    assert join(networks, FIRST).address == "172.30.0.2", "the subnet is remembered, the address free again"


def test_a_bridge_stays_when_somebody_joins_before_it_is_taken_down(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    join(networks, FIRST)
    networks.disconnect(FIRST)
    join(networks, SECOND)
    machine.run_put_off()
    assert "lab0" in machine.links


def test_a_network_without_endpoint_leaves_the_thread_alone(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    networks.disconnect(FIRST)
    assert networks.find_endpoint(FIRST) is None
    assert (machine.calls, machine.put_off) == ([], [])


@pytest.mark.parametrize("name", ["none", "host"])
def test_none_and_host_give_no_address(records: Records, machine: RecordedNetlink, name: str) -> None:
    assert join(networks_on(records, machine), FIRST, name) == Endpoint(name)
    assert machine.calls == []


def test_an_unknown_network_is_not_found(records: Records, machine: RecordedNetlink) -> None:
    with pytest.raises(NotFound, match="no such network: nosuch"):
        join(networks_on(records, machine), FIRST, "nosuch")


def test_networks_are_listed_and_shown(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    assert [network.name for network in networks.list()] == ["bridge", "host", "none"]
    assert networks.get("bridge").subnet == ""
    assert repr(networks.ensure("bridge")) == "<Network bridge (bridge) 172.30.0.0/16 on lab0>"
    assert "172.30.0.0/16" in networks.get("bridge")._repr_html_()
    assert networks.ensure("bridge") == networks.ensure("bridge")
    assert repr(networks.ensure("none")) == "<Network none (null)>"
    assert machine.calls == []


def test_the_subnet_avoids_the_machines_own_networks(records: Records) -> None:
    machine = RecordedNetlink(("172.30.5.1/24", "172.16.0.0/13", "0.0.0.0/0"))
    assert networks_on(records, machine).ensure("bridge").subnet == "172.31.0.0/16"


def test_two_stores_on_one_machine_share_neither_bridge_nor_subnet(records: Records, machine: RecordedNetlink, tmp_path: Path) -> None:
    other = Records(tmp_path / "other.db")
    try:
        one, two = networks_on(records, machine), networks_on(other, machine)
        first = one.ensure("bridge")
        assert two.ensure("bridge").subnet == first.subnet, "both were planned before either was made"
        join(one, FIRST)
        assert join(two, SECOND).address.startswith("172.31.")
        assert (one.get("bridge").bridge, two.get("bridge").bridge) == ("lab0", "lab1")
    finally:
        other.close()


@pytest.mark.parametrize("verb", ["ensure_bridge", "add_veth", "configure"])
def test_a_failed_join_leaves_nothing(records: Records, machine: RecordedNetlink, verb: str) -> None:
    networks = networks_on(records, machine)
    machine.refuse.add(verb)
    with pytest.raises(KernelFailed):
        join(networks, FIRST)
    machine.run_put_off()
    assert set(machine.links) == {"lo"}
    assert records.list_addresses(networks.get("bridge").id) == {}


def test_addresses_of_the_dead_are_taken_back_when_they_are_known_to_be(records: Records, machine: RecordedNetlink) -> None:
    join(networks_on(records, machine), FIRST)
    later = networks_on(records, machine, alive=lambda container_id: container_id != FIRST)
    assert join(later, SECOND).address == "172.30.0.2"
    assert later.find_endpoint(FIRST) is None


def test_addresses_of_the_vanished_are_taken_back_when_no_other_is_left(records: Records, machine: RecordedNetlink) -> None:
    network = Network("bridge", "bridge", "10.9.9.0/30", "10.9.9.1", "lab0", "c" * 64)
    records.put_network(NetworkRow(network.id, network.name, network.driver, network.to_json()))
    networks = networks_on(records, machine)
    assert join(networks, FIRST).address == "10.9.9.2"
    with pytest.raises(Unavailable, match="no address is left"):
        join(networks, SECOND)
    machine.delete_link_now(host_interface_of(FIRST))
    assert join(networks, SECOND).address == "10.9.9.2"


def test_rootless_bridges_are_reached_by_a_socket_that_is_closed_again(records: Records, machine: RecordedNetlink) -> None:
    opened: list[int] = []

    def host_socket() -> int:
        opened.append(os.open("/dev/null", os.O_RDONLY))
        return opened[-1]

    networks = Networks(records, machine, host_socket)
    join(networks, FIRST)
    assert machine.calls[0][-1] == machine.calls[1][-1] == opened[0]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_many_threads_get_an_address_each(records: Records, machine: RecordedNetlink) -> None:
    networks = networks_on(records, machine)
    networks.ensure("bridge")
    found: list[str] = []
    threads = [threading.Thread(target=lambda number=n: found.append(join(networks, f"{number:064x}"[::-1]).address)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 12


def test_a_document_of_another_version_is_read() -> None:
    network = Network.from_json('{"name":"bridge","driver":"bridge","subnet":"10.0.0.0/8","new":1}', "d" * 64)
    assert (network.subnet, network.id, network.prefix_length, network.mac) == ("10.0.0.0/8", "d" * 64, 8, "02:dd:dd:dd:dd:dd")


@pytest.mark.parametrize(("container_id", "name"), [("0123456789ab", "lab01234567"), ("step", "lab"), ("X" * 64, "lab")])
def test_names_of_interfaces_fit_the_kernel(container_id: str, name: str) -> None:
    assert host_interface_of(container_id).startswith(name)
    assert len(host_interface_of(container_id)) == 11
