"""Runs a lesson headless, on a store of its own, and tells how long its marked cells took.

It must not know what a lesson is about: a cell whose metadata say {"labcontainers": {"report": "image built"}} is reported under that name.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from labcontainers import Engine
from scripts.trees import remove_tree

CELL_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Reported:
    """A cell that asked to be reported: its name, how long it took, and the last line that it printed or else showed."""

    name: str
    duration_s: float
    text: str


@contextmanager
def store_of_its_own() -> Iterator[dict[str, str]]:
    """The environment that points every engine at a fresh store, which is removed afterwards with all its containers."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    root, run_root = folder / "s", folder / "r"
    try:
        yield {"LABCONTAINERS_ROOT": str(root), "LABCONTAINERS_RUN": str(run_root), "IPYTHONDIR": str(folder / "i")}
    finally:
        if root.exists():
            remove_containers(root, run_root)
        remove_tree(folder)


def remove_containers(root: Path, run_root: Path) -> None:
    """Remove what a lesson that stopped half-way left running."""
    with Engine(root=root, run_root=run_root) as engine:
        for container in engine.containers.list(all=True):
            container.remove(force=True)


def run_lesson(path: Path, environment: dict[str, str]) -> list[Reported]:
    """Execute the notebook at `path` in a kernel with `environment` added; blocks. Raises nbclient's CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    client.execute(env=with_this_python({**os.environ, **environment}))
    return [reported(cell) for cell in notebook.cells if report_name(cell)]


def with_this_python(environment: dict[str, str]) -> dict[str, str]:
    """`environment` with this checkout on the import path and this interpreter first on the search path."""
    house = str(Path(__file__).resolve().parent.parent)
    python_path = os.pathsep.join([house, *filter(None, [environment.get("PYTHONPATH")])])
    search_path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return {**environment, "PYTHONPATH": python_path, "PATH": search_path}


def report_name(cell: Any) -> str:
    name = cell.metadata.get("labcontainers", {}).get("report", "")
    return str(name) if cell.cell_type == "code" else ""


def reported(cell: Any) -> Reported:
    times = cell.metadata.get("execution", {})
    started, ended = times.get("iopub.execute_input"), times.get("shell.execute_reply")
    duration_s = (moment(ended) - moment(started)).total_seconds() if started and ended else 0.0
    printed = "".join(output.get("text", "") for output in cell.outputs)
    shown = "\n".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    lines = [line.strip() for line in (printed.strip() or shown).splitlines() if line.strip()]
    return Reported(report_name(cell), duration_s, lines[-1] if lines else "")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
