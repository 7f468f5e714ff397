from __future__ import annotations

from pathlib import Path

import pytest
from bpf_simulator import AUDIT, describe, oracle, run

from labcontainers.errors import Unsupported
from labcontainers.kernel import capabilities, seccomp, syscall_table

SAMPLES = [(0,), (1,), (8,), (12,), (17,), (38,), (40,), (45,), (46,), (0x11,), (0x10000000,), (0x20008,), (0xFFFFFFFF,), (1 << 32,)]
PROFILE = seccomp.default_profile()
NATIVE_AND_SUB = [("x86_64", "x86_64"), ("x86_64", "i386"), ("aarch64", "aarch64"), ("aarch64", "arm")]
ADMIN = capabilities.DEFAULT | {"SYS_ADMIN", "SYS_PTRACE"}


def answer(name: str, *arguments: int, has: frozenset[str] = capabilities.DEFAULT, native: str = "x86_64", architecture: str = "") -> str:
    architecture = architecture or native
    program = seccomp.compile_profile(PROFILE, has, native, (6, 1))
    return describe(run(program, syscall_table.numbers(architecture)[name], AUDIT[architecture], arguments))


@pytest.mark.parametrize(("native", "architecture"), NATIVE_AND_SUB)
@pytest.mark.parametrize("has", [capabilities.DEFAULT, ADMIN, frozenset()], ids=["default", "admin", "none"])
def test_program_of_the_default_profile_agrees_with_its_rules(native: str, architecture: str, has: frozenset[str]) -> None:
    program = seccomp.compile_profile(PROFILE, has, native, (6, 1))
    newest = syscall_table.numbers(architecture)["removexattrat"]
    for number, name in syscall_table.names(architecture).items():
        newer = newest < number < 0xF0000
        for arguments in SAMPLES:
            expected = "ERRNO 38" if newer else describe(oracle(PROFILE, has, native, architecture, number, arguments).return_value)
            assert describe(run(program, number, AUDIT[architecture], arguments)) == expected, (name, arguments)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("read",), "ALLOW"),
        (("ptrace",), "ALLOW"),
        (("arch_prctl",), "ALLOW"),
        (("keyctl",), "ERRNO 1"),
        (("add_key",), "ERRNO 1"),
        (("bpf",), "ERRNO 1"),
        (("mount",), "ERRNO 1"),
        (("unshare",), "ERRNO 1"),
        (("kexec_load",), "ERRNO 1"),
        (("io_uring_setup",), "ERRNO 1"),
        (("userfaultfd",), "ERRNO 1"),
        (("chroot",), "ALLOW"),
        (("clone3",), "ERRNO 38"),
        (("clone", 0x11), "ALLOW"),
        (("clone", 0x10000011), "ERRNO 1"),
        (("clone", 0x00020011), "ERRNO 1"),
        (("clone", 0x3D0F00), "ALLOW"),
        (("socket", 1), "ALLOW"),
        (("socket", 2), "ALLOW"),
        (("socket", 16), "ALLOW"),
        (("socket", 38), "ERRNO 1"),
        (("socket", 40), "ERRNO 1"),
        (("socket", 12), "ERRNO 1"),
        (("socket", 1 << 32 | 2), "ERRNO 1"),
        (("personality", 0xFFFFFFFF), "ALLOW"),
        (("personality", 0x20008), "ALLOW"),
        (("personality", 0x40000), "ERRNO 1"),
        (("file_getattr",), "ERRNO 38"),
    ],
)
def test_default_profile_answers_as_dockers(call: tuple[str, int], expected: str) -> None:
    assert answer(*call) == expected


@pytest.mark.parametrize(
    ("capability", "name"),
    [("SYS_ADMIN", "mount"), ("SYS_ADMIN", "clone3"), ("BPF", "bpf"), ("SYS_TIME", "clock_settime"), ("SYS_MODULE", "init_module")],
)
def test_a_capability_opens_the_calls_that_need_it(capability: str, name: str) -> None:
    assert answer(name) != "ALLOW"
    assert answer(name, has=capabilities.DEFAULT | {capability}) == "ALLOW"


