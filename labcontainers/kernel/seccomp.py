"""Seccomp profiles compiled to the programs that seccomp(2) loads, and kept on disk once compiled.

It must not know containers or how a process loads its filter.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from labcontainers.errors import Unsupported
from labcontainers.kernel import seccomp_bpf as bpf
from labcontainers.kernel import syscall_table
from labcontainers.kernel.seccomp_default import default_profile
from labcontainers.kernel.seccomp_profile import ENOSYS, KILL_PROCESS, Action, ArgumentTest, Profile, Rule, kernel_version, parse_profile

__all__ = ["cached_filter", "compile_profile", "default_filter", "default_profile", "machine_architecture", "parse_profile"]

_COMPILER_VERSION: Final = 1  # a part of every cache key: raise it whenever the same profile compiles to another program

_AUDIT_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
_WIDE: Final = frozenset({"x86_64", "aarch64"})
_X32_BIT: Final = 0x40000000
_PRIVATE_NUMBERS: Final = 0xF0000  # where 32-bit arm keeps calls of its own, apart from all others
_MACHINES: Final = {"i486": "i386", "i586": "i386", "i686": "i386", "armv6l": "arm", "armv7l": "arm", "armv8l": "arm", "arm64": "aarch64"}

_DIGEST_SIZE: Final = 32

# What happens to one system call: tests that decide, in order, and the action that is left.
_Chain = tuple[tuple[tuple[ArgumentTest, ...], Action], ...]
_Decision = tuple[_Chain, Action]


def machine_architecture() -> str:
    """This machine's architecture in the names of `syscall_table`; raises Unsupported for one without a table."""
    machine = os.uname().machine
    architecture = _MACHINES.get(machine, machine)
    if architecture not in _AUDIT_ARCHITECTURES:
        raise Unsupported(f"no seccomp filter for {machine} machines", "x86_64 and aarch64 machines are supported")
    return architecture


def compile_profile(profile: Profile, capabilities: frozenset[str], architecture: str, kernel: tuple[int, int] | None = None) -> bytes:
    """An array of struct sock_filter for SECCOMP_SET_MODE_FILTER; pure, about 10 ms for the default profile.

    `capabilities` are the plain names of the container's bounding set and `kernel` is (major, minor), this machine's when not
    given: both decide which rules count. A call of an architecture that the profile does not name kills the process. Unless the
    default action lets calls through, a call that is newer than all that the profile names, or that no table has, fails with
    ENOSYS instead of the default action, so that programs fall back to an older call. x32 numbers fail with ENOSYS.
    Raises Unsupported for an unknown architecture and for a program that is longer than the kernel takes.
    """
    if architecture not in _AUDIT_ARCHITECTURES:
        raise Unsupported(f"no seccomp filter for {architecture}", "x86_64 and aarch64 are supported")
    kernel = kernel or kernel_version(os.uname().release)
    assembler = bpf.Assembler()
    entries: list[tuple[int, bpf.Label]] = []
    for one in profile.architectures(architecture):
        decisions = _decisions(profile, [rule for rule in profile.rules if rule.applies(capabilities, architecture, kernel)], one)
        unknown = _fixed(profile.default if profile.default.permissive else ENOSYS)
        tree = _search(assembler, _ranges(decisions, unknown, one), wide=one in _WIDE)
        entries.append((_AUDIT_ARCHITECTURES[one], assembler.load(bpf.NUMBER_OFFSET, tree)))
    label = assembler.answer(KILL_PROCESS.return_value)
    for audit_architecture, entry in reversed(entries):
        label = assembler.branch(bpf.JUMP_EQUAL, audit_architecture, entry, label)
    assembler.load(bpf.ARCHITECTURE_OFFSET, label)
    return assembler.to_bytes()


def _fixed(action: Action) -> _Decision:
    return (), action


