"""What a seccomp filter answers, worked out twice: by running its program, and by reading its profile in plain Python."""

from __future__ import annotations

import operator
import struct
from functools import lru_cache

from labcontainers.kernel import syscall_table
from labcontainers.kernel.seccomp_profile import Action, ArgumentTest, Profile

AUDIT = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
RETURNS = {0x7FFF0000: "ALLOW", 0x7FFC0000: "LOG", 0x00030000: "TRAP", 0x00000000: "KILL_THREAD", 0x80000000: "KILL_PROCESS"}


def run(program: bytes, number: int, audit_architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """The return value of the program for one call; every instruction outside the few that seccomp allows is an error."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    words = (number & 0xFFFFFFFF, audit_architecture, 0, 0, *(half for one in padded for half in (one & 0xFFFFFFFF, one >> 32)))
    instructions = decode(program)
    at = accumulator = 0
    while True:
        code, true, false, k = instructions[at]
        at += 1
        if code == 0x35:
            at += true if accumulator >= k else false
        elif code == 0x15:
            at += true if accumulator == k else false
        elif code == 0x20:
            accumulator = words[k >> 2]
        elif code == 0x06:
            return k
        elif code == 0x05:
            at += k
        elif code == 0x25:
            at += true if accumulator > k else false
        elif code == 0x54:
            accumulator &= k
        elif code == 0x45:
            at += true if accumulator & k else false
        else:
            raise AssertionError(f"instruction {code:#x} at {at - 1}")


@lru_cache(maxsize=8)
def decode(program: bytes) -> list[tuple[int, int, int, int]]:
    """The instructions of a program: code, two jump distances, value."""
    return list(struct.iter_unpack("=HBBI", program))


def describe(value: int) -> str:
    """ "ALLOW", "ERRNO 1" and so on, from a filter's return value."""
    return f"ERRNO {value & 0xFFFF}" if value & 0xFFFF0000 == 0x50000 else RETURNS[value]


def oracle(
    profile: Profile,
    capabilities: frozenset[str],
    native: str,
    architecture: str,
    number: int,
    arguments: tuple[int, ...] = (),
    kernel: tuple[int, int] = (6, 1),
) -> Action:
    """What the profile says of one call of a known number, found by reading its rules one after another."""
    arguments = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    name = syscall_table.names(architecture)[number]
    rules = [rule for rule in profile.rules if rule.applies(capabilities, native, kernel) and rule.action != profile.default]
    for rule in rules:
        if not rule.arguments and name in rule.names:
            return rule.action
    for rule in rules:
        if rule.arguments and name in rule.names and all(holds(test, arguments, architecture) for test in rule.arguments):
            return rule.action
        for other, (by, selector) in syscall_table.multiplexed(architecture).items():
            if not rule.arguments and by == name and other in rule.names and arguments[0] & 0xFFFFFFFF == selector:
                return rule.action
    return profile.default


def holds(test: ArgumentTest, arguments: tuple[int, ...], architecture: str) -> bool:
    """Whether a test holds; on a 32-bit architecture only the low words count."""
    word = (1 << 64) - 1 if architecture in ("x86_64", "aarch64") else 0xFFFFFFFF
    argument, value, second = arguments[test.index] & word, test.value & word, test.value_two & word
    if test.operator == "MASKED_EQ":
        return argument & value == second & value
    comparison = {"EQ": operator.eq, "NE": operator.ne, "LT": operator.lt, "LE": operator.le, "GE": operator.ge, "GT": operator.gt}
    return bool(comparison[test.operator](argument, value))
