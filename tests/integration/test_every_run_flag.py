"""Every flag of `docker run`, as a user writes it: the line is executed, and what it did is looked for, mostly in the kernel.

The rows are tests/data/run_flags.py, from which docs/compatibility.md is written.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.kernel import cgroups
from tests.conftest import ABILITIES
from tests.data.run_flag import DISK, Group, Row, Seen
from tests.data.run_flags import MISSING, ROWS

USES_REFUSED = [use for row in ROWS for use in row.but] + [missing.use for missing in MISSING]


def disk() -> str:
    """A block device of this machine; nothing where there is none."""
    names = sorted(os.listdir("/sys/block"))
    return next((f"/dev/{name}" for name in names if os.path.exists(f"/dev/{name}")), "")


@pytest.fixture
def folder(place: Path) -> Path:
    """The folder that the commands are given in."""
    made = place / "work"
    (made / "data").mkdir(parents=True)
    (made / "data" / "question").write_text("there\n")
    (made / "variables").write_text("B=2\n")
    (made / "labels").write_text("c=d\n")
    return made


@contextlib.contextmanager
def standard_input(row: Row) -> Iterator[int | None]:
    """What a row says is fed or typed, as a pipe or a pseudo-terminal; an empty pipe, which nobody types into, otherwise."""
    if row.typed is None:
        end, source = os.pipe()
        os.write(source, (row.pipe or "").encode())
        os.close(source)
        ends = [end]
    else:
        keyboard, end = pty.openpty()
        os.write(keyboard, row.typed.encode())
        ends = [end, keyboard]
    try:
        yield end
    finally:
        for fd in ends:
            os.close(fd)


def commands(line: str) -> list[list[str]]:
    """The words of each command of a line."""
    return [list(words) for joint, words in itertools.groupby(shlex.split(line), lambda word: word == "&&") if not joint]


def carry_out(engine: Engine, row: Row, folder: Path) -> Seen:
    """Execute a row's line as the command line does."""
    output = ""

    def take(stream: int, data: bytes) -> None:
        nonlocal output
        output += data.decode()
        if row.interrupt and row.interrupt in output:
            os.kill(os.getpid(), signal.SIGINT)

    value: Any = None
    for words in commands(row.line.replace(DISK, disk())):
        output = ""
        with standard_input(row) as stdin, contextlib.suppress(*([KeyboardInterrupt] if row.interrupt else [])):
            value = execute(lambda: engine, understand(words), on_output=take, folder=folder, stdin=stdin)
            output += str(value) if isinstance(value, str) else ""
    return Seen(engine, output, value, folder, disk())


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.needs(*row.needs) if row.needs else (), id=row.flags[-1].lstrip("-")) for row in ROWS]
)
def test_flag_works(engine: Engine, folder: Path, row: Row) -> None:
    if DISK in row.line and not disk():
        with pytest.raises(InvalidArgument, match="device"):
            execute(lambda: engine, understand(shlex.split(row.line)), folder=folder)
        return
    if row.refused is not None and ABILITIES[row.refused[0]][0]():
        with pytest.raises(LabError, match=row.refused[1]):
            carry_out(engine, row, folder)
        return
    if row.fails:
        with pytest.raises(LabError, match=row.fails):
            carry_out(engine, row, folder)
        assert engine.containers.list(all=True) == []
        return
    seen = carry_out(engine, row, folder)
    if row.shows:
        assert re.search(row.shows, seen.output, re.DOTALL), seen.output
    if row.tells is not None:
        assert field(seen.container.inspect(), row.tells[0]) == row.tells[1]
    if row.group is not None:
        assert re.search(*in_the_group(seen, row.group)), in_the_group(seen, row.group)
    if row.proof is not None:
        row.proof(seen)


def field(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[int(part) if isinstance(document, list) else part]
    return document


def in_the_group(seen: Seen, group: Group) -> tuple[str, str]:
    """What is to be in the file of the container's control group, and what is in it."""
    found = cgroups.detect().find(seen.container.id)
    assert found is not None
    if group.controller in found.v1:
        return group.v1_value, Path(found.v1[group.controller], group.v1).read_text().strip()
    assert found.unified is not None
    return group.v2_value, Path(found.unified, group.v2).read_text().strip()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.flags[-1].lstrip("-"))
def test_each_row_shows_something_and_uses_its_flag(row: Row) -> None:
    assert row.fails or row.shows or row.tells or row.group or row.proof
    used = [word.partition("=")[0] for words in commands(row.line) for word in words]
    assert any(flag in used or ("-it" in used and flag in ("-i", "-t")) for flag in row.flags)


@pytest.mark.parametrize("use", USES_REFUSED)
@pytest.mark.parametrize("command", ["run", "create"])
def test_what_is_refused_is_refused_before_anything_is_made(engine: Engine, folder: Path, command: str, use: str) -> None:
    with pytest.raises(Unsupported) as caught:
        execute(lambda: engine, understand([command, *use.split(), "lab/base", "true"]), folder=folder)
    assert caught.value.exit_code == 125
    assert caught.value.hint
    assert engine.containers.list(all=True) == []
