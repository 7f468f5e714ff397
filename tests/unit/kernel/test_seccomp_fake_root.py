"""The filter for root in name only: which calls do nothing, and that no other is touched."""

from __future__ import annotations

import pytest

from labcontainers.kernel.capabilities import DEFAULT
from labcontainers.kernel.seccomp import compile_profile, default_profile
from labcontainers.kernel.seccomp_fake_root import fake_root
from labcontainers.kernel.seccomp_profile import Action


def test_calls_that_change_owners_and_ids_do_nothing() -> None:
    first, *rest = fake_root(default_profile()).rules
    assert first.action == Action("ERRNO", 0)
    assert {"chown", "fchownat", "lchown", "setgroups", "setresuid", "setuid32"} <= set(first.names)
    assert tuple(rest) == default_profile().rules


@pytest.mark.parametrize("name", ["capset", "prctl", "seccomp", "chmod", "mknod", "setns", "unshare"])
def test_what_takes_or_gives_rights_is_left_alone(name: str) -> None:
    assert name not in fake_root(default_profile()).rules[0].names


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_it_compiles_for_each_machine(architecture: str) -> None:
    program = compile_profile(fake_root(default_profile()), DEFAULT, architecture, (6, 1))
    assert len(program) % 8 == 0
    assert program != compile_profile(default_profile(), DEFAULT, architecture, (6, 1))
