"""Sources come from the host's apt configuration, in both of its forms, or from mirrors that are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.errors import InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.images.debs.sources import Source, apt_settings, find_sources, parse_distribution, proxy_for, shared_keyrings

OS_RELEASE = 'ID=debian\nVERSION_CODENAME="bookworm"\n'
ONE_LINE = """
# deb http://gone.example/debian bookworm main
deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://one.example/debian bookworm main contrib # here
deb-src http://one.example/debian bookworm main
deb http://one.example/debian bookworm-updates main
deb cdrom:[disc]/ bookworm main
deb http://tools.example/ ./
"""
DEB822 = """
Types: deb deb-src
URIs: http://two.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
APT_CONF = """
// a comment
Acquire::http::Proxy "http://flat:1";
Acquire { http { Proxy::near "DIRECT"; Timeout "3"; }; https::Proxy "https-proxy:2"; };
"""
PROXIES = (
    ("http", "far", "http://flat:1"),
    ("http", "near", ""),
    ("https", "far", "http://https-proxy:2"),
)
NO_DISTRIBUTIONS = ("debian", "debian:", ":bookworm", "debian:../x", "Debian:bookworm", "debian:book worm")
NO_MIRRORS = ("deb.debian.org/debian", "ftp://x/debian", "http://")


def host(tmp_path: Path, lines: str = ONE_LINE, paragraphs: str = DEB822) -> Path:
    for place, text in (("sources.list", lines), ("sources.list.d/x.sources", paragraphs), ("apt.conf.d/10x", APT_CONF)):
        path = tmp_path / "etc/apt" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "etc/os-release").write_text(OS_RELEASE)
    return tmp_path


def test_both_forms_of_the_hosts_configuration_are_read(tmp_path: Path) -> None:
    key = "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----"
    assert find_sources(parse_distribution("debian:bookworm"), (), None, host(tmp_path)) == (
        Source("http://one.example/debian", "bookworm", ("main", "contrib"), ("/k/a.gpg", "/k/b.gpg"), "debian"),
        Source("http://one.example/debian", "bookworm-updates", ("main",), (), "debian", True),
        Source("http://two.example/debian-security", "bookworm-security", ("main",), (key,), "debian", True),
    )


def test_another_suite_comes_from_the_same_archives(tmp_path: Path) -> None:
    found = find_sources(parse_distribution("debian:trixie"), (), None, host(tmp_path))
    assert [source.suite for source in found] == ["trixie", "trixie-updates", "trixie-security"]


def test_a_distribution_that_the_host_does_not_know_needs_a_mirror(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="knows no mirror of ubuntu") as failure:
        find_sources(parse_distribution("ubuntu:noble"), (), None, host(tmp_path))
    assert "--mirror" in failure.value.hint


def test_a_mirror_is_asked_for_the_suite_and_its_updates(tmp_path: Path) -> None:
    mirrors = ("http://m.example/debian", "http://m.example/debian-security")
    found = find_sources(parse_distribution("debian:bookworm"), mirrors, None, tmp_path)
    assert [(source.suite, source.optional) for source in found] == [
        ("bookworm", False), ("bookworm-updates", True), ("bookworm-security", False)
    ]  # fmt: skip


def test_a_mirror_of_ubuntu_has_security_updates_too_and_ubuntus_own_keyring(tmp_path: Path) -> None:
    ring = tmp_path / "usr/share/keyrings/ubuntu-archive-keyring.gpg"
    ring.parent.mkdir(parents=True)
    ring.touch()
    found = find_sources(parse_distribution("ubuntu:noble"), ("http://m.example/ubuntu",), None, tmp_path)
    assert found == tuple(
        Source("http://m.example/ubuntu", suite, ("main", "universe"), (str(ring),), optional=suite != "noble")
        for suite in ("noble", "noble-updates", "noble-security")
    )


def test_a_keyring_that_is_named_stands_for_all_others(tmp_path: Path) -> None:
    ring = tmp_path / "ring.gpg"
    ring.touch()
    found = find_sources(parse_distribution("debian:bookworm"), (), str(ring), host(tmp_path))
    assert {source.keys for source in found} == {(str(ring),)}
    with pytest.raises(NotFound, match="--keyring: no such file"):
        find_sources(parse_distribution("debian:bookworm"), (), str(tmp_path / "none"), tmp_path)


@pytest.mark.parametrize("mirror", NO_MIRRORS)
def test_what_is_no_mirror_is_refused(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="--mirror: not a mirror"):
        find_sources(parse_distribution("debian:bookworm"), (mirror,), None, tmp_path)


@pytest.mark.parametrize("text", NO_DISTRIBUTIONS)
def test_what_is_no_distribution_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="not a distribution and its suite"):
        parse_distribution(text)


@pytest.mark.parametrize(("scheme", "name", "expected"), PROXIES)
def test_proxies_are_apts(scheme: str, name: str, expected: str, tmp_path: Path) -> None:
    assert proxy_for(scheme, name, apt_settings(host(tmp_path)), {"http_proxy": "http://environment:3"}) == expected


def test_without_one_of_apt_the_environments_proxy_counts() -> None:
    assert proxy_for("http", "far", {}, {"http_proxy": "http://environment:3"}) == "http://environment:3"
    with pytest.raises(Unsupported, match="SOCKS"):
        proxy_for("http", "far", {}, {"http_proxy": "socks5://x:1"})


def test_keyrings_that_all_archives_share_are_apts(tmp_path: Path) -> None:
    folder = tmp_path / "etc/apt/trusted.gpg.d"
    folder.mkdir(parents=True)
    for name in ("a.gpg", "b.asc", "c.bak"):
        (folder / name).touch()
    assert shared_keyrings(tmp_path) == (str(folder / "a.gpg"), str(folder / "b.asc"))
