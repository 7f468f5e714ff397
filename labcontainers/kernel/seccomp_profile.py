"""Seccomp profiles as values, and their reading from Docker's JSON form.

It must not know how a filter is compiled, loaded or cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from labcontainers.errors import InvalidArgument, Unsupported

Operator = Literal["EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ"]
ActionName = Literal["ALLOW", "LOG", "TRACE", "NOTIFY", "ERRNO", "TRAP", "KILL_THREAD", "KILL_PROCESS"]

# What seccomp(2) takes as the return value of a filter: SECCOMP_RET_* of <linux/seccomp.h>.
_RETURN_VALUES: Final[dict[ActionName, int]] = {
    "ALLOW": 0x7FFF0000,
    "LOG": 0x7FFC0000,
    "TRACE": 0x7FF00000,
    "NOTIFY": 0x7FC00000,
    "ERRNO": 0x00050000,
    "TRAP": 0x00030000,
    "KILL_THREAD": 0x00000000,
    "KILL_PROCESS": 0x80000000,
}
_ACTION_NAMES: Final[dict[str, ActionName]] = {
    **{name: name for name in get_args(ActionName)},
    "KILL": "KILL_THREAD",  # libseccomp's old name
}
_REFUSED_ACTIONS: Final = {"TRACE": "a tracer", "NOTIFY": "an agent that answers for the kernel"}
_FLAGS: Final = {"TSYNC": 1, "LOG": 2, "SPEC_ALLOW": 4, "WAIT_KILLABLE_RECV": 32}
_GREATEST_ERRNO: Final = 4095

# Docker and libseccomp say these names for the architectures whose tables we have.
_ARCHITECTURES: Final = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "i386", "SCMP_ARCH_AARCH64": "aarch64", "SCMP_ARCH_ARM": "arm"}
_CONDITION_NAMES: Final = {"x86_64": "amd64", "i386": "x86", "aarch64": "arm64", "arm": "arm"}
# What there is, in the words of the OCI runtime specification without their prefixes; architectures with it.
ACTIONS: Final = tuple(sorted(_ACTION_NAMES))
OPERATORS: Final = tuple(sorted(get_args(Operator)))
FLAGS: Final = tuple(_FLAGS)
ARCHITECTURES: Final = tuple(sorted(_ARCHITECTURES))
SUB_ARCHITECTURES: Final[Mapping[str, tuple[str, ...]]] = {"x86_64": ("i386",), "aarch64": ("arm",)}


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to a system call; `errno` counts for ERRNO, and for TRACE, whose tracer gets it."""

    name: ActionName
    errno: int = 0

    @property
    def return_value(self) -> int:
        """The filter's return value, 32 bits."""
        return _RETURN_VALUES[self.name] | (self.errno if self.name in ("ERRNO", "TRACE") else 0)

    @property
    def permissive(self) -> bool:
        """Whether the call is made."""
        return self.name in ("ALLOW", "LOG")


