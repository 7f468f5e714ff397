"""An assembler for the classic BPF that seccomp(2) takes, which writes a program from its end to its beginning.

It must not know system calls or profiles: it knows instructions, distances and 64-bit comparisons.

Every jump of classic BPF goes forward. Written backwards, the targets of a jump are always known already, and where one is too far
for the eight bits of a conditional jump, a return is repeated nearby or an unconditional jump put in between.
"""

from __future__ import annotations

import struct
from typing import Final

from labcontainers.errors import Unsupported
from labcontainers.kernel.seccomp_profile import ArgumentTest

# Instruction codes of <linux/bpf_common.h>, each already combined with its mode.
LOAD_WORD: Final = 0x20
AND: Final = 0x54
JUMP: Final = 0x05
JUMP_EQUAL: Final = 0x15
JUMP_GREATER: Final = 0x25
JUMP_GREATER_EQUAL: Final = 0x35
RETURN: Final = 0x06

# Offsets in struct seccomp_data: seccomp(2).
NUMBER_OFFSET: Final = 0
ARCHITECTURE_OFFSET: Final = 4
_ARGUMENTS_OFFSET: Final = 16

_MOST_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS
_LOW: Final = 0xFFFFFFFF

Label = int


class Assembler:
    """A program that grows at its beginning; a label is the place of an instruction counted from the end."""

    def __init__(self) -> None:
        self._backwards: list[tuple[int, int, int, int]] = []
        self._returns: dict[int, Label] = {}

    def __len__(self) -> int:
        return len(self._backwards)

    def answer(self, value: int) -> Label:
        """Return `value`; an instruction that does so already is used again when it is near."""
        known = self._returns.get(value)
        if known is not None and self._distance(known) < 200:
            return known
        self._returns[value] = label = self._put(RETURN, 0, 0, value)
        return label

    def load(self, offset: int, following: Label) -> Label:
        """Load a word of seccomp_data and go on at `following`."""
        self._reach(following)
        return self._put(LOAD_WORD, 0, 0, offset)

    def branch(self, code: int, value: int, then: Label, otherwise: Label) -> Label:
        """Compare what is loaded with `value` and go on at one of two labels."""
        if then == otherwise:
            return then
        while self._distance(then) > 255 or self._distance(otherwise) > 255:
            if self._distance(then) >= self._distance(otherwise):
                then = self._trampoline(then)
            else:
                otherwise = self._trampoline(otherwise)
        return self._put(code, self._distance(then), self._distance(otherwise), value)

    def test(self, test: ArgumentTest, then: Label, otherwise: Label, *, wide: bool) -> Label:
        """Go on at `then` if the test holds. On a 32-bit architecture (not `wide`) only the low word of an argument counts."""
        low = _ARGUMENTS_OFFSET + 8 * test.index
        value, second = test.value, test.value_two
        match test.operator:
            case "EQ":
                return self._masked(low, (1 << 64) - 1, value, then, otherwise, wide)
            case "NE":
                return self._masked(low, (1 << 64) - 1, value, otherwise, then, wide)
            case "MASKED_EQ":
                return self._masked(low, value, second & value, then, otherwise, wide)
            case "GE":
                return self._ordered(low, JUMP_GREATER_EQUAL, value, then, otherwise, wide)
            case "LT":
                return self._ordered(low, JUMP_GREATER_EQUAL, value, otherwise, then, wide)
            case "GT":
                return self._ordered(low, JUMP_GREATER, value, then, otherwise, wide)
            case "LE":
                return self._ordered(low, JUMP_GREATER, value, otherwise, then, wide)

    def to_bytes(self) -> bytes:
        """The program as an array of struct sock_filter; raises Unsupported where it is longer than the kernel takes."""
        if len(self._backwards) > _MOST_INSTRUCTIONS:
            raise Unsupported(
                f"seccomp profile needs {len(self._backwards)} instructions, the kernel takes {_MOST_INSTRUCTIONS}",
                "use fewer rules with argument tests, or no sub-architecture",
            )
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in reversed(self._backwards))

    def _masked(self, low: int, mask: int, value: int, then: Label, otherwise: Label, wide: bool) -> Label:
        then_low = self._masked_word(low, mask & _LOW, value & _LOW, then, otherwise)
        return self._masked_word(low + 4, mask >> 32, value >> 32, then_low, otherwise) if wide else then_low

    def _masked_word(self, offset: int, mask: int, value: int, then: Label, otherwise: Label) -> Label:
        if mask == 0:
            return then
        label = self.branch(JUMP_EQUAL, value, then, otherwise)
        return self.load(offset, label if mask == _LOW else self._after(AND, mask, label))

    def _ordered(self, low: int, code: int, value: int, then: Label, otherwise: Label, wide: bool) -> Label:
        decide = self.load(low, self.branch(code, value & _LOW, then, otherwise))
        if not wide:
            return decide
        # The high words decide unless they are alike.
        alike = self.branch(JUMP_EQUAL, value >> 32, decide, otherwise)
        return self.load(low + 4, self.branch(JUMP_GREATER, value >> 32, then, alike))

    def _after(self, code: int, value: int, following: Label) -> Label:
        self._reach(following)
        return self._put(code, 0, 0, value)

    def _reach(self, label: Label) -> None:
        if label != len(self._backwards) - 1:
            self._put(JUMP, 0, 0, self._distance(label))

    def _trampoline(self, label: Label) -> Label:
        code, _, _, value = self._backwards[label]
        return self._put(RETURN, 0, 0, value) if code == RETURN else self._put(JUMP, 0, 0, self._distance(label))

    def _distance(self, label: Label) -> int:
        """How many instructions the next one to be put would skip to get to `label`."""
        return len(self._backwards) - 1 - label

    def _put(self, code: int, jump_true: int, jump_false: int, value: int) -> Label:
        self._backwards.append((code, jump_true, jump_false, value))
        return len(self._backwards) - 1
