"""The sources of apt in an image of packages."""

from __future__ import annotations

import pytest

from labcontainers.images.debs.apt_sources import apt_sources
from labcontainers.images.debs.sources import parse_distribution

KEY = "/usr/share/keyrings/a.gpg"
SUITES = [
    ("debian:bookworm", "amd64", ["bookworm bookworm-updates", "bookworm-security"]),
    ("debian:buster", "amd64", ["buster buster-updates", "buster/updates"]),
    ("debian:sid", "arm64", ["sid"]),
    ("ubuntu:noble", "amd64", ["noble noble-updates", "noble-security"]),
    ("other:one", "amd64", []),
]


@pytest.mark.parametrize(("name", "architecture", "suites"), SUITES)
def test_suites_are_those_that_the_distribution_has(name: str, architecture: str, suites: list[str]) -> None:
    text = apt_sources(parse_distribution(name), architecture, KEY)
    assert [line.removeprefix("Suites: ") for line in text.split("\n") if line.startswith("Suites: ")] == suites
    assert text.count(f"Signed-By: {KEY}\n") == len(suites)


def test_ubuntu_has_another_archive_for_other_architectures() -> None:
    ubuntu = parse_distribution("ubuntu:noble")
    assert "URIs: http://archive.ubuntu.com/ubuntu/\n" in apt_sources(ubuntu, "amd64", "")
    assert apt_sources(ubuntu, "arm64", "").count("URIs: http://ports.ubuntu.com/ubuntu-ports/\n") == 2


def test_without_a_keyring_none_is_named() -> None:
    assert "Signed-By" not in apt_sources(parse_distribution("debian:trixie"), "amd64", "")
