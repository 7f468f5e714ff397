"""--device and --device-cgroup-rule: texts, and the nodes of this machine that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.devices import DeviceMapping, host_devices, nodes_of, parse_device
from labcontainers.errors import InvalidArgument, LabError, Unsupported

make = ContainerOptions.from_keywords

READ = {
    "/dev/null": DeviceMapping("/dev/null", "/dev/null", "rwm"),
    "/dev/null:/dev/n": DeviceMapping("/dev/null", "/dev/n", "rwm"),
    "/dev/null:r": DeviceMapping("/dev/null", "/dev/null", "r"),
    "/dev/null:/data/n:rw": DeviceMapping("/dev/null", "/data/n", "rw"),
    "/dev/null:/dev//n/": DeviceMapping("/dev/null", "/dev/n", "rwm"),
}
REFUSED: list[tuple[dict[str, Any], type[LabError], str]] = [
    ({"devices": ["/dev/null:/dev/n:x"]}, InvalidArgument, "bad mode specified: 'x'"),
    ({"devices": ["/dev/null:/dev/n:rr"]}, InvalidArgument, "bad mode specified: 'rr'"),
    ({"devices": ["/dev/null:/dev/n:r:w"]}, InvalidArgument, "invalid device"),
    ({"devices": ["dev/null"]}, InvalidArgument, "'dev/null' is not an absolute path"),
    ({"devices": ["/dev/null:/dev/../etc/x"]}, InvalidArgument, "is not an absolute path"),
    ({"devices": ["/dev/null:/"]}, InvalidArgument, "a device cannot be at '/'"),
    ({"devices": ["/dev/no such"]}, InvalidArgument, "while adding custom device '/dev/no such': no such file or directory"),
    ({"devices": ["/etc/passwd"]}, InvalidArgument, "not a device node: '/etc/passwd'"),
    ({"devices": ["/usr/bin"]}, InvalidArgument, "no device below '/usr/bin'"),
    ({"devices": 5}, InvalidArgument, "--device: not a list of devices: 5"),
    ({"device_cgroup_rules": ["c 1:2"]}, InvalidArgument, "invalid device cgroup format 'c 1:2'"),
    ({"device_cgroup_rules": ["c 1:2 rwx"]}, InvalidArgument, "invalid device cgroup format"),
    ({"device_cgroup_rules": ["c 1:2 rwm\na *:* rwm"]}, InvalidArgument, "invalid device cgroup format"),
    ({"device_requests": [{"Count": -1}]}, Unsupported, "no vendor's hook for GPUs"),
]


@pytest.mark.parametrize("text", READ)
def test_a_device_is_read_as_docker_writes_it(text: str) -> None:
    assert parse_device(text) == READ[text]


@pytest.mark.parametrize(("keywords", "kind", "words"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_no_device_is_refused_in_one_line(keywords: dict[str, Any], kind: type[LabError], words: str) -> None:
    with pytest.raises(kind) as caught:
        make(**keywords)
    assert words in caught.value.message
    assert "\n" not in str(caught.value)


@given(st.text("/dev:rwm.x", max_size=20))
def test_whatever_is_said_is_read_or_refused(text: str) -> None:
    try:
        mapping = parse_device(text)
    except InvalidArgument:
        return
    assert mapping.path.startswith("/")
    assert ".." not in mapping.path.split("/")


def test_a_symbolic_link_of_the_host_leads_to_its_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    (node,) = nodes_of(DeviceMapping(str(tmp_path / "link"), "/dev/z"))
    assert (node.source, node.path, node.kind, node.major, node.minor) == ("/dev/zero", "/dev/z", "c", 1, 5)


def test_a_directory_stands_for_all_devices_below_it_but_those_of_a_containers_own() -> None:
    found = {node.path for node in nodes_of(DeviceMapping("/dev", "/dev/host"))}
    assert {"/dev/host/null", "/dev/host/zero"} <= found
    assert not any(path.startswith(("/dev/host/pts/", "/dev/host/shm/")) for path in found)


def test_privileged_has_the_hosts_devices_beside_the_default_ones() -> None:
    paths = {node.path for node in host_devices()}
    assert not paths & {"/dev/null", "/dev/ptmx", "/dev/console"}
    assert all(path.startswith("/dev/") for path in paths)
