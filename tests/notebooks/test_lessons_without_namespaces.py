"""On a host that forbids namespaces each lesson ends where it needs the first container, by one error that says so and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lesson import with_this_python
from tests.notebooks.sandbox import WITHOUT_NAMESPACES

HOUSE = Path(__file__).resolve().parents[2]
RUN = """
import sys
from pathlib import Path
from nbclient.exceptions import CellExecutionError
from scripts.lesson import run_lesson, store_of_its_own
with store_of_its_own() as environment:
    try:
        run_lesson(Path(sys.argv[1]), environment)
    except CellExecutionError as error:
        print(error)
"""
SAYS = {
    "01-first-container": "Unsupported: this host lets this user make no user namespace",
    "06-limits-and-cgroups": "Unsupported: containers cannot run here",
    "07-namespaces-from-scratch": "Unsupported: containers cannot run here",
    "08-security": "Unsupported: containers cannot run here",
}


@pytest.mark.needs("ordinary user")
@pytest.mark.parametrize(("name", "says"), SAYS.items(), ids=list(SAYS))
def test_lesson_says_why_it_cannot_go_on(name: str, says: str) -> None:
    command = [*WITHOUT_NAMESPACES, sys.executable, "-c", RUN, str(HOUSE / "notebooks" / f"{name}.ipynb")]
    environment = with_this_python({**os.environ, "NO_COLOR": "1"})
    done = subprocess.run(command, env=environment, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert says in said
    assert "doctor" in said or "level: none" in said
    assert "Traceback" not in said