def test_calls_that_no_table_has_fail_with_enosys() -> None:
    program = seccomp.compile_profile(PROFILE, capabilities.DEFAULT, "x86_64")
    for number in (337, 423, 470, 600, 100_000, 0x40000000, 0x40000001, 0x40000208, 0xFFFFFFFF):
        assert describe(run(program, number, AUDIT["x86_64"])) == "ERRNO 38", number


def test_a_foreign_architecture_kills_the_process() -> None:
    program = seccomp.compile_profile(PROFILE, capabilities.DEFAULT, "x86_64")
    assert describe(run(program, 0, AUDIT["aarch64"])) == "KILL_PROCESS"
    assert describe(run(program, 0, 0x80000016)) == "KILL_PROCESS"


def test_calls_of_32_bit_programs_are_judged_by_their_own_numbers() -> None:
    assert answer("keyctl", architecture="i386") == "ERRNO 1"
    assert answer("waitpid", architecture="i386") == "ALLOW"
    assert answer("cacheflush", native="aarch64", architecture="arm") == "ALLOW"


def test_ptrace_is_refused_before_linux_4_8() -> None:
    program = seccomp.compile_profile(PROFILE, capabilities.DEFAULT, "x86_64", (4, 7))
    assert describe(run(program, 101, AUDIT["x86_64"])) == "ERRNO 1"


def test_an_unknown_architecture_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="no seccomp filter for riscv64"):
        seccomp.compile_profile(PROFILE, capabilities.DEFAULT, "riscv64")


def test_the_default_profile_compiles_to_a_small_program() -> None:
    program = seccomp.compile_profile(PROFILE, capabilities.DEFAULT, "x86_64")
    assert len(program) // 8 < 600


def test_a_cached_filter_is_the_compiled_one_and_is_not_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "filters"
    first = seccomp.default_filter(capabilities.DEFAULT, cache)
    assert first == seccomp.default_filter(capabilities.DEFAULT, None)
    monkeypatch.delattr(seccomp, "compile_profile")
    assert seccomp.default_filter(capabilities.DEFAULT, cache) == first
    assert cache.stat().st_mode & 0o777 == 0o700
    assert len(list(cache.iterdir())) == 1


def test_each_capability_set_has_its_own_cached_filter(tmp_path: Path) -> None:
    assert seccomp.default_filter(ADMIN, tmp_path) != seccomp.default_filter(capabilities.DEFAULT, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"x" * 10, b"\0" * 400])
def test_a_damaged_cache_file_is_compiled_anew(tmp_path: Path, damage: bytes) -> None:
    first = seccomp.default_filter(capabilities.DEFAULT, tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage)
    assert seccomp.default_filter(capabilities.DEFAULT, tmp_path) == first
    assert path.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert seccomp.default_filter(capabilities.DEFAULT, blocked / "cache") == seccomp.default_filter(capabilities.DEFAULT, None)


def test_the_cache_key_depends_on_all_that_decides_the_program() -> None:
    key = seccomp.cache_key(PROFILE, capabilities.DEFAULT, "x86_64", (6, 1))
    assert key == seccomp.cache_key(PROFILE, frozenset(sorted(capabilities.DEFAULT)), "x86_64", (6, 1))
    other = seccomp.parse_profile({"defaultAction": "SCMP_ACT_ALLOW"})
    others = {
        seccomp.cache_key(other, capabilities.DEFAULT, "x86_64", (6, 1)),
        seccomp.cache_key(PROFILE, ADMIN, "x86_64", (6, 1)),
        seccomp.cache_key(PROFILE, capabilities.DEFAULT, "aarch64", (6, 1)),
        seccomp.cache_key(PROFILE, capabilities.DEFAULT, "x86_64", (4, 7)),
    }
    assert len(others | {key}) == 5
