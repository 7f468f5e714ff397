from __future__ import annotations

import re
from pathlib import Path

import pytest

from labcontainers.errors import InvalidArgument
from labcontainers.kernel import capabilities

HEADER = Path("/usr/include/linux/capability.h")
DOCKER = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"


@pytest.mark.parametrize(("name", "bit"), [("CHOWN", 0), ("cap_net_raw", 13), ("Sys_Admin", 21), ("CAP_CHECKPOINT_RESTORE", 40)])
def test_parse_gives_the_bit_with_or_without_prefix_in_any_case(name: str, bit: int) -> None:
    assert capabilities.parse(name) == bit


def test_parse_names_the_nearest_capability_when_there_is_no_such_one() -> None:
    with pytest.raises(InvalidArgument, match="no such capability: 'SYS_ADMN'") as caught:
        capabilities.parse("SYS_ADMN")
    assert "SYS_ADMIN" in caught.value.hint


@pytest.mark.skipif(not HEADER.exists(), reason="the kernel headers are not installed")
def test_names_are_in_the_order_of_the_kernel_header() -> None:
    numbered = re.findall(r"#define CAP_(\w+)\s+(\d+)\s*$", HEADER.read_text(), re.MULTILINE)
    assert [(name, int(bit)) for name, bit in numbered if name != "LAST_CAP"] == [
        (name, bit) for bit, name in enumerate(capabilities.NAMES) if bit < len(numbered)
    ]


def test_mask_and_names_of_are_inverse() -> None:
    assert capabilities.names_of(capabilities.mask(capabilities.NAMES)) == frozenset(capabilities.NAMES)
    assert capabilities.mask(["CHOWN", "NET_RAW"]) == 1 | 1 << 13
    assert capabilities.names_of(1 << 63) == frozenset()


def test_default_is_no_more_than_dockers() -> None:
    assert frozenset(DOCKER.split()) > capabilities.DEFAULT


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], capabilities.DEFAULT),
        (["net_admin"], [], capabilities.DEFAULT | {"NET_ADMIN"}),
        ([], ["CAP_CHOWN"], capabilities.DEFAULT - {"CHOWN"}),
        (["NET_ADMIN"], ["ALL"], {"NET_ADMIN"}),
        (["ALL"], ["SYS_ADMIN"], set(capabilities.NAMES) - {"SYS_ADMIN"}),
        ([], ["all"], set()),
    ],
)
def test_choose_adds_and_drops_by_dockers_rule(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert capabilities.choose(add, drop) == expected
