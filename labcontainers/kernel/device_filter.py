"""Which devices the processes of a control group of version 2 may use: a program for the kernel's BPF machine, written and attached.

It must not know containers. Sources: Linux Documentation/admin-guide/cgroup-v2.rst "Device controller", bpf(2), and
Documentation/bpf/standardization/instruction-set.rst; struct bpf_cgroup_dev_ctx of <linux/bpf.h>.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labcontainers.kernel import syscalls

_PROG_LOAD: Final = 5
_PROG_ATTACH: Final = 8
_CGROUP_DEVICE_PROGRAM: Final = 15
_CGROUP_DEVICE_HOOK: Final = 6
_ALLOW_MULTI: Final = 2

_LOAD_WORD: Final = 0x61
_MOVE: Final = 0xB7
_MOVE_REGISTER: Final = 0xBF
_AND: Final = 0x57
_SHIFT_RIGHT: Final = 0x77
_JUMP_IF: Final = 0x15
_JUMP_IF_NOT: Final = 0x55
_EXIT: Final = 0x95

# Registers of the program: the context comes in 1, the answer goes out in 0.
_ANSWER, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = range(7)
_TYPES: Final = {"b": 1, "c": 2}
_ACCESSES: Final = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESSES: Final = 7


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Allows, or without `allow` denies, the accesses `permissions` ("rwm") to devices of `kind` "a", "b" or "c"; None is any number."""

    kind: str
    major: int | None
    minor: int | None
    permissions: str
    allow: bool = True

    def __str__(self) -> str:
        """As devices.allow of version 1 takes it."""
        numbers = ":".join("*" if number is None else str(number) for number in (self.major, self.minor))
        return f"{self.kind} {numbers} {self.permissions}"


def parse_rule(text: str) -> DeviceRule:
    """A rule as docker's --device-cgroup-rule and devices.allow write it, such as "c 10:* rwm"; raises ValueError."""
    kind, *numbers, permissions = text.split()
    major, _, minor = numbers[0].partition(":") if numbers else ("*", ":", "*")
    return DeviceRule(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), permissions)


def program(rules: Sequence[DeviceRule]) -> bytes:
    """Instructions that answer 1 for what a rule allows and 0 for all else; pure."""
    code = [instruction for rule in rules for instruction in _allow(rule)]
    return b"".join([*_look(), *code, *_answer(0)])


def ordered_program(rules: Sequence[DeviceRule]) -> bytes:
    """Instructions by which each access of a request is allowed or denied by the last rule that speaks of it, and allowed by none; pure.

    So has the OCI runtime specification it (config-linux.md, "Allowed Device List"), after devices.allow and devices.deny of version 1.
    """
    code = _look()
    for rule in reversed(rules):
        bits = sum(_ACCESSES[letter] for letter in set(rule.permissions))
        inner = _answer(0)
        if rule.allow:
            left = _instruction(_AND, _ACCESS, value=_ALL_ACCESSES & ~bits)
            inner = [left, _instruction(_JUMP_IF_NOT, _ACCESS, offset=2, value=0), *_answer(1)]
        inner = [
            _instruction(_MOVE_REGISTER, _SCRATCH, _ACCESS),
            _instruction(_AND, _SCRATCH, value=bits),
            _instruction(_JUMP_IF, _SCRATCH, offset=len(inner), value=0),
            *inner,
        ]
        code += _tested(_of_device(rule), inner)
    return b"".join([*code, *_answer(1)])


_Test = tuple[list[bytes], int, int]


def _look() -> list[bytes]:
    """Load what the request is about."""
    return [
        _instruction(_LOAD_WORD, _TYPE, _CONTEXT),
        _instruction(_MOVE_REGISTER, _ACCESS, _TYPE),
        _instruction(_AND, _TYPE, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, offset=8),
    ]


def _answer(value: int) -> list[bytes]:
    return [_instruction(_MOVE, _ANSWER, value=value), _instruction(_EXIT)]


def _of_device(rule: DeviceRule) -> list[_Test]:
    kind: list[_Test] = [([], _TYPE, _TYPES[rule.kind])] if rule.kind in _TYPES else []
    return kind + [([], register, number) for register, number in ((_MAJOR, rule.major), (_MINOR, rule.minor)) if number is not None]


def _tested(tests: list[_Test], code: list[bytes]) -> list[bytes]:
    """`code`, which each test jumps over when it fails."""
    for before, register, wanted in reversed(tests):
        code = [*before, _instruction(_JUMP_IF_NOT, register, offset=len(code), value=wanted), *code]
    return code


def _allow(rule: DeviceRule) -> list[bytes]:
    tests = _of_device(rule)
    refused = _ALL_ACCESSES & ~sum(_ACCESSES[letter] for letter in set(rule.permissions))
    if refused:
        before = [_instruction(_MOVE_REGISTER, _SCRATCH, _ACCESS), _instruction(_AND, _SCRATCH, value=refused)]
        tests.append((before, _SCRATCH, 0))
    return _tested(tests, _answer(1))


def _instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    # An immediate is 32 bits with a sign; minor numbers (20 bits) and all else here are below that.
    return struct.pack("=BBhi", code, to | source << 4, offset, value)


def attach(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Hold every process of the control group `directory` to the rules, until the group is removed; raises OSError.

    Needs CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN, in the user namespace of the machine, and Linux 4.15.
    """
    _attach(directory, program(rules))


def attach_ordered(directory: str, rules: Sequence[DeviceRule]) -> None:
    """As attach, by ordered_program."""
    _attach(directory, ordered_program(rules))


def _attach(directory: str, code: bytes) -> None:
    instructions = ctypes.create_string_buffer(code, len(code))
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack("=IIQQIIQII", _CGROUP_DEVICE_PROGRAM, len(code) // 8, _address(instructions), _address(license_text), 0, 0, 0, 0, 0)
    program_fd = syscalls.call("bpf", _PROG_LOAD, load, len(load))
    try:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            wanted = struct.pack("=IIII", group, program_fd, _CGROUP_DEVICE_HOOK, _ALLOW_MULTI)
            syscalls.call("bpf", _PROG_ATTACH, wanted, len(wanted))
        finally:
            os.close(group)
    finally:
        os.close(program_fd)


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.cast(buffer, ctypes.c_void_p).value or 0