ALLOW: Final = Action("ALLOW")
EPERM: Final = Action("ERRNO", 1)
ENOSYS: Final = Action("ERRNO", 38)
KILL_PROCESS: Final = Action("KILL_PROCESS")


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """A test of one argument (0 to 5) as an unsigned number; MASKED_EQ: `argument & value == value_two & value`."""

    index: int
    operator: Operator
    value: int
    value_two: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """Properties of a container and its host; a part that is empty says nothing. Capabilities are plain names (SYS_ADMIN)."""

    capabilities: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    minimal_kernel: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One action for several calls: where all `arguments` tests hold, if the container meets `includes` and not `excludes`."""

    names: tuple[str, ...]
    action: Action
    arguments: tuple[ArgumentTest, ...] = ()
    includes: Condition = field(default_factory=Condition)
    excludes: Condition = field(default_factory=Condition)

    def applies(self, capabilities: frozenset[str], architecture: str, kernel: tuple[int, int]) -> bool:
        """Whether the rule counts for a container with these capabilities on a machine of this architecture and kernel."""
        machine = _CONDITION_NAMES.get(architecture, architecture)
        want, refuse = self.includes, self.excludes
        return not (
            machine in refuse.architectures
            or capabilities & refuse.capabilities
            or (refuse.minimal_kernel is not None and kernel >= refuse.minimal_kernel)
            or (want.architectures and machine not in want.architectures)
            or want.capabilities - capabilities
            or (want.minimal_kernel is not None and kernel < want.minimal_kernel)
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A default action, rules, and the sub-architectures whose programs may run beside those of the machine's own.

    A rule without argument tests beats the ones with tests for the same call, and of several alike the first counts, as
    libseccomp has it. `flags` are SECCOMP_FILTER_FLAG names (LOG, SPEC_ALLOW, TSYNC).
    """

    default: Action
    rules: tuple[Rule, ...]
    sub_architectures: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: SUB_ARCHITECTURES)
    flags: tuple[str, ...] = ()

    def architectures(self, native: str) -> tuple[str, ...]:
        """The machine's architecture, then those that it lets run besides."""
        return (native, *self.sub_architectures.get(native, ()))

    @property
    def load_flags(self) -> int:
        """`flags` as seccomp(2) takes them: SECCOMP_FILTER_FLAG_* of <linux/seccomp.h>."""
        return sum(_FLAGS[name] for name in set(self.flags))

    def canonical_text(self) -> str:
        """The same text for equal profiles, to be hashed."""
        parts = [repr(self.default), repr(sorted(self.sub_architectures.items())), repr(self.flags)]
        for rule in self.rules:
            conditions = [
                (sorted(one.capabilities), sorted(one.architectures), one.minimal_kernel) for one in (rule.includes, rule.excludes)
            ]
            parts.append(repr((rule.names, rule.action.return_value, rule.arguments, conditions)))
        return "\n".join(parts)


def parse_profile(document: Mapping[str, Any], *, agents: bool = False) -> Profile:
    """A profile from the object that Docker's JSON form holds; raises InvalidArgument, and Unsupported.

    TRACE and NOTIFY are taken with `agents` alone, where a tracer or an agent may answer.

    Source: docs.docker.com "Seccomp security profiles"; OCI runtime specification, config-linux.md "Seccomp".
    """
    if document.get("architectures") and document.get("archMap"):
        raise InvalidArgument("seccomp profile has both 'architectures' and 'archMap'", "keep one of them")
    default = _action(document.get("defaultAction"), document.get("defaultErrnoRet"), "defaultAction", agents)
    rules: list[Rule] = []
    for index, entry in enumerate(_objects(document.get("syscalls"), "syscalls")):
        rules.extend(_rules(entry, f"syscalls[{index}]", agents))
    return Profile(
        default, tuple(rules), _sub_architectures(document), tuple(_flag(name, agents) for name in _texts(document, "flags", ""))
    )


def _rules(entry: Mapping[str, Any], where: str, agents: bool) -> list[Rule]:
    names = _texts(entry, "names", f"{where}.") or ([entry["name"]] if entry.get("name") else [])
    if not names or (entry.get("name") and entry.get("names")) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f"seccomp profile: {where} needs either 'names' or 'name'", "list the system calls under 'names'")
    action = _action(entry.get("action"), entry.get("errnoRet"), f"{where}.action", agents)
    includes, excludes = (_condition(entry.get(key), f"{where}.{key}") for key in ("includes", "excludes"))
    tests = [_test(one, f"{where}.args[{index}]") for index, one in enumerate(_objects(entry.get("args"), f"{where}.args"))]
    # Several tests of one argument mean "or" to Docker, whose runtimes make a rule of each; tests of different arguments mean "and".
    repeated = len({test.index for test in tests}) < len(tests)
    groups = [(test,) for test in tests] if repeated else [tuple(tests)]
    return [Rule(tuple(names), action, group, includes, excludes) for group in groups]


def _objects(value: object, where: str) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise InvalidArgument(f"seccomp profile: {where} must be a list of objects")
    return value


