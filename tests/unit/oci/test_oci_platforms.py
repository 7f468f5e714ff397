"""Platforms as users write them, and the choice among several."""

from __future__ import annotations

import pytest

from labcontainers.errors import InvalidArgument
from labcontainers.oci.descriptor import Platform, host_platform
from labcontainers.oci.platforms import choose, normalized, parse_platform

AMD64, ARM64, I386 = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "386")
ARMV7, ARMV6 = Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6")

WRITTEN = {
    "linux/amd64": AMD64,
    "linux/x86_64": AMD64,
    "LINUX/AMD64/v1": AMD64,
    "amd64": AMD64,
    "aarch64": ARM64,
    "linux/arm64/v8": ARM64,
    "linux/arm": ARMV7,
    "linux/arm/7": ARMV7,
    "armel": ARMV6,
    "windows/amd64": Platform("windows", "amd64"),
}
CHOSEN = (
    (AMD64, (ARM64, AMD64), 1),
    (AMD64, (ARM64, I386), 1),
    (AMD64, (Platform("linux", "amd64", "v2"), I386), 1),
    (Platform("linux", "amd64", "v3"), (AMD64, Platform("linux", "amd64", "v2")), 1),
    (ARM64, (ARMV6, ARMV7), 1),
    (ARM64, (Platform("linux", "arm64", "v8"), ARMV7), 0),
    (ARMV6, (ARMV7, AMD64), None),
    (AMD64, (None, None), 0),
    (AMD64, (None, ARM64), None),
    (AMD64, (), None),
)


@pytest.mark.parametrize(("text", "platform"), WRITTEN.items(), ids=WRITTEN)
def test_a_platform_is_read_as_by_docker(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


def test_an_operating_system_alone_means_this_machines_architecture() -> None:
    assert parse_platform("linux") == normalized(host_platform())


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "linux/a b", "/"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid platform"):
        parse_platform(text)


@pytest.mark.parametrize(("wanted", "candidates", "index"), CHOSEN)
def test_the_best_of_several_platforms_is_taken(wanted: Platform, candidates: tuple[Platform | None, ...], index: int | None) -> None:
    assert choose(candidates, wanted) == index
