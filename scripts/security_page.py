"""Writes docs/security.md: who is protected from whom, the known attacks with their tests, and the defaults with their reasons.

It must not know any attack or default itself: the attacks are in tests/data/attacks.py, the defaults in labcontainers/kernel/defaults.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labcontainers.kernel import defaults
from labcontainers.kernel.levels import LEVELS
from scripts.compatibility import code
from tests.data.attacks import ATTACKS, Attack

PAGE = Path(__file__).resolve().parent.parent / "docs" / "security.md"
INTRODUCTION = """# Security

What a container is kept from, by what, and how that is shown. This page is written by `make docs` from the attacks in
`tests/data/attacks.py`, each of which the tests try, and from the defaults in `labcontainers/kernel/defaults.py`, which the engine uses.
What one container really has, read back from the kernel, is told by `%container inspect --security NAME`; what a machine lacks, and how to
mend it, by `%container doctor`.

## Who attacks whom

| who | has | and must not get |
|---|---|---|
| the author of an image | every byte of its layers and its config | anything on the machine, when it is pulled, unpacked, copied or run |
| a registry, or who sits between | every answer | credentials of other hosts, other content under a digest, memory or disk |
| a program in a container | root there, and all time | files, processes, keys, devices, terminals and networks of others |
| the author of a Dockerfile | every line and the context | files outside the context, more rights than the user gave, others' caches |
| another user of the machine | an account | files of the store, an answer of a shim, a set-user-id program in a layer |
| another notebook of the same user | the same store | a state that contradicts itself; it may use and remove all containers |

Protected are the machine's files outside of what was mounted, its processes, its kernel's parameters, the user's credentials, terminal and
keys, and the store's content under its digests.

## What is not protected

- **Bugs of the kernel.** All containers of a machine share its kernel. The filter of system calls makes less of it reachable; a virtual
  machine is the answer for programs that are meant to attack it.
- **The same user.** Whoever runs the notebook can read the store, and stop or enter every container. A notebook that is not trusted
  needs an account of its own.
- **What the user gives.** `--privileged`, `--cap-add`, `--device`, `--security-opt seccomp=unconfined`, `--network host`, `--pid host` and
  mounts of host folders do what they say. As root, `--cap-add SYS_ADMIN`, `SYS_PTRACE` or `SYS_MODULE` is the machine.
- **Side channels.** Time, caches of the processor, load and the room on the disk can be watched by neighbours.
- **Use of resources** that was not limited: memory, processes and disk are the machine's, unless `-m`, `--pids-limit` or others say less.
- **The network.** A container on a bridge reaches what the machine reaches. `--network none` and internal networks are the way to less.
- **What an image does with the data it is given.** A digest tells that content is what was meant, not that it is good.

"""
REPORTING = """
## How to tell of a weakness

Please tell it in private first: to the maintainers of the project, by the address in the package's metadata or the repository's page for
security reports. Say what an attacker has, what he gets, the version (`%container version`), the level (`%container doctor`) and, best, the
steps. A test in the manner of `tests/security` is the most welcome form. You get an answer, and the mend comes with a test that tries it.
"""


def _attack(attack: Attack) -> str:
    tests = "<br>".join(code(test.rpartition("/")[2]) for test in attack.tests)
    holds = attack.holds if attack.applies else f"does not apply: {attack.holds}"
    return f"| {attack.name} | {attack.what} | {holds} | {tests} |"


def _attacks() -> Iterator[str]:
    count = sum(map(len, ATTACKS.values()))
    yield f"## Known attacks\n\n{count} rows; each test runs as root and as an ordinary user where that makes a difference.\n"
    for title, attacks in ATTACKS.items():
        yield f"### {title}\n\n| attack | what it does | what holds against it | tried by |\n|---|---|---|---|"
        yield from map(_attack, attacks)
        yield ""


def _table(title: str, head: str, rows: dict[str, str]) -> Iterator[str]:
    yield f"### {title}\n\n| {head} | why |\n|---|---|"
    for name, reason in rows.items():
        yield f"| {code(name)} | {reason} |"
    yield ""


def _defaults() -> Iterator[str]:
    yield "## Defaults\n\nWhat a container has, and what it has not, unless its user says otherwise.\n"
    yield from _table("Namespaces of its own", "namespace", defaults.NAMESPACES)
    yield from _table("Capabilities", "capability", defaults.CAPABILITIES)
    yield "The inheritable and the ambient set are empty, and a user other than root has none.\n"
    yield from _table("Capabilities that Docker gives besides", "capability", defaults.CAPABILITIES_WITHHELD)
    yield from _table("System calls that are refused", "call", defaults.CALLS_WITHHELD)
    yield "Calls that the profile does not know do not exist (ENOSYS), so that programs fall back to older ones.\n"
    yield from _table("Sockets that are refused", "family", defaults.SOCKETS_WITHHELD)
    yield from _table("Hidden paths", "path", defaults.MASKED)
    yield from _table("Paths that can be read alone", "path", defaults.READ_ONLY)
    yield from _table("Devices", "below /dev", {name: reason for name, (_, _, reason) in defaults.DEVICES.items()})
    mounts = {f"{place} ({kind}{', read-only' if only else ''})": reason for place, (kind, only, reason) in defaults.MOUNTS.items()}
    yield from _table("File systems", "place", mounts)


def _levels() -> Iterator[str]:
    yield "## Levels\n\nWhat a machine lets a user do decides what holds his containers. `doctor` finds the level by trying, never"
    yield "by reading a setting alone; `info`, `inspect --security` and the card of a container tell it.\n"
    yield "| level | what it is | protects | does not protect, or lacks |\n|---|---|---|---|"
    for level in LEVELS.values():
        yield f"| {level.name} | {level.means} | {level.protects} | {level.lacks} |"


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "\n".join([*_attacks(), *_levels(), "", *_defaults()]).rstrip("\n") + "\n" + REPORTING


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
