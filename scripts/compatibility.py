"""Writes docs/compatibility.md: every flag of `docker run` with the command line that shows it, from the rows that the tests execute.

It must not know any flag itself: what works is in tests/data/run_flags.py, why something does not is what the user is told.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from labcontainers import Engine
from labcontainers.commands import later
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.create_flags import keywords_of
from labcontainers.commands.table import COMMANDS, execute, find, understand
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.errors import Unsupported
from tests.data import docker_flags
from tests.data.run_flag import Missing, Row
from tests.data.run_flags import MISSING, ROWS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"
INTRODUCTION = f"""# What works of Docker's command line

Every flag of `docker run`, as Docker {docker_flags.VERSION} prints them and those that it accepts without telling,
then the commands, then what is refused of other commands. What is refused is refused by name, before anything is made; where a flag
works and is not quite Docker's, [differences.md](differences.md) says how. What a Dockerfile may say, and the flags of `build`, are told in
[dockerfile.md](dockerfile.md).

This page is written by `make docs` from the rows that `tests/integration/test_every_run_flag.py` executes: each command line stands here
as it is given to the table of commands, as root, as an ordinary user with subordinate ids, and with a single id. What it did is looked for
in the kernel where there is something to see: in `/proc`, `/sys`, the mounts and the control groups, from inside or outside. `/dev/DISK`
stands for a block device of the machine. The reasons are what the user is told.
"""
RUN = """
## Flags of `run` and `create`

`create` takes the same ones, save `-d`, `--detach-keys` and `--sig-proxy`.

| flag | works | shown by, or why not and what to do instead | looked at |
|---|---|---|---|
"""
VERBS = """
## Commands

| command | works | why not |
|---|---|---|
"""
OTHERS = """
## Flags of other commands that are refused

All others of Docker's are there.

| command | flags | why not |
|---|---|---|
"""
OURS = """
## What Docker has not

| command | flags | what they do |
|---|---|---|
"""
# where Docker's name of a command is not ours
_NAMES = {
    "ps": "container ls",
    "prune": "container prune",
    "builder du": "buildx du",
    "builder prune": "buildx prune",
    "images": "image ls",
    "rmi": "image rm",
    "tag": "image tag",
    "build": "image build",
}


_NAMED = re.compile(r"(\S+: )?(\S+ )?\S+ is not supported yet: |\A--\S+: ")


class _Reached(Exception):
    """A command came as far as using the engine: it works."""


def _no_engine() -> Engine:
    raise _Reached


def refusal(words: Sequence[str]) -> Unsupported | None:
    """What a command line is refused with by the table of commands, the parser or a command's checks, without any engine."""
    try:
        said = understand(words)
        if said.command.name in ("run", "create"):
            call = Invocation(_no_engine, said.arguments, lambda stream, data: None, lambda event: None, Path("/"))
            ContainerOptions.from_keywords(**keywords_of(call))
        else:
            execute(_no_engine, said)
    except Unsupported as refused:
        return refused
    except _Reached:
        pass
    return None


def refusal_of_command(name: str) -> Unsupported | None:
    """What a command of Docker's is refused with."""
    try:
        find(name.split())
    except Unsupported as refused:
        return refused
    return None


def told(refused: Unsupported | None) -> str:
    """Why, and what to do instead; without the name that stands beside it in the table."""
    if refused is None:
        return ""
    why = _NAMED.sub("", refused.message)
    return f"{why}; {refused.hint}" if refused.hint else why


def reason_of_use(use: str) -> str:
    """Why a use of a flag of `run` is refused."""
    return told(refusal(["run", *use.split(), "lab/base", "true"])).removeprefix(f"{use}: ")


def code(*texts: str) -> str:
    """Each as code in a cell of a table."""
    return ", ".join(f"`{text}`".replace("|", r"\|") for text in texts)


def looked_at(row: Row) -> str:
    """What shows that a flag worked, and who may not use it."""
    found = []
    if row.shows:
        found.append("its output")
    if row.tells is not None:
        found.append(f"{code(row.tells[0])} of `inspect`")
    if row.group is not None:
        files = dict.fromkeys(name for name in (row.group.v1, row.group.v2) if name)
        found.append(f"{' or '.join(map(code, files))} of its control group" + ("" if row.group.v2 else ", version 1 alone"))
    if row.proof is not None:
        found.append((row.proof.__doc__ or "").strip())
    if row.fails:
        found.append("its error, and that no container was made")
    if row.refused is not None:
        found.append(f"refused: {row.refused[0]}")
    return "; ".join(found)


