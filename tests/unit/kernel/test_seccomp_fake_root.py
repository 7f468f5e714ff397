"""The filter that answers package managers: which calls succeed without being done, and which are left alone."""

from __future__ import annotations

import stat

import pytest
from bpf_simulator import AUDIT, describe, run

from labcontainers.kernel import seccomp, syscall_table
from labcontainers.kernel.seccomp_fake_root import fake_root_profile

DONE, ALLOW = "ERRNO 0", "ALLOW"
CALLS = [
    ("fchownat", (), DONE), ("setresuid", (33, 33, 33), DONE), ("setgroups", (), DONE), ("setfsuid", (0xFFFFFFFF,), DONE),
    ("mknodat", (0, 0, stat.S_IFCHR | 0o600), DONE), ("mknodat", (0, 0, stat.S_IFBLK | 0o600), DONE),
    ("mknodat", (0, 0, stat.S_IFIFO | 0o600), ALLOW), ("mknodat", (0, 0, stat.S_IFREG), ALLOW), ("mknodat", (0, 0, stat.S_IFSOCK), ALLOW),
    ("openat", (), ALLOW), ("capset", (), ALLOW), ("fchmodat", (), ALLOW), ("mount", (), ALLOW), ("execve", (), ALLOW),
]  # fmt: skip


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("name", "arguments", "answer"), CALLS)
def test_a_call_succeeds_without_being_done_or_is_left_alone(architecture: str, name: str, arguments: tuple[int, ...], answer: str) -> None:
    program = seccomp.compile_profile(fake_root_profile(), frozenset(), architecture, (6, 1))
    number = syscall_table.numbers(architecture)[name]
    assert describe(run(program, number, AUDIT[architecture], arguments)) == answer


def test_calls_of_32_bits_are_answered_too() -> None:
    program = seccomp.compile_profile(fake_root_profile(), frozenset(), "x86_64", (6, 1))
    numbers = syscall_table.numbers("i386")
    for name in ("chown32", "chown", "setuid32", "mknod"):
        arguments = (0, stat.S_IFCHR, 0)
        assert describe(run(program, numbers[name], AUDIT["i386"], arguments)) == DONE
