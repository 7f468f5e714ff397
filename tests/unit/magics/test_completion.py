"""What may come next, as IPython's completer is told it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from labcontainers import session
from labcontainers.commands.table import COMMANDS
from tests.fakes.engine import FakeEngine
from tests.unit.magics.conftest import Notebook

IMAGES = {"lab/base", "lab/python", "me/app:1", "redis"}
CONTAINERS = {"web-1", "web-2", "db"}
RUN_FLAGS = {name for flag in COMMANDS["run"].flags for name in flag.names} | {"--out", "--help"}

OFFERED = [
    ("%container ", {name.split(" ")[0] for name in COMMANDS}),
    ("%container volume ", {"create", "ls", "list", "inspect", "rm", "remove", "prune"}),
    ("%container volume rm d", {"data", "db-data"}),
    ("%container r", {"run", "rename", "restart", "rm", "rmi", "rollback"}),
    ("x = %container ru", {"run"}),
    ("a, b = %container ru", {"run"}),
    ("%%container ru", {"run"}),
    ("%container help in", {"info", "inspect"}),
    ("%container run -", RUN_FLAGS),
    ("%container run --pi", {"--pid", "--pids-limit"}),
    ("%container run -d --rm ", IMAGES),
    ("%container run me/a", {"me/app:1"}),
    ("%container run me/app:", {"me/app:1"}),
    ("%container run --network ", {"bridge", "none", "host"}),
    ("%container run --network=n", {"--network=none"}),
    ("%container run -d --network none lab/b", {"lab/base"}),
    ("%container exec ", CONTAINERS),
    ("%container exec we", {"web-1", "web-2"}),
    ("%container stop db we", {"web-1", "web-2"}),
    ("%container logs -f we", {"web-1", "web-2"}),
    ("%container logs --ta", {"--tail"}),
    ("%container inspect ", CONTAINERS | IMAGES | {"data", "db-data", "bridge", "none", "host"}),
    ("%container container ls --a", {"--all"}),
    ("%container rmi red", {"redis"}),
    ("%%in ", CONTAINERS),
    ("%in we", {"web-1", "web-2"}),
    ("x = %in --lang python d", {"db"}),
    ("%%in --lang ", {"sh", "bash", "python", "node"}),
    ("%%in --lang=p", {"--lang=python"}),
    ("%%in --pu", {"--push", "--pull"}),
    ("%%dockerfile --ta", {"--tag", "--target"}),
    ("%%dockerfile --app", {"--append"}),
    ("%%dockerfile -t x\nFROM lab/p", {"lab/python"}),
    ("%%dockerfile -t x\nFROM lab/base\nWO", {"WORKDIR"}),
    ("%%dockerfile -t x\nen", {"ENV", "ENTRYPOINT"}),
]
NOT_OURS = [
    "%container run lab/base ",
    "%container run lab/base l",
    "%container run lab/base --na",
    "%container run --name ",
    "%container nosuch ",
    "%container logs web-1 ",
    "%container run --nosuch x ",
    "%%container run lab/base\nRU",
    "%%dockerfile -t x\nRUN ap",
    "contain",
    "%containers r",
    "%in web-1 we",
    "%%in web-1\nwe",
    "print('%container r",
]


def completions(shell: Any, cell: str) -> set[str]:
    """What IPython offers at the end of the cell, as the words that would then stand there."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(cell, len(cell)))
    start = max(cell.rfind(" "), cell.rfind("\n")) + 1
    return {cell[start : completion.start] + completion.text for completion in found}


@pytest.mark.parametrize(("cell", "wanted"), OFFERED, ids=[cell for cell, _ in OFFERED])
def test_words_are_offered(notebook: Notebook, cell: str, wanted: set[str]) -> None:
    assert completions(notebook.shell, cell) == wanted


@pytest.mark.parametrize("cell", NOT_OURS)
def test_what_belongs_to_others_is_left_to_them(notebook: Notebook, cell: str) -> None:
    ours = set(COMMANDS) | IMAGES | CONTAINERS | RUN_FLAGS | {"RUN", "ENV"}
    assert not completions(notebook.shell, cell) & ours


def test_files_are_offered_where_a_path_is_wanted(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "day.txt").touch()
    found = completions(notebook.shell, f"%container run -v {tmp_path}/da")
    assert found == {f"{tmp_path}/data/", f"{tmp_path}/day.txt"}


def test_completing_starts_no_engine(notebook: Notebook, engine: FakeEngine) -> None:
    session.close()
    assert completions(notebook.shell, "%container run ") == {"lab/base", "lab/python"}
    assert not completions(notebook.shell, "%container exec w") & CONTAINERS
    assert session.existing_engine() is None
