"""docs/compatibility.md has every flag and command of Docker's, and says what the rows that are executed say."""

from __future__ import annotations

import contextlib

import pytest

from labcontainers.commands import later
from labcontainers.commands.command import Command
from labcontainers.commands.table import COMMANDS, find
from labcontainers.errors import Unsupported
from scripts import compatibility, dockerfile_page
from tests.data import docker_flags
from tests.data.run_flag import Missing, Row
from tests.data.run_flags import MISSING, ROWS

DOCKERS = [name for names in (*docker_flags.RUN, *docker_flags.RUN_HIDDEN) for name in names]
SHOWN = [name for row in (*ROWS, *MISSING) for name in row.flags]


def flags_of(command: Command) -> set[str]:
    return {"--help", *(name for flag in command.flags for name in flag.names)}


def test_the_page_is_what_the_rows_say() -> None:
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(), "`make docs` writes docs/compatibility.md anew"


def test_the_page_on_dockerfiles_is_what_its_rows_say() -> None:
    assert dockerfile_page.PAGE.read_text(encoding="utf-8") == dockerfile_page.page(), "`make docs` writes docs/dockerfile.md anew"


def test_each_flag_of_dockers_run_has_one_row_and_nothing_else_has() -> None:
    assert sorted(SHOWN) == sorted(DOCKERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.flags[-1])
def test_a_row_that_works_is_of_a_flag_that_is_there(row: Row) -> None:
    assert set(row.flags) <= flags_of(COMMANDS["run"])
    only_run = set(row.flags) <= docker_flags.ONLY_RUN
    assert only_run or set(row.flags) <= flags_of(COMMANDS["create"])
    assert all(compatibility.reason_of_use(use) for use in row.but)


@pytest.mark.parametrize("missing", MISSING, ids=lambda missing: missing.flags[-1])
def test_a_row_that_does_not_work_says_why(missing: Missing) -> None:
    assert missing.use.split()[0] in missing.flags
    assert set(missing.flags) <= later.FLAGS["run"].keys()
    for flag in missing.flags:
        assert compatibility.reason_of_use(" ".join([flag, *missing.use.split()[1:]])) == compatibility.reason_of_use(missing.use) != ""


@pytest.mark.parametrize("name", docker_flags.FLAGS)
def test_each_flag_of_dockers_other_commands_is_there_or_refused_by_name(name: str) -> None:
    command, _ = find(name.split())
    assert set(docker_flags.FLAGS[name]) <= flags_of(command) | later.FLAGS.get(command.name, {}).keys()


@pytest.mark.parametrize("name", compatibility.dockers_commands())
def test_each_command_of_docker_is_there_or_refused_by_name(name: str) -> None:
    with contextlib.suppress(Unsupported):
        find(name.split())
    assert f"`{name}`" in compatibility.page()


def test_what_docker_has_not_is_told() -> None:
    told = compatibility.page().partition(compatibility.OURS)[2]
    for command, flag in (("run", "--dry-run"), ("run", "--no-raise"), ("exec", "--no-raise"), ("logs", "--stdout")):
        assert f"| `{command}` | `{flag}` |" in told
    assert "| `explain` | |" in told
    assert "--cap-add" not in told
