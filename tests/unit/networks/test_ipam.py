"""Subnets and addresses by arithmetic alone."""

from __future__ import annotations

import pytest

from labcontainers.errors import Unavailable
from labcontainers.networks import ipam


@pytest.mark.parametrize(
    ("in_use", "chosen"),
    [
        ((), "172.30.0.0/16"),
        (("0.0.0.0/0",), "172.30.0.0/16"),
        (("172.30.255.1/32",), "172.31.0.0/16"),
        (("172.16.0.0/12",), "10.210.0.0/16"),
        (("172.16.0.0/12", "10.0.0.0/8", "192.168.200.7/24"), "192.168.201.0/24"),
    ],
)
def test_a_subnet_overlaps_nothing_in_use(in_use: tuple[str, ...], chosen: str) -> None:
    assert str(ipam.choose_subnet(in_use)) == chosen


def test_a_machine_that_uses_everything_has_no_subnet_left() -> None:
    with pytest.raises(Unavailable, match="overlaps"):
        ipam.choose_subnet(["128.0.0.0/1", "0.0.0.0/1"])


def test_the_lowest_free_address_is_chosen_and_never_the_gateway() -> None:
    subnet = ipam.Subnet("10.9.9.0/29")
    taken: set[str] = set()
    for expected in ("10.9.9.2", "10.9.9.3", "10.9.9.4", "10.9.9.5", "10.9.9.6"):
        assert ipam.choose_address(subnet, taken) == expected
        taken.add(expected)
    with pytest.raises(Unavailable, match=r"no address is left in 10\.9\.9\.0/29"):
        ipam.choose_address(subnet, taken)
    assert ipam.choose_address(subnet, taken - {"10.9.9.4"}) == "10.9.9.4"


def test_an_address_has_a_mac_address_of_its_own() -> None:
    assert ipam.mac_of("172.30.1.255") == "02:42:ac:1e:01:ff"