def _decisions(profile: Profile, rules: Sequence[Rule], architecture: str) -> dict[int, _Decision]:
    """What happens to every known call of one architecture, by number; `rules` are those of the profile that apply."""
    numbers = syscall_table.numbers(architecture)
    multiplexed = syscall_table.multiplexed(architecture)
    fixed: dict[int, Action] = {}
    chains: dict[int, list[tuple[tuple[ArgumentTest, ...], Action]]] = {}
    for rule in rules:
        if rule.action == profile.default:
            continue
        for name in rule.names:
            if name in multiplexed and not rule.arguments:
                by, selector = multiplexed[name]
                chains.setdefault(numbers[by], []).append(((ArgumentTest(0, "EQ", selector),), rule.action))
            number = numbers.get(name)
            if number is None:
                continue
            if rule.arguments:
                chains.setdefault(number, []).append((rule.arguments, rule.action))
            else:
                fixed.setdefault(number, rule.action)
    named = (numbers[name] for rule in profile.rules for name in rule.names if name in numbers)
    newest = max((number for number in named if number < _PRIVATE_NUMBERS), default=0)
    oldest_new = max(newest + 1, syscall_table.FIRST_COMMON)
    new = range(0) if profile.default.permissive else range(oldest_new, _PRIVATE_NUMBERS)
    decisions: dict[int, _Decision] = {}
    for number in numbers.values():
        if number in fixed:
            decisions[number] = _fixed(fixed[number])
        else:
            decisions[number] = (tuple(chains.get(number, ())), ENOSYS if number in new else profile.default)
    return decisions


def _ranges(decisions: dict[int, _Decision], unknown: _Decision, architecture: str) -> list[tuple[int, _Decision]]:
    """The numbers from 0 on as ranges with one decision each, by the first number of each range."""
    starts: dict[int, _Decision] = {0: unknown}
    for number in sorted(decisions):
        starts[number] = decisions[number]
        starts[number + 1] = unknown  # unless the next turn says otherwise
    if architecture == "x86_64":
        starts[_X32_BIT] = _fixed(ENOSYS)
    ranges: list[tuple[int, _Decision]] = []
    for number in sorted(starts):
        if not ranges or ranges[-1][1] != starts[number]:
            ranges.append((number, starts[number]))
    return ranges


def _search(assembler: bpf.Assembler, ranges: Sequence[tuple[int, _Decision]], *, wide: bool) -> bpf.Label:
    """A binary search for the range that holds the loaded number, then its decision."""
    if len(ranges) > 1:
        middle = len(ranges) // 2
        upper = _search(assembler, ranges[middle:], wide=wide)
        lower = _search(assembler, ranges[:middle], wide=wide)
        return assembler.branch(bpf.JUMP_GREATER_EQUAL, ranges[middle][0], upper, lower)
    chain, rest = ranges[0][1]
    label = assembler.answer(rest.return_value)
    for tests, action in reversed(chain):
        otherwise, label = label, assembler.answer(action.return_value)
        for test in reversed(tests):
            label = assembler.test(test, label, otherwise, wide=wide)
    return label


def default_filter(capabilities: frozenset[str], cache_dir: Path | None) -> bytes:
    """The default profile compiled for this machine, from the cache if it is there; see `cached_filter`."""
    return cached_filter(default_profile(), capabilities, cache_dir)


def cached_filter(profile: Profile, capabilities: frozenset[str], cache_dir: Path | None) -> bytes:
    """A profile compiled for this machine; read from `cache_dir` in well under 1 ms, else compiled and written there.

    The directory is made when missing and must belong to its user alone (0700): what lies in it is loaded as it is. A file that is
    cut or damaged is compiled anew; one that cannot be written is no error, for the next call only takes longer.
    """
    architecture, kernel = machine_architecture(), kernel_version(os.uname().release)
    if cache_dir is None:
        return compile_profile(profile, capabilities, architecture, kernel)
    path = cache_dir / cache_key(profile, capabilities, architecture, kernel)
    with suppress(OSError):
        content = path.read_bytes()
        if content[:_DIGEST_SIZE] == sha256(content[_DIGEST_SIZE:]).digest():
            return content[_DIGEST_SIZE:]
    program = compile_profile(profile, capabilities, architecture, kernel)
    with suppress(OSError):
        _write(path, sha256(program).digest() + program)
    return program


def cache_key(profile: Profile, capabilities: frozenset[str], architecture: str, kernel: tuple[int, int]) -> str:
    """A file name for all that decides how a program comes out: profile, capabilities, architecture, kernel, compiler and tables."""
    text = "\n".join(
        (str(_COMPILER_VERSION), architecture, repr(kernel), " ".join(sorted(capabilities)), profile.canonical_text(), _tables_digest())
    )
    return f"{sha256(text.encode()).hexdigest()}.bpf"


@cache
def _tables_digest() -> str:
    return sha256(syscall_table.source_text().encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".filter-{os.urandom(8).hex()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
