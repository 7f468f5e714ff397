"""Every instruction of a Dockerfile and every flag of `build`, as a user writes them: each row is built, and what it did is looked for.

The rows are tests/data/dockerfile_rows.py, from which docs/dockerfile.md is written.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import LabError, StepFailed, Unsupported
from tests.conftest import ABILITIES, TESTS
from tests.data import docker_flags
from tests.data.dockerfile_row import CONTEXT, EXECUTABLE, Elsewhere, Refused, Row
from tests.data.dockerfile_rows import DIRECTIVES, FLAGS, INSTRUCTIONS
from tests.integration.test_every_run_flag import field

ALL = (*DIRECTIVES, *INSTRUCTIONS, *FLAGS)
ROWS = [pytest.param(row, id=row.what, marks=pytest.mark.needs(*row.needs)) for row in ALL if isinstance(row, Row)]


@pytest.fixture
def folder(place: Path) -> Path:
    made = place / "context"
    for name, text in CONTEXT.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name in EXECUTABLE else 0o644)
    return made


def carry_out(engine: Engine, row: Row | Refused, folder: Path) -> Any:
    words = ["build", *shlex.split(row.flags), "."]
    network = [] if "--network" in row.flags else ["--network", "none"]
    (folder / "Dockerfile").write_text(row.text)
    return execute(lambda: engine, understand([words[0], *network, *words[1:]]), folder=folder)


@pytest.mark.parametrize("row", ROWS)
def test_row_works(engine: Engine, folder: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    if row.unless and ABILITIES[row.unless][0]():
        with pytest.raises((Unsupported, StepFailed), match=r"user (has no such|id)"):
            carry_out(engine, row, folder)
        return
    for name, value in row.environment.items():
        monkeypatch.setenv(name, value)
    if row.fails:
        with pytest.raises(LabError, match=row.fails):
            carry_out(engine, row, folder)
        return
    value = carry_out(engine, row, folder)
    if row.shown:
        assert re.search(row.shown, repr(value))
    if row.file is not None:
        assert re.search(row.file[1], (folder / row.file[0]).read_text())
    if not isinstance(value, Build):
        return
    if row.said:
        written = [step.output for step in value.steps if step.text.startswith("RUN")]
        assert re.search(row.said, written[-1]), written
    if row.tells is not None:
        assert field(value.image.inspect(), row.tells[0]) == row.tells[1]
    if row.prints:
        command = shlex.split(row.runs) or None
        result = engine.containers.run(value.image, command, network="none", remove=True)
        assert re.search(row.prints, result.stdout), result


@pytest.mark.parametrize("row", [pytest.param(row, id=row.what) for row in ALL if isinstance(row, Refused)])
def test_what_is_refused_says_so_and_makes_nothing(engine: Engine, folder: Path, row: Refused) -> None:
    before = engine.images.list(all=True)
    with pytest.raises(Unsupported) as caught:
        carry_out(engine, row, folder)
    assert caught.value.hint
    assert engine.images.list(all=True) == before


@pytest.mark.parametrize("row", [row for row in ALL if isinstance(row, Elsewhere)], ids=lambda row: row.what)
def test_those_that_need_more_around_them_are_tested_there(row: Elsewhere) -> None:
    assert (TESTS / "integration" / row.test).is_file()


def test_each_row_shows_something() -> None:
    for row in ALL:
        assert not isinstance(row, Row) or row.said or row.prints or row.tells or row.fails or row.shown or row.file, row.what


def test_every_flag_of_docker_build_has_a_row_or_is_refused() -> None:
    told = {name for row in FLAGS for name in re.findall("`(-[^`]*)`", row.what)}
    missing = []
    for flag in docker_flags.FLAGS["image build"]:
        try:
            understand(["build", flag] if flag.startswith("--no") else ["build", flag, "value"])
        except Unsupported:
            continue
        except LabError:
            pass
        if flag not in told:
            missing.append(flag)
    assert missing == []
