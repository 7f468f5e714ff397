"""The defaults are no wider than Podman's, each has a reason, and the filter refuses what they say it refuses."""

from __future__ import annotations

import socket

import pytest
from bpf_simulator import AUDIT, describe, run

from labcontainers.kernel import capabilities, defaults, seccomp, syscall_table

# Podman 5's default_capabilities: containers.conf(5)
PODMAN = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
REASONS = {
    **defaults.CAPABILITIES,
    **defaults.CAPABILITIES_WITHHELD,
    **defaults.MASKED,
    **defaults.READ_ONLY,
    **defaults.NAMESPACES,
    **defaults.CALLS_WITHHELD,
    **defaults.SOCKETS_WITHHELD,
    **{name: reason for name, (_, _, reason) in defaults.DEVICES.items()},
    **{place: reason for place, (_, _, reason) in defaults.MOUNTS.items()},
}


def answer(native: str, name: str, *arguments: int) -> str:
    program = seccomp.compile_profile(seccomp.default_profile(), capabilities.DEFAULT, native, (6, 1))
    return describe(run(program, syscall_table.numbers(native)[name], AUDIT[native], arguments or (0,)))


def test_a_container_has_no_capability_that_podman_does_not_give() -> None:
    assert frozenset(PODMAN.split()) >= capabilities.DEFAULT
    assert not capabilities.DEFAULT & set(defaults.CAPABILITIES_WITHHELD)
    assert set(defaults.CAPABILITIES_WITHHELD) <= set(capabilities.NAMES)


@pytest.mark.parametrize("name", REASONS)
def test_every_default_has_a_reason(name: str) -> None:
    assert len(REASONS[name].split()) > 2


@pytest.mark.parametrize("native", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", defaults.CALLS_WITHHELD)
def test_the_filter_refuses_what_is_said_to_be_withheld(native: str, name: str) -> None:
    assert answer(native, name) in ("ERRNO 1", "ERRNO 38")


@pytest.mark.parametrize("native", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", defaults.SOCKETS_WITHHELD)
def test_the_filter_refuses_sockets_that_are_said_to_be_withheld(native: str, name: str) -> None:
    assert answer(native, "socket", int(getattr(socket, name))) == "ERRNO 1"
    assert answer(native, "socket", int(socket.AF_INET)) == "ALLOW"