def _texts(entry: Mapping[str, Any], key: str, within: str) -> list[str]:
    value = entry.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidArgument(f"seccomp profile: {within}{key} must be a list of texts")
    return value


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _action(name: object, errno: object, where: str, agents: bool) -> Action:
    plain = name.removeprefix("SCMP_ACT_") if isinstance(name, str) else ""
    if plain in _REFUSED_ACTIONS and not agents:
        raise Unsupported(f"seccomp profile: {where} {name} needs {_REFUSED_ACTIONS[plain]}", "use SCMP_ACT_ERRNO or SCMP_ACT_LOG")
    if plain not in _ACTION_NAMES:
        raise InvalidArgument(f"seccomp profile: {where} is {name!r}", "use SCMP_ACT_ALLOW, _ERRNO, _LOG, _TRAP or _KILL_PROCESS")
    if agents and errno is not None and plain not in ("ERRNO", "TRACE"):
        raise InvalidArgument(f"seccomp profile: {where} {name} has the errno {errno!r}", "only SCMP_ACT_ERRNO and _TRACE have one")
    number = 1 if errno is None else errno
    if not isinstance(number, int) or not _number(number) or not 0 <= number <= _GREATEST_ERRNO:
        raise InvalidArgument(f"seccomp profile: {where} has the errno {errno!r}", f"use a number from 0 to {_GREATEST_ERRNO}")
    return Action(_ACTION_NAMES[plain], number if plain in ("ERRNO", "TRACE") else 0)


def _test(entry: Mapping[str, Any], where: str) -> ArgumentTest:
    operator = str(entry.get("op", "")).removeprefix("SCMP_CMP_")
    if operator not in get_args(Operator):
        raise InvalidArgument(f"seccomp profile: {where} has the operator {entry.get('op')!r}", "use SCMP_CMP_EQ, _NE, _LT, _LE, _GE, _GT")
    index, value, value_two = entry.get("index", 0), entry.get("value", 0), entry.get("valueTwo", 0)
    if (
        not all(map(_number, (index, value, value_two)))
        or index not in range(6)
        or not (0 <= min(value, value_two) <= max(value, value_two) < 1 << 64)
    ):
        raise InvalidArgument(f"seccomp profile: {where} is out of range", "the index is 0 to 5 and values are unsigned, 64 bits")
    return ArgumentTest(index, cast("Operator", operator), value, value_two)


def _condition(entry: object, where: str) -> Condition:
    if not entry:
        return Condition()
    if not isinstance(entry, Mapping):
        raise InvalidArgument(f"seccomp profile: {where} must be an object", "with caps, arches and minKernel")
    version = entry.get("minKernel")
    try:
        kernel = kernel_version(str(version)) if version else None
    except ValueError:
        raise InvalidArgument(f"seccomp profile: {where}.minKernel is {version!r}", "write it as 4.8") from None
    capabilities = frozenset(str(name).upper().removeprefix("CAP_") for name in _texts(entry, "caps", f"{where}."))
    return Condition(capabilities, frozenset(_texts(entry, "arches", f"{where}.")), kernel)


def _sub_architectures(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    # x32 is left out wherever it is named: its numbers are refused, as by the kernels of most distributions.
    found: dict[str, tuple[str, ...]] = {}
    for entry in _objects(document.get("archMap"), "archMap"):
        if native := _ARCHITECTURES.get(str(entry.get("architecture"))):
            found[native] = tuple(_ARCHITECTURES[name] for name in _texts(entry, "subArchitectures", "archMap.") if name in _ARCHITECTURES)
    named = {_ARCHITECTURES[name] for name in _texts(document, "architectures", "") if name in _ARCHITECTURES}
    for native, possible in SUB_ARCHITECTURES.items():
        if chosen := tuple(name for name in possible if name in named):
            found[native] = chosen
    return {native: chosen for native, chosen in found.items() if chosen}


def _flag(name: object, agents: bool) -> str:
    plain = str(name).removeprefix("SECCOMP_FILTER_FLAG_")
    if plain not in _FLAGS or (plain == "WAIT_KILLABLE_RECV" and not agents):
        raise Unsupported(f"seccomp profile: flag {name!r} is not supported", "use LOG or SPEC_ALLOW")
    return plain


def kernel_version(text: str) -> tuple[int, int]:
    """(6, 1) from "6.1.0-28-amd64"; raises ValueError."""
    major, minor = text.split(".")[:2]
    digits = minor[: len(minor) - len(minor.lstrip("0123456789"))]
    return int(major), int(digits)
