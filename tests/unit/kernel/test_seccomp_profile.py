from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from bpf_simulator import AUDIT, describe, oracle, run
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.kernel import seccomp, syscall_table
from labcontainers.kernel.seccomp_profile import Action, ArgumentTest, Condition, Profile, Rule, parse_profile

NAMES = ["read", "write", "clone", "socket", "socketcall", "ipc", "semop", "bind", "ioctl", "futex", "keyctl", "openat2", "mount"]
EDGES = [0, 1, 2, 5, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
CAPABILITIES = ["SYS_ADMIN", "BPF", "CHOWN"]

values = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 64) - 1))
actions = st.one_of(
    st.sampled_from([Action("ALLOW"), Action("LOG"), Action("TRAP"), Action("KILL_PROCESS"), Action("KILL_THREAD")]),
    st.builds(Action, st.just("ERRNO"), st.integers(0, 4095)),
)
tests = st.builds(ArgumentTest, st.integers(0, 5), st.sampled_from(["EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ"]), values, values)
conditions = st.builds(
    Condition,
    st.frozensets(st.sampled_from(CAPABILITIES), max_size=2),
    st.frozensets(st.sampled_from(["amd64", "arm64", "s390x"]), max_size=2),
    st.sampled_from([None, (4, 8), (6, 1), (9, 0)]),
)
rules = st.builds(
    Rule, st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple), actions, st.lists(tests, max_size=3).map(tuple),
    conditions | st.just(Condition()), conditions | st.just(Condition()),
)  # fmt: skip
profiles = st.builds(Profile, actions, st.lists(rules, max_size=25).map(tuple))


@settings(max_examples=150, deadline=None)
@given(
    profile=profiles,
    has=st.frozensets(st.sampled_from(CAPABILITIES)),
    native=st.sampled_from(["x86_64", "aarch64"]),
    extra=st.lists(st.tuples(*[values] * 6), min_size=1, max_size=4),
)
def test_any_program_answers_as_its_rules_read(profile: Profile, has: frozenset[str], native: str, extra: list[tuple[int, ...]]) -> None:
    program = seccomp.compile_profile(profile, has, native, (6, 1))
    points = {test.value for rule in profile.rules for test in rule.arguments}
    near = [tuple((point + step) % (1 << 64) for _ in range(6)) for point in list(points)[:6] for step in (-1, 0, 1)]
    for architecture in profile.architectures(native):
        numbers = syscall_table.numbers(architecture)
        for name in (name for name in NAMES if name in numbers):
            named = any(name in rule.names for rule in profile.rules)
            for arguments in [*near, *extra]:
                found = describe(run(program, numbers[name], AUDIT[architecture], arguments))
                expected = describe(oracle(profile, has, native, architecture, numbers[name], arguments).return_value)
                if not named and name == "openat2" and not profile.default.permissive:
                    expected = "ERRNO 38"  # newer than all that the profile names
                assert found == expected, (architecture, name, arguments)


def test_a_program_with_hundreds_of_argument_rules_reaches_over_long_jumps() -> None:
    many = tuple(Rule((name,), Action("ALLOW"), (ArgumentTest(0, "EQ", value),)) for name in NAMES for value in range(30))
    profile = Profile(Action("ERRNO", 1), many)
    program = seccomp.compile_profile(profile, frozenset(), "x86_64")
    for name in (name for name in NAMES if name in syscall_table.numbers("x86_64")):
        number = syscall_table.numbers("x86_64")[name]
        assert [describe(run(program, number, AUDIT["x86_64"], (value,))) for value in (0, 29, 30)] == ["ALLOW", "ALLOW", "ERRNO 1"]


def test_a_program_that_is_too_long_for_the_kernel_is_refused() -> None:
    many = tuple(Rule(("ioctl",), Action("ALLOW"), (ArgumentTest(1, "EQ", value << 33),)) for value in range(1200))
    with pytest.raises(Unsupported, match="the kernel takes 4096"):
        seccomp.compile_profile(Profile(Action("ERRNO", 1), many), frozenset(), "x86_64")


