"""Rules on devices become a program for the kernel, which is run here by a few lines of Python."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import Unsupported
from labcontainers.kernel import cgroup_devices
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.device_filter import DeviceRule, parse_rule, program

BLOCK, CHARACTER = 1, 2
MAKE, READ, WRITE = 1, 2, 4


def allows(code: bytes, kind: int, access: int, major: int, minor: int) -> bool:
    """What the program answers for one access; any instruction that it has no need of is an error."""
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers = [0] * 11
    instructions = list(struct.iter_unpack("=BBhi", code))
    at = 0
    while True:
        operation, names, offset, value = instructions[at]
        to, source = names & 15, names >> 4
        at += 1
        match operation:
            case 0x61:
                assert source == 1
                registers[to] = context[offset]
            case 0xBF:
                registers[to] = registers[source]
            case 0xB7:
                registers[to] = value
            case 0x57:
                registers[to] &= value
            case 0x77:
                registers[to] >>= value
            case 0x55:
                at += offset if registers[to] != value else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"instruction {operation:#x}")


RULES = tuple(map(parse_rule, ("c 1:3 rwm", "c 136:* rw", "b *:* m", "c 10:200 r")))
CASES = [
    (CHARACTER, READ | WRITE, 1, 3, True),
    (CHARACTER, MAKE, 1, 3, True),
    (BLOCK, READ, 1, 3, False),
    (CHARACTER, READ, 1, 5, False),
    (CHARACTER, WRITE, 136, 77, True),
    (CHARACTER, MAKE, 136, 77, False),
    (BLOCK, MAKE, 8, 0, True),
    (BLOCK, READ, 8, 0, False),
    (CHARACTER, READ, 10, 200, True),
    (CHARACTER, READ | WRITE, 10, 200, False),
]


@pytest.mark.parametrize(("kind", "access", "major", "minor", "expected"), CASES)
def test_an_access_is_allowed_if_one_rule_allows_all_of_it(kind: int, access: int, major: int, minor: int, expected: bool) -> None:
    assert allows(program(RULES), kind, access, major, minor) is expected


numbers = st.none() | st.integers(0, 3)
rules = st.lists(st.builds(DeviceRule, st.sampled_from("abc"), numbers, numbers, st.sampled_from(["r", "w", "m", "rw", "rwm"])), max_size=5)


@given(rules, st.sampled_from([BLOCK, CHARACTER]), st.sampled_from(range(1, 8)), st.integers(0, 3), st.integers(0, 3))
def test_the_program_says_what_the_rules_say(given_rules: list[DeviceRule], kind: int, access: int, major: int, minor: int) -> None:
    letters = {letter for letter, bit in (("m", MAKE), ("r", READ), ("w", WRITE)) if access & bit}

    def holds(rule: DeviceRule) -> bool:
        return (
            rule.kind in ("a", {BLOCK: "b", CHARACTER: "c"}[kind])
            and rule.major in (None, major)
            and rule.minor in (None, minor)
            and letters <= set(rule.permissions)
        )

    assert allows(program(given_rules), kind, access, major, minor) == any(map(holds, given_rules))


@pytest.mark.parametrize("text", ["c 10:200 rwm", "b *:7 r", "a *:* rwm"])
def test_a_rule_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_rule(text)) == text


def test_version_1_denies_all_before_it_allows(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    with pytest.raises(Unsupported, match="devices cannot be restricted: no such file"):
        cgroup_devices.confine(Cgroup(None, {}), "x", [], v1=tmp_path)
    assert not (tmp_path / "labcontainers" / "x").exists()


def test_a_host_without_control_groups_cannot_restrict_devices(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no control group"):
        cgroup_devices.confine(Cgroup(None, {}), "x", [], v1=tmp_path / "absent")
