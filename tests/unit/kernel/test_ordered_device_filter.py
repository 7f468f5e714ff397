"""The program by which version 2 keeps a bundle's list of devices: the last rule that speaks of an access decides."""

from __future__ import annotations

import struct

import pytest

from labcontainers.kernel.device_filter import DeviceRule, ordered_program

ACCESS = {"m": 1, "r": 2, "w": 4}


def allowed(program: bytes, kind: str, access: str, major: int, minor: int) -> bool:
    """What the kernel's machine would answer, for the few instructions that are used."""
    context = [{"b": 1, "c": 2}[kind] | sum(ACCESS[letter] for letter in access) << 16, major, minor]
    registers = [0] * 11
    at = 0
    while True:
        code, both, offset, value = struct.unpack_from("=BBhi", program, 8 * at)
        to, source = both & 15, both >> 4
        at += 1
        if code == 0x61:
            registers[to] = context[offset // 4]
        elif code == 0xB7:
            registers[to] = value
        elif code == 0xBF:
            registers[to] = registers[source]
        elif code == 0x57:
            registers[to] &= value
        elif code == 0x77:
            registers[to] >>= value
        elif (code == 0x55 and registers[to] != value) or (code == 0x15 and registers[to] == value):
            at += offset
        elif code == 0x95:
            return bool(registers[0])


def by_hand(rules: list[DeviceRule], kind: str, access: str, major: int, minor: int) -> bool:
    def one(letter: str) -> bool:
        answer = True
        for rule in rules:
            same = rule.kind in ("a", kind) and rule.major in (None, major) and rule.minor in (None, minor)
            if same and letter in rule.permissions:
                answer = rule.allow
        return answer

    return all(map(one, access))


RULES = {
    "none": [],
    "usual": [DeviceRule("a", None, None, "rwm", False), DeviceRule("c", None, None, "m"), DeviceRule("c", 1, 3, "rwm")],
    "taken back": [DeviceRule("c", 1, None, "rwm"), DeviceRule("c", 1, 3, "w", False), DeviceRule("b", None, None, "rm", False)],
    "in parts": [DeviceRule("a", None, None, "rwm", False), DeviceRule("c", 1, 3, "r"), DeviceRule("c", 1, None, "w")],
}


@pytest.mark.parametrize("name", RULES)
def test_last_rule_decides_each_access(name: str) -> None:
    program = ordered_program(RULES[name])
    for kind in "bc":
        for access in ("r", "w", "m", "rw", "rm", "wm", "rwm"):
            for major, minor in ((1, 3), (1, 5), (5, 1)):
                assert allowed(program, kind, access, major, minor) == by_hand(RULES[name], kind, access, major, minor)