def document(**entry: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", **entry}]}


def answer(json: dict[str, Any], name: str, *arguments: int, architecture: str = "x86_64", has: frozenset[str] = frozenset()) -> str:
    program = seccomp.compile_profile(parse_profile(json), has, "x86_64", (6, 1))
    return describe(run(program, syscall_table.numbers(architecture)[name], AUDIT[architecture], arguments))


def test_parse_reads_dockers_json_form() -> None:
    json = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 13,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
        "syscalls": [
            {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}, "comment": "text"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["openat"], "action": "SCMP_ACT_LOG", "excludes": {"minKernel": "9.0", "arches": ["arm64"]}},
            {"name": "kexec_load", "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    }
    assert parse_profile(json).architectures("x86_64") == ("x86_64", "i386")
    assert answer(json, "read") == answer(json, "read", architecture="i386") == "ALLOW"
    assert answer(json, "write") == "ERRNO 13"
    assert answer(json, "bpf") == "ERRNO 13"
    assert answer(json, "bpf", has=frozenset({"BPF"})) == "ALLOW"
    assert answer(json, "clone", 0x11) == "ALLOW"
    assert answer(json, "clone", 0x10000000) == "ERRNO 13"
    assert answer(json, "openat") == "LOG"
    assert answer(json, "kexec_load") == "KILL_PROCESS"
    assert answer(json, "openat2") == "ERRNO 38"


def test_several_tests_of_one_argument_mean_or_as_in_docker() -> None:
    json = document(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}])
    assert [answer(json, "socket", domain) for domain in (1, 2, 3)] == ["ALLOW", "ALLOW", "ERRNO 1"]


def test_tests_of_different_arguments_mean_and() -> None:
    json = document(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_GE"}])
    assert [answer(json, "socket", *two) for two in ((1, 2), (1, 1), (2, 2))] == ["ALLOW", "ERRNO 1", "ERRNO 1"]


def test_a_denied_call_cannot_be_made_through_the_multiplexer_of_i386() -> None:
    json = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["bind"], "action": "SCMP_ACT_ERRNO"}],
    }
    assert answer(json, "socketcall", 2, architecture="i386") == "ERRNO 1"
    assert answer(json, "socketcall", 1, architecture="i386") == "ALLOW"


def test_a_profile_that_lets_calls_through_lets_new_ones_through_too() -> None:
    program = seccomp.compile_profile(parse_profile({"defaultAction": "SCMP_ACT_ALLOW"}), frozenset(), "x86_64")
    assert describe(run(program, 5000, AUDIT["x86_64"])) == "ALLOW"


@pytest.mark.parametrize(
    ("json", "message"),
    [
        ({}, "defaultAction is None"),
        ({"defaultAction": "SCMP_ACT_MAYBE"}, "defaultAction is 'SCMP_ACT_MAYBE'"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, r"syscalls\[0\] needs either 'names' or 'name'"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": {}}, "syscalls must be a list"),
        (document(errnoRet=5000, action="SCMP_ACT_ERRNO"), "errno 5000"),
        (document(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]), "out of range"),
        (document(args=[{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]), "out of range"),
        (document(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_XOR"}]), "operator 'SCMP_CMP_XOR'"),
        (document(includes={"minKernel": "four"}), "minKernel is 'four'"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}, "both 'architectures' and 'archMap'"),
    ],
)
def test_parse_refuses_what_is_no_profile(json: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_profile(json)


@pytest.mark.parametrize("action", ["SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"])
def test_parse_refuses_actions_that_need_a_helper(action: str) -> None:
    with pytest.raises(Unsupported, match=action):
        parse_profile(document(action=action))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_RULE_KEYS = ["names", "name", "action", "errnoRet", "args", "includes", "excludes"]
_RULES = st.lists(_JSON | st.dictionaries(st.sampled_from(_RULE_KEYS), _JSON, max_size=5), max_size=3)
_TOP_KEYS = ["defaultErrnoRet", "archMap", "architectures", "flags"]


@given(st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]), _RULES, st.dictionaries(st.sampled_from(_TOP_KEYS), _JSON, max_size=4))
def test_whatever_json_is_given_is_a_profile_or_refused(default: str, rules: list[Any], more: dict[str, Any]) -> None:
    with suppress(InvalidArgument, Unsupported):
        parse_profile({"defaultAction": default, "syscalls": rules, **more})
