"""Name servers, names of hosts, exposed ports and shared namespaces as the user says them, and the files of /etc that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.namespaces import resolved
from labcontainers.containers.options.network import published
from labcontainers.containers.planning.etc_files import NameOptions, names_of, write_etc
from labcontainers.errors import InvalidArgument, LabError, NotFound, Unsupported

make = ContainerOptions.from_keywords

READ: list[tuple[dict[str, Any], str, Any]] = [
    ({"dns": ["9.9.9.9", "2620:FE::FE"]}, "dns", ("9.9.9.9", "2620:fe::fe")),
    ({"dns": "fe80::1%eth0"}, "dns", ("fe80::1%eth0",)),
    ({"dns_search": ["example.com", "a_b.c."]}, "dns_search", ("example.com", "a_b.c.")),
    ({"dns_search": ["."]}, "dns_search", (".",)),
    ({"dns_opt": ["ndots:2", "rotate"]}, "dns_options", ("ndots:2", "rotate")),
    ({"extra_hosts": ["a:1.2.3.4", "b=::1", "c:[::2]", "d:::3"]}, "extra_hosts", ("a:1.2.3.4", "b:::1", "c:::2", "d:::3")),
    ({"extra_hosts": {"a": "1.2.3.4", "b": ["::1", "host-gateway"]}}, "extra_hosts", ("a:1.2.3.4", "b:::1", "b:host-gateway")),
    ({"expose": [80, "53/UDP", "90-92"]}, "exposed_ports", ("80/tcp", "53/udp", "90/tcp", "91/tcp", "92/tcp")),
    ({"mac_address": "02-42-AC-11-00-02"}, "mac_address", "02:42:ac:11:00:02"),
    ({"network": "container:/db"}, "network", "container:db"),
    ({"network": "default"}, "network", "bridge"),
    ({"pid_mode": "container:db"}, "pid_mode", "container:db"),
    ({"ipc_mode": "shareable"}, "ipc_mode", "shareable"),
    ({"userns_mode": "host"}, "userns_mode", "host"),
]
REFUSED: list[tuple[dict[str, Any], type[LabError], str]] = [
    ({"dns": ["localhost"]}, InvalidArgument, "--dns: not an ip address: 'localhost'"),
    ({"dns": 5}, InvalidArgument, "--dns: dns is a list of texts: 5"),
    ({"dns_search": ["a b"]}, InvalidArgument, "--dns-search: not a valid domain: 'a b'"),
    ({"dns_search": ["-a.b"]}, InvalidArgument, "not a valid domain"),
    ({"dns_opt": ["a\nnameserver 6.6.6.6"]}, InvalidArgument, "not an option of resolv.conf"),
    ({"extra_hosts": ["a"]}, InvalidArgument, "--add-host: bad format: 'a'"),
    ({"extra_hosts": ["a:b"]}, InvalidArgument, "invalid IP address 'b'"),
    ({"extra_hosts": ["a\n6.6.6.6 bank:1.2.3.4"]}, InvalidArgument, "bad format"),
    ({"expose": ["90-80"]}, InvalidArgument, "invalid range format"),
    ({"expose": ["80/icmp"]}, InvalidArgument, "invalid range format"),
    ({"mac_address": "01:00:00:00:00:01"}, InvalidArgument, "--mac-address: an interface cannot have '01:00:00:00:00:01'"),
    ({"mac_address": "x"}, InvalidArgument, "not a valid mac address"),
    ({"mac_address": "02:42:ac:11:00:02", "network": "none"}, InvalidArgument, "conflicting options: mac-address and the network mode"),
    ({"network": "container:"}, InvalidArgument, "invalid container name"),
    ({"network": "mine"}, Unsupported, "--network: 'mine'"),
    ({"pid_mode": "private"}, InvalidArgument, "--pid: invalid pid mode 'private'"),
    ({"pid_mode": "container:a/b"}, InvalidArgument, "--pid: invalid container name"),
    ({"ipc_mode": "mine"}, InvalidArgument, "--ipc: invalid ipc mode 'mine'"),
    ({"uts_mode": "container:a"}, InvalidArgument, "--uts: invalid uts mode"),
    ({"cgroupns": "mine"}, InvalidArgument, "--cgroupns: invalid cgroup namespace mode"),
    ({"userns_mode": "keep-id"}, Unsupported, "--userns: 'keep-id' is not supported"),
    ({"uts_mode": "host", "hostname": "a"}, InvalidArgument, "conflicting options: hostname and the UTS mode"),
    ({"ipc_mode": "none", "shm_size": "1m"}, InvalidArgument, "conflicting options: --shm-size and the ipc mode (--ipc none)"),
    (
        {"network": "container:db", "hostname": "a", "dns": ["1.1.1.1"], "ports": ["80:80"], "extra_hosts": ["a:1.1.1.1"], "expose": 80},
        InvalidArgument,
        "conflicting options: hostname (--hostname), dns (--dns), custom host-to-IP mapping (--add-host), port publishing (--publish), "
        "port exposing (--expose) and the container type network mode (--network container:db)",
    ),
]


@pytest.mark.parametrize(("keywords", "field", "expected"), READ, ids=lambda value: str(value)[:50])
def test_options_are_read_as_docker_takes_them(keywords: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(make(**keywords), field) == expected


@pytest.mark.parametrize(("keywords", "kind", "words"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_wrong_or_does_not_go_together_is_refused_in_one_line(keywords: dict[str, Any], kind: type[LabError], words: str) -> None:
    with pytest.raises(kind) as caught:
        make(**keywords)
    assert words in caught.value.message
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30), st.sampled_from(["dns", "dns_search", "dns_opt", "extra_hosts", "expose", "network", "pid_mode", "ipc_mode"]))
def test_whatever_is_said_is_read_or_refused_and_stays_on_its_line(text: str, key: str) -> None:
    value = text if key.endswith("mode") or key == "network" else [text]
    try:
        options = make(**{key: value})
    except LabError:
        return
    assert ContainerOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert all("\n" not in item for item in (*options.dns, *options.dns_search, *options.dns_options, *options.extra_hosts))


def test_a_container_is_named_by_its_id_from_then_on() -> None:
    options = make(pid_mode="container:db", network="container:db", ipc_mode="host")
    kept = resolved(options, {"db": "f" * 64}.__getitem__)
    assert (kept.pid_mode, kept.network, kept.ipc_mode) == ("container:" + "f" * 64, "container:" + "f" * 64, "host")

    def nobody(name: str) -> str:
        raise NotFound(f"no such container: {name}")

    with pytest.raises(NotFound, match="no such container: db"):
        resolved(options, nobody)


def test_all_exposed_ports_are_published_once_and_only_tcp_ones() -> None:
    options = make(publish_all_ports=True, ports=["8080:80"], expose=["81", "53/udp"])
    bindings, warnings = published(options, ("80/tcp", "82"))
    assert [(port.host_port, port.container_port) for port in bindings] == [(8080, 80), (0, 82), (0, 81)]
    assert warnings == ("port 53/udp is not published: only tcp ports are",)
    assert published(make(expose=["81"]), ("80/tcp",)) == ((), ())


def write(tmp_path: Path, network: str, names: NameOptions | None = None, address: str = "") -> dict[str, list[str]]:
    (tmp_path / "etc").mkdir(exist_ok=True)
    write_etc(tmp_path, "box", network, address, names or NameOptions())
    return {file.name: file.read_text().splitlines() for file in (tmp_path / "etc").iterdir()}


def test_the_users_name_servers_domains_and_options_take_the_place_of_the_hosts(tmp_path: Path) -> None:
    names = NameOptions(("9.9.9.9", "::1"), ("a.example", "b.example"), ("ndots:2",))
    for network in ("bridge", "none", "host"):
        lines = write(tmp_path, network, names)["resolv.conf"]
        assert lines == ["nameserver 9.9.9.9", "nameserver ::1", "search a.example b.example", "options ndots:2"]
    assert write(tmp_path, "none", NameOptions(("9.9.9.9",), (".",)))["resolv.conf"] == ["nameserver 9.9.9.9"]


def test_hosts_holds_what_was_added_and_the_containers_own_line_last(tmp_path: Path) -> None:
    options = make(extra_hosts=["gate:host-gateway", "six=[::5]"], domainname="example.com")
    lines = write(tmp_path, "bridge", names_of(options, "172.30.0.1"), "172.30.0.9")["hosts"]
    assert lines[-3:] == ["172.30.0.1\tgate", "::5\tsix", "172.30.0.9\tbox.example.com box"]
    assert lines[0] == "127.0.0.1\tlocalhost"


def test_on_the_hosts_network_the_hosts_own_names_are_known(tmp_path: Path) -> None:
    lines = write(tmp_path, "host", NameOptions(hosts=("x:1.2.3.4",)))["hosts"]
    assert set(Path("/etc/hosts").read_text().splitlines()) <= set(lines)
    assert "1.2.3.4\tx" in lines