def run_rows() -> Iterator[str]:
    """A line for each flag, in Docker's order."""
    by_flag: dict[str, Row | Missing] = {flag: row for row in (*ROWS, *MISSING) for flag in row.flags}
    rows: list[Row | Missing] = []
    for names in (*docker_flags.RUN, *docker_flags.RUN_HIDDEN):
        row = by_flag[names[-1]]
        if not any(row is other for other in rows):
            rows.append(row)
    for row in rows:
        if isinstance(row, Missing):
            yield f"| {code(*row.flags)} | – | {reason_of_use(row.use)} | |"
            continue
        save = "".join(f"<br>save {code(use)}: {reason_of_use(use)}" for use in row.but)
        yield f"| {code(*row.flags)} | ✓ | {code(row.line)}{save} | {looked_at(row)} |"


def dockers_commands() -> list[str]:
    """Docker's commands; those in a group by both names, where there are two."""
    groups = [f"{group} {name}" for group, names in docker_flags.GROUPS.items() for name in names]
    return [*groups, *(name for name in docker_flags.COMMANDS if name not in docker_flags.GROUPS)]


def verb_rows() -> Iterator[str]:
    """A line for each command of Docker's; a command by itself stands beside the same one of a group."""
    alone = [name for name in docker_flags.COMMANDS if name not in docker_flags.GROUPS]
    shown: set[str] = set()
    refused: dict[str, list[str]] = {}
    for name in dockers_commands():
        if name in shown:
            continue
        names = [name, *(other for other in alone if other != name and _same(name, other))]
        shown.update(names)
        reason = told(refusal_of_command(name))
        if reason:
            refused.setdefault(reason, []).extend(names)
        else:
            yield f"| {code(*names)} | ✓ | |"
    for reason, names in refused.items():
        yield f"| {code(*names)} | – | {reason} |"


def _same(grouped: str, alone: str) -> bool:
    """Whether both names are one command."""
    try:
        return find(grouped.split())[0] is find([alone])[0]
    except Unsupported:
        return grouped.rpartition(" ")[2] == alone and grouped.startswith("image ")


def other_rows() -> Iterator[str]:
    """A line for each reason why flags of a command are refused."""
    for name, flags in later.FLAGS.items():
        if name in ("run", "create"):
            continue
        for why in dict.fromkeys(flags.values()):
            yield f"| {code(name)} | {code(*(flag for flag, reason in flags.items() if reason == why))} | {why} |"


def flags_of_docker(command: Command) -> set[str] | None:
    """The names of the flags that Docker has for the command; None where it has no such command."""
    if command.name in ("run", "create"):
        only_run = docker_flags.ONLY_RUN if command.name == "create" else frozenset()
        return {name for names in (*docker_flags.RUN, *docker_flags.RUN_HIDDEN) for name in names} - only_run
    names = (_NAMES.get(command.name, command.name), f"container {command.name}")
    found = next((docker_flags.FLAGS[name] for name in names if name in docker_flags.FLAGS), None)
    return None if found is None else {*found, *docker_flags.HIDDEN.get(command.name, ())}


def own_rows() -> Iterator[str]:
    """A line for each command or flag of ours that Docker has not."""
    for command in COMMANDS.values():
        of_docker = flags_of_docker(command)
        if of_docker is None:
            if not any(command.name in (name, *name.split()[:1]) for name in (*dockers_commands(), *docker_flags.COMMANDS_HIDDEN)):
                yield f"| {code(command.name)} | | {command.help} |"
            continue
        for flag in command.flags:
            if not of_docker.intersection(flag.names):
                yield f"| {code(command.name)} | {code(*flag.names)} | {flag.help} |"


def page() -> str:
    """The whole page."""
    tables = ((RUN, run_rows()), (VERBS, verb_rows()), (OTHERS, other_rows()), (OURS, own_rows()))
    return INTRODUCTION + "".join(head + "".join(f"{line}\n" for line in lines) for head, lines in tables)


def main() -> int:
    """Write it."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
